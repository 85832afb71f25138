"""What a question may say, and what is answered to one that says nothing."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sink_alt.core import query
from shared.contract.documents import Place, Term
from shared.contract.errors import Refused


def test_words_phrases_absences_and_prefixes_are_told_apart() -> None:
    assert query.terms('Fed "rate  cut" -ECB hik* -"not this"') == (
        Term(("fed",)),
        Term(("rate", "cut")),
        Term(("ecb",), absent=True),
        Term(("hik",), prefix=True),
        Term(("not", "this"), absent=True),
    )


def test_what_stands_within_a_word_makes_it_a_phrase() -> None:
    assert query.terms("BTC-USD don't $eth") == (Term(("btc", "usd")), Term(("don", "t")), Term(("eth",)))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ('"open', "not closed"),
        ('""', "holds no letter"),
        ("+++", "holds no letter"),
        ("*", "holds no letter"),
        ("-", "holds no letter"),
        ("-war", "only what must not"),
        ("a*", "at least 2 letters"),
        ("btc-us*", "a prefix is one word"),
        ("x " * 40, "more than 32"),
        ("x" * 501, "longer than 500"),
    ],
)
def test_a_bad_question_is_told_what_is_wrong_with_it(asked: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as told:
        query.terms(asked)
    assert (told.value.code, told.value.status, told.value.field) == ("BAD_QUERY", 422, "q")


def test_no_question_is_none() -> None:
    assert query.terms(None) == ()


@given(st.text(max_size=600))
def test_any_text_is_a_question_or_refused(asked: str) -> None:
    try:
        found = query.terms(asked)
    except Refused:
        return
    assert any(not term.absent for term in found)
    assert all(word.isalnum() for term in found for word in term.words)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 2**63 - 1),
    st.text("0123456789abcdef", max_size=32),
)
def test_a_cursor_leads_back_to_its_place(score: float, event_ns: int, id: str) -> None:
    assert query.read(query.written(Place(score, event_ns, id))) == Place(score, event_ns, id)


made_up = [
    base64.urlsafe_b64encode(words.encode()).decode()
    for words in (f'[0.5, {10**30}, "a"]', '[0.5, -1, "a"]', r'[0.5, 1, "\ud800"]', "[" * 100_000)
]


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!", "bnVsbA", "WzEsMiwzXQ", "W25hbiwxLCIiXQ", "é", "WzEuMCwxLCJhIl0x", *made_up]
)
def test_a_cursor_that_nobody_gave_out_is_refused(cursor: str) -> None:
    with pytest.raises(Refused, match="next_cursor"):
        query.read(cursor)


def test_a_bound_where_no_document_can_be_is_as_good_as_the_nearest() -> None:
    assert query.moment("1600-01-01T00:00:00Z", "from") == 0
    assert query.moment("9999-12-31T23:59:59Z", "to") == 2**63 - 1


def test_a_time_without_a_zone_is_refused_and_the_plus_explained() -> None:
    assert query.moment("1970-01-01T00:00:01Z", "from") == 10**9
    with pytest.raises(Refused, match=r"from: must be RFC 3339 .*%2B"):
        query.moment("2026-01-31T09:30:00 02:00", "from")
