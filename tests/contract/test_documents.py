"""What a document may say, how it is known again, and by which words it is found."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contract.base import instant, rfc3339
from shared.contract.documents import Document, tokens

AT = "2026-01-31T09:30:00.123456789Z"


def document(**words: Any) -> Document:
    return Document.model_validate({"timestamp": AT, "category": "news", "source": "wire", "title": "T"} | words)


def test_a_document_travels_as_it_is() -> None:
    whole = document(
        body="ü\n\t<b>", symbols=["btc/usdt", "BTC-USDT"], sentiment=-1, language="pt-BR", tags=[" A ", "a"]
    )
    assert Document.decode(whole.encode()) == whole
    assert (whole.timestamp, whole.receive_ns) == (AT, whole.event_ns)
    assert (whole.symbols, whole.tags) == (("BTCUSDT",), ("a",))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"timestamp": "2026-01-31T09:30:00"}, "time zone"),
        ({"timestamp": "31.1.2026"}, "RFC 3339"),
        ({"timestamp": "2026-02-30T09:30:00Z"}, "RFC 3339"),
        ({"timestamp": 1769851800}, "RFC 3339"),
        ({"timestamp": None}, "is required"),
        ({"timestamp": "1960-01-01T00:00:00Z"}, "greater than or equal to 0"),
        ({"timestamp": "2300-01-01T00:00:00Z"}, "less than"),
        ({"category": "two words"}, "pattern"),
        ({"category": "a.b"}, "pattern"),
        ({"category": ""}, "pattern"),
        ({"title": " \x00 "}, "at least 1"),
        ({"title": "x" * 1001}, "at most 1000"),
        ({"title": "\ud800"}, "lone surrogate"),
        ({"body": "x" * 100_001}, "at most 100000"),
        ({"url": "ftp://x"}, "begins with http"),
        ({"url": "https://"}, "begins with http"),
        ({"symbols": ["a b c !"]}, "pattern"),
        ({"symbols": [f"S{n}" for n in range(101)]}, "at most 100"),
        ({"sentiment": 1.01}, "less than or equal to 1"),
        ({"sentiment": float("nan")}, "finite"),
        ({"language": "English please"}, "pattern"),
        ({"tags": [""]}, "at least 1"),
        ({"author": "me"}, "Extra inputs"),
    ],
)
def test_what_is_no_document_is_refused(words: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        document(**words)


def test_the_same_words_are_known_again_however_they_are_written() -> None:
    one = document(title="Société Générale", body="Up  5 %")
    assert document(title="SOCIÉTÉ\nGénérale ", body="up 5 %", source="x", tags=["y"], url="https://z").id == one.id
    assert document(title="Societe Generale", body="Up 5 %").id != one.id
    assert document(title="Société Générale", body="Up 5 %", category="other").id != one.id
    assert document(title="Société Générale Up", body="5 %").id != one.id


def test_a_title_alone_is_known_by_its_address_too() -> None:
    assert document(url="https://a").id != document(url="https://b").id
    assert document(url="https://a", body="x").id == document(url="https://b", body="x").id


@given(st.integers(0, 2**62))
def test_a_time_is_read_to_the_nanosecond(at_ns: int) -> None:
    assert instant(rfc3339(at_ns)) == at_ns


@given(st.text())
def test_tokens_are_letters_and_digits_and_stay_what_they_are(text: str) -> None:
    found = tokens(text)
    assert all(word.isalnum() for word in found)
    assert tokens(" ".join(found)) == found


@pytest.mark.parametrize("marks", ["\u0315\u0300", "\u0f73", "\uff9e\u0315"])
def test_marks_without_end_on_a_letter_are_not_sorted(marks: str) -> None:
    began = time.monotonic()
    assert tokens("a" + marks * 49_999) == tokens("a" + (marks * 30)[:30])
    assert document(body="a" + marks * 49_999).id == document(body="a" + (marks * 30)[:30]).id
    assert time.monotonic() - began < 5  # sorted, half a minute
