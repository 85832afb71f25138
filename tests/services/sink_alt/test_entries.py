"""Pages of every kind become documents; what is broken in one of them is told and stops nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sink_alt.core.entries import documents, moment
from services.sink_alt.core.mentions import Mentions
from services.sink_alt.core.plain import plain
from services.sink_alt.feeds.reading import Form, UnreadableError, entries_of, read_apart
from services.sink_alt.settings import Settings, Source
from shared.contract.base import rfc3339
from shared.contract.documents import Document

PAGES = Path(__file__).with_name("pages")
NOW = 1_769_900_000_000_000_000
MENTIONS = Mentions({"BTCUSDT": ["$BTC", "bitcoin"], "USDJPY": ["Bank of Japan"]}, ["SPY", "BTCUSDT"])


def source(**words: Any) -> Source:
    return Source.model_validate({"name": "wire", "url": "https://wire.example/feed"} | words)


def form(**words: Any) -> Form:
    asked = source(**words)
    return Form(asked.entries_max, asked.entries, asked.fields)


def read(page: str, content_type: str = "", **words: Any) -> tuple[list[Document], list[str]]:
    asked = source(**words)
    entries = entries_of((PAGES / page).read_bytes(), content_type, form(**words))
    return documents(entries, asked, NOW, mentions=MENTIONS)


def test_rss_is_read() -> None:
    found, broken = read("rss.xml", "application/rss+xml", tags=["feed"])

    first, second = found
    assert (first.title, first.url, first.language) == ("Bitcoin & gold rise", "https://wire.example/1", "en-GB")
    assert (first.timestamp, first.receive_ns) == ("2026-01-31T08:30:00Z", NOW)
    assert (first.body, first.symbols, first.tags) == (
        "Both rose.\n$SPY fell.",
        ("BTCUSDT", "SPY"),
        ("feed", "markets"),
    )
    assert (second.body, second.source, second.category) == ("The whole text of it.", "wire", "news")
    assert len(broken) == 2
    assert "some day in spring" in broken[0]


def test_atom_is_read_in_its_own_encoding() -> None:
    [found], broken = read("atom.xml")

    assert (found.title, found.body, found.tags) == ("Zürich steigt", "Mehr hier", ("börse",))
    assert (found.timestamp, found.url) == ("2026-01-31T09:30:00Z", "https://blatt.example/1")
    assert broken == []


def test_json_feed_is_read() -> None:
    found, broken = read("feed.json", category="notes")

    assert [(one.title, one.timestamp) for one in found] == [
        ("A note without a title speaks of the Bank of Japan", "2026-01-31T09:31:00Z"),
        ("One", "2026-01-31T14:30:00Z"),
    ]
    assert (found[0].symbols, found[1].body, found[1].tags) == (("USDJPY",), "First & last", ("a", "b"))
    assert len(broken) == 1


def test_other_json_is_read_by_the_fields_that_are_named() -> None:
    names = {"title": "headline", "body": "summary", "url": "link.href", "timestamp": "published"}
    names |= {"symbols": "tickers", "sentiment": "score"}
    [found, second], broken = read("other.json", entries="data.articles", fields=names, language="en")

    assert (found.title, found.body, found.url) == ("Earnings", "beat", "https://other.example/1")
    assert (found.timestamp, found.symbols, found.sentiment) == ("2026-01-31T09:30:00Z", ("AAPL", "SPY"), 0.25)
    assert (second.title, second.sentiment, len(broken)) == ("Guidance", None, 1)


@pytest.mark.parametrize(
    "page", [b"", b"garbage", b"\x00\xff\xfe", b"<html><body>Sign in</body></html>", b"{", b"{}", b"[1]", b"[" * 10_000]
)
def test_what_is_no_feed_is_told(page: bytes) -> None:
    with pytest.raises(UnreadableError):
        entries_of(page, "text/html", form())


def test_a_page_is_never_taken_for_the_name_of_a_file() -> None:
    with pytest.raises(UnreadableError):
        entries_of(str(PAGES / "rss.xml").encode(), "", form())


def test_a_page_that_ends_in_the_middle_gives_what_is_whole() -> None:
    whole = (PAGES / "rss.xml").read_bytes()
    entries = entries_of(whole[: whole.index(b"<content:encoded>")], "", form())
    found, _ = documents(entries, source(), NOW, mentions=MENTIONS)
    assert found[0].title == "Bitcoin & gold rise"


def test_entities_are_not_made_into_megabytes() -> None:
    lots = "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 50}">' for n in range(8))
    item = "<channel><item><title>&i;</title></item></channel>"
    page = f'<!DOCTYPE x [<!ENTITY a "aaaa">{lots}]><rss version="2.0">{item}</rss>'
    try:
        entries = entries_of(page.encode(), "", form())
    except UnreadableError:
        return
    assert all(len(entry["title"]) < 10_000 for entry in entries)


def test_a_file_of_this_machine_is_not_read_into_a_document() -> None:
    page = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><rss version="2.0"><channel><item><title>t&a;</title>'
    entries = entries_of(f"{page}</item></channel></rss>".encode(), "", form())
    assert "root" not in str(entries)


async def test_a_page_is_read_by_a_process_of_its_own() -> None:
    page = (PAGES / "rss.xml").read_bytes()
    assert await read_apart(page, "", form()) == entries_of(page, "", form())
    with pytest.raises(UnreadableError, match="neither RSS nor Atom"):
        await read_apart(b"garbage", "", form())


async def test_a_page_that_is_meant_to_take_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.sink_alt.feeds.reading.READ_MAX_S", 0.5)
    with pytest.raises(UnreadableError, match="within"):
        await read_apart(b"\n" * 1_000_000 + (PAGES / "rss.xml").read_bytes(), "", form())


def test_no_more_entries_are_read_than_are_wanted() -> None:
    assert len(entries_of((PAGES / "rss.xml").read_bytes(), "", form(entries_max=1))) == 1


def test_too_long_is_cut_and_useless_is_left_out() -> None:
    entry = {
        "title": "t" * 5000,
        "body": "b" * 300_000,
        "url": "mailto:x@y",
        "language": "?",
        "tags": ["x" * 99, "", 3],
    }
    [found], _ = documents([entry], source(), NOW, mentions=MENTIONS)
    assert (len(found.title), len(found.body), found.url, found.language) == (1000, 100_000, "", None)
    assert found.tags == ("x" * 64,)
    assert found.event_ns == NOW


@pytest.mark.parametrize(
    "useless",
    [
        {"url": "http:///x"},
        {"url": "http://x.example/\ud800"},
        {"symbols": ["S&P 500", "x" * 40]},
        {"sentiment": "high"},
        {"sentiment": 7},
        {"sentiment": float("nan")},
        {"language": "tlhIngan Hol"},
        {"tags": ["\x00"]},
    ],
)
def test_a_field_of_no_use_costs_no_document(useless: dict[str, Any]) -> None:
    entry = {"title": "t", "symbols": ["spy"], "tags": ["x"]} | useless
    [found], broken = documents([entry], source(), NOW, mentions=MENTIONS)
    assert (found.url, found.sentiment, found.language, broken) == ("", None, None, [])
    assert found.symbols == (() if "symbols" in useless else ("SPY",))
    assert found.tags == (() if "tags" in useless else ("x",))


def test_an_entry_of_next_week_is_broken() -> None:
    _, broken = documents([{"title": "x", "timestamp": NOW // 10**9 + 7 * 86_400}], source(), NOW, mentions=MENTIONS)
    assert "a day ahead" in broken[0]


@pytest.mark.parametrize(
    "given",
    [1769851800, 1769851800000, 1769851800000000, 1769851800 * 10**9, 1769851800.0, "Sat, 31 Jan 2026 09:30:00 +0000",
     "2026-01-31T10:30:00+01:00"],
)  # fmt: skip
def test_times_are_read_as_feeds_write_them(given: Any) -> None:
    assert rfc3339(moment(given, NOW)) == "2026-01-31T09:30:00Z"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a <b>bold</b> word", "a bold word"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<style>p{}</style><p>x</p><script>if (a < b) {}</script><p>y", "x\ny"),
        ("3 < 4 &amp; 5 > 4 &lt;b&gt;", "3 < 4 & 5 > 4 <b>"),
        ("<p onclick='x()'>a&nbsp;b</p>", "a b"),
        ("<img src=x onerror=alert(1)>", ""),
        ("<svg><script>x</script></svg>left", "left"),
        ("<!-- no --><![CDATA[x]]>y", "y"),
    ],
)
def test_html_becomes_what_a_person_would_read(html: str, text: str) -> None:
    assert plain(html) == text


@pytest.mark.parametrize(
    "part",
    ["<a ", '<a b="', "<a b='<a b=\"", "<!--", "<!", "<?", "</", "<b>", "<svg>", "<svg></object>", "</object>",
     "<script>", "</script", "<a =", "= ", "&#", "\n", " "],
)  # fmt: skip
@pytest.mark.parametrize("ends", [("", ""), ("", ">"), ("<svg>", ""), ("<svg>" * 9999, "</object>" * 9999)])
def test_what_is_meant_to_take_for_ever_is_made_plain_at_once(part: str, ends: tuple[str, str]) -> None:
    text = ends[0] + part * (100_000 // len(part)) + ends[1]
    began = time.monotonic()
    plain(text)
    assert time.monotonic() - began < 10  # in squares, minutes


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("3 <x 4", "3 <x 4"),
        ("<a title='1 > 0' b=2>x</a>", "x"),
        ("<a title='never closed>x</a><p>y", "x\ny"),
        ("a<svg/>b<SVG><p>x</p></Svg >c", "abc"),
        ("a<script>never closed", "a"),
        ("a<!-- never closed", "a"),
    ],
)
def test_html_that_is_none_loses_no_more_than_it_must(html: str, text: str) -> None:
    assert plain(html) == text


@given(st.text())
def test_any_text_can_be_made_plain(html: str) -> None:
    assert "<script" not in plain(f"<p>{html.replace('<', '')}</p>")
    plain(html)


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("$BTC and $btc and $BTC.", ("BTCUSDT",)),
        ("Bitcoin's price", ("BTCUSDT",)),
        ("bitcoins", ()),
        ("US$BTC", ()),
        ("$BTCX", ()),
        ("$SPY, of course", ("SPY",)),
        ("SPY without its sign", ()),
        ("the BANK OF  JAPAN met", ("USDJPY",)),
        ("the bank of England", ()),
    ],
)
def test_symbols_are_found_by_cashtag_and_by_name(text: str, symbols: tuple[str, ...]) -> None:
    assert MENTIONS.of(text) == symbols


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"url": "file:///etc/passwd"}, "begins with http"),
        ({"url": "https://user:word@x.example/"}, "without a user"),
        ({"entries": "items"}, "must say where the title"),
        ({"fields": {"headline": "x"}}, "a document has no headline"),
        ({"name": "a b"}, "pattern"),
        ({"every": 5}, "Extra inputs"),
    ],
)
def test_a_source_that_cannot_work_is_refused_at_the_start(words: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        source(**words)


def test_two_sources_have_two_names() -> None:
    with pytest.raises(ValueError, match="two sources called wire"):
        Settings(sources=(source(), source(url="https://y.example")))
