"""One list of tests for both indexes."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.sink_alt.core.query import terms
from shared.contract.documents import Document, Found, Wanted
from shared.contract.errors import Unavailable
from shared.kit.opensearch_search import OpenSearch, _bulks
from shared.kit.search import Search, open_search
from shared.kit.settings import Suite
from shared.kit.sqlite_search import SqliteSearch
from tests.conftest import Closer
from tests.opensearch_server import OpenSearchServer

T0 = 1_700_000_000_000_000_000


@pytest.fixture(params=["sqlite", pytest.param("opensearch", marks=pytest.mark.opensearch)])
def search(request: pytest.FixtureRequest, tmp_path: Path, closing: Closer) -> Search:
    if request.param == "sqlite":
        opened: Search = SqliteSearch(tmp_path / "search" / "alt_news.db")
    else:
        opened = OpenSearch(request.getfixturevalue("opensearch").url)
    closing(opened.close)
    return opened


@pytest.fixture
def category() -> str:
    """One that no other test writes, since they may share a server."""
    return f"c{uuid.uuid4().hex}"


class Shelf:
    """An index with documents of one category."""

    def __init__(self, search: Search, category: str) -> None:
        self.search = search
        self.category = category

    def document(self, title: str, body: str = "", **words: Any) -> Document:
        given = {"event_ns": T0, "category": self.category, "source": "wire", "title": title, "body": body} | words
        return Document.model_validate(given)

    async def put(self, *documents: Document) -> None:
        assert await self.search.put({document.id: document for document in documents}) == {}
        await self.search.settle()

    async def found(self, q: str | None, **words: Any) -> list[Found]:
        return await self.search.find(Wanted(terms(q), category=self.category, **words))

    async def titles(self, q: str | None, **words: Any) -> list[str]:
        return [found.document.title for found in await self.found(q, **words)]


@pytest.fixture
def shelf(search: Search, category: str) -> Shelf:
    return Shelf(search, category)


async def test_a_document_is_given_back_as_it_was_put(shelf: Shelf) -> None:
    words = {"url": "https://x.example/a?b=c", "symbols": ["BTCUSDT"], "sentiment": -0.25, "language": "de-AT"}
    document = shelf.document("Zürich", 'a "quoted"\nline \\ with <tags>', tags=["fx"], receive_ns=T0 + 7, **words)
    await shelf.put(document)

    assert await shelf.search.get(document.id) == document
    [found] = await shelf.found("zurich")
    assert (found.id, found.document) == (document.id, document)


async def test_an_unknown_id_is_none(shelf: Shelf) -> None:
    assert await shelf.search.get("0" * 32) is None
    assert await shelf.search.get("../_search") is None


async def test_every_word_must_be_there_in_any_order_and_field(shelf: Shelf) -> None:
    await shelf.put(shelf.document("Bitcoin rallies", "after the vote"), shelf.document("Bitcoin falls"))

    assert await shelf.titles("vote bitcoin") == ["Bitcoin rallies"]
    assert await shelf.titles("bitcoin ether") == []


async def test_case_accents_and_forms_of_a_letter_do_not_matter(shelf: Shelf) -> None:
    await shelf.put(shelf.document("Société Générale: ﬁnal DIVIDEND"))

    for asked in ("societe", "SOCIÉTÉ", "générale", "final", "dividend", "\N{FULLWIDTH LATIN CAPITAL LETTER D}ividend"):
        assert await shelf.titles(asked) == ["Société Générale: ﬁnal DIVIDEND"], asked


async def test_chinese_and_cyrillic_are_found_by_what_stands_inside(shelf: Shelf) -> None:
    await shelf.put(shelf.document("比特币价格上涨"), shelf.document("Рубль растёт"))

    assert await shelf.titles("价格") == ["比特币价格上涨"]
    assert await shelf.titles("格价") == []
    assert await shelf.titles("РУБЛЬ") == ["Рубль растёт"]


async def test_a_phrase_is_these_words_side_by_side(shelf: Shelf) -> None:
    await shelf.put(shelf.document("rate cut expected"), shelf.document("cut in the rate"))

    assert await shelf.titles('"rate cut"') == ["rate cut expected"]
    assert await shelf.titles('"cut rate"') == []
    assert len(await shelf.titles("rate cut")) == 2


async def test_a_word_with_signs_in_it_is_a_phrase_of_its_parts(shelf: Shelf) -> None:
    await shelf.put(shelf.document("The U.S. and BTC-USD"), shelf.document("S. U. and USD BTC"))

    assert await shelf.titles("u.s.") == ["The U.S. and BTC-USD"]
    assert await shelf.titles("$btc-usd") == ["The U.S. and BTC-USD"]


async def test_what_is_asked_not_to_be_there_is_not(shelf: Shelf) -> None:
    await shelf.put(shelf.document("oil up", "on the opec cut"), shelf.document("oil down"))

    assert await shelf.titles("oil -opec") == ["oil down"]
    assert await shelf.titles('oil -"opec cut"') == ["oil down"]
    assert await shelf.titles("oil -do*") == ["oil up"]


async def test_a_prefix_finds_what_begins_with_it(shelf: Shelf) -> None:
    await shelf.put(shelf.document("stablecoins"), shelf.document("stability"), shelf.document("unstable"))

    assert sorted(await shelf.titles("stab*")) == ["stability", "stablecoins"]
    assert await shelf.titles("stab") == []


@pytest.mark.parametrize("asked", ["or", "and not", "near", "title:x", "a^2", "(x)", "x OR y", "_id:*x", "{x}", "a/b/"])
async def test_no_word_is_an_operator(shelf: Shelf, asked: str) -> None:
    await shelf.put(shelf.document(asked))

    assert await shelf.titles(asked.replace("*", "")) == [asked]
    assert await shelf.titles(f"{asked.replace('*', '')} absent") == []


async def test_a_word_in_the_title_counts_more_and_among_equals_the_newest_is_first(shelf: Shelf) -> None:
    await shelf.put(
        shelf.document("merger talks", "between two banks", event_ns=T0 + 1),
        shelf.document("merger talk", "between two banks", event_ns=T0 + 3),
        shelf.document("merger chat", "between two banks", event_ns=T0 + 2),
        shelf.document("two banks", "between merger talks", event_ns=T0 + 9),
        shelf.document("nothing of that", "at all here"),
    )

    found = await shelf.found("merger")

    assert [one.document.title for one in found] == ["merger talk", "merger chat", "merger talks", "two banks"]
    assert found[0].score == found[1].score == found[2].score > found[3].score


async def test_without_words_the_newest_come_first(shelf: Shelf) -> None:
    await shelf.put(*(shelf.document(f"n{n}", event_ns=T0 + n) for n in (2, 0, 1)))

    assert await shelf.titles(None) == ["n2", "n1", "n0"]


async def test_what_else_is_given_must_be_so_too(shelf: Shelf) -> None:
    await shelf.put(
        shelf.document("one", symbols=["BTCUSDT", "ETHUSDT"], event_ns=T0),
        shelf.document("two", symbols=["ETHUSDT"], event_ns=T0 + 1),
        shelf.document("three", event_ns=T0 + 2),
    )

    assert await shelf.titles(None, symbol="BTCUSDT") == ["one"]
    assert await shelf.titles(None, symbol="ETHUSDT") == ["two", "one"]
    assert await shelf.titles("two", symbol="BTCUSDT") == []
    assert await shelf.titles(None, start_ns=T0 + 1) == ["three", "two"]
    assert await shelf.titles(None, end_ns=T0 + 1) == ["one"]
    assert await shelf.titles(None, start_ns=T0 + 1, end_ns=T0 + 2) == ["two"]
    assert await shelf.search.find(Wanted(category="nobody")) == []


@pytest.mark.parametrize("q", [None, "report"])
async def test_pages_hold_everything_once_and_in_order(shelf: Shelf, q: str | None) -> None:
    await shelf.put(*(shelf.document(f"report {n}", "x " * (n % 3), event_ns=T0 + n // 4) for n in range(23)))
    whole = await shelf.found(q, limit=100)

    paged: list[Found] = []
    while page := await shelf.found(q, limit=5, after=paged[-1].place if paged else None):
        paged += page

    assert len(whole) == 23
    assert paged == whole
    assert whole == sorted(whole, key=lambda one: (-one.score, -one.document.event_ns, one.id))


async def test_the_same_id_again_replaces_the_document(shelf: Shelf) -> None:
    first = shelf.document("again", symbols=["BTCUSDT"])
    await shelf.put(first)
    later = first.model_copy(update={"event_ns": T0 + 5, "symbols": ("SPY",), "source": "another"})
    assert later.id == first.id
    await shelf.put(later)

    assert [one.document for one in await shelf.found("again")] == [later]
    assert await shelf.titles(None, symbol="BTCUSDT") == []
    assert await shelf.titles(None, symbol="SPY") == ["again"]


async def test_everything_that_was_put_is_counted(shelf: Shelf) -> None:
    before = await shelf.search.settle()
    await shelf.put(shelf.document("one"), shelf.document("two"))

    assert await shelf.search.put({}) == {}
    assert await shelf.search.settle() == before + 2


async def test_many_bytes_are_put_in_several_goes(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.kit.opensearch_search.BULK_BYTES_MAX", 4000)
    documents = [shelf.document(f"d{n}", "x " * size) for n, size in enumerate((100, 9000, 100, 100, 9000))]
    bulks = list(_bulks({one.id: one for one in documents}))
    assert [bulk.count(b"\n") // 2 for bulk in bulks] == [1, 1, 2, 1]

    await shelf.put(*documents)
    assert sorted(await shelf.titles("x")) == ["d0", "d1", "d2", "d3", "d4"]


@pytest.mark.opensearch
async def test_what_opensearch_acknowledged_survives_its_kill(
    opensearch: OpenSearchServer, category: str, closing: Closer
) -> None:
    search = OpenSearch(opensearch.url)
    closing(search.close)
    shelf = Shelf(search, category)
    document = shelf.document("kept")
    assert await search.put({document.id: document}) == {}
    opensearch.kill()
    for attempt in (search.ping(), search.get("x"), search.put({document.id: document}), search.find(Wanted())):
        with pytest.raises(Unavailable, match="OpenSearch is away"):
            await attempt
    opensearch.start()

    assert await shelf.titles("kept") == ["kept"]


@pytest.mark.opensearch
async def test_an_index_that_was_lost_is_made_anew_as_it_was(
    opensearch: OpenSearchServer, category: str, closing: Closer
) -> None:
    search = OpenSearch(opensearch.url)
    closing(search.close)
    shelf = Shelf(search, category)
    await shelf.put(shelf.document("before"))
    async with httpx.AsyncClient(base_url=opensearch.url, trust_env=False) as http:
        assert (await http.delete("/alt_news")).status_code == 200
        assert await shelf.titles("before") == []
        assert await search.get("x") is None
        assert await search.settle() == 0
        await shelf.put(shelf.document("after-effect"))
        mapping = (await http.get("/alt_news/_mapping")).json()["alt_news"]["mappings"]

    assert mapping["dynamic"] == "false"
    assert await shelf.titles("effect") == ["after-effect"]


async def test_a_file_that_is_none_is_said_and_heals(tmp_path: Path, closing: Closer) -> None:
    path = tmp_path / "search" / "alt_news.db"
    path.parent.mkdir()
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    search = open_search(Suite(var=tmp_path))
    closing(search.close)

    with pytest.raises(Unavailable, match="not a database"):
        await search.ping()
    path.unlink()
    await search.ping()
    assert await search.settle() == 0


@pytest.mark.parametrize("search", ["sqlite"], indirect=True)
async def test_a_look_that_takes_too_long_is_given_up(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    await shelf.put(*(shelf.document(f"many words {n}", "a b c d e f " * 50) for n in range(300)))
    monkeypatch.setattr("shared.kit.sqlite_search.LOOK_MAX_S", -1.0)
    monkeypatch.setattr("shared.kit.sqlite_search.STEPS_BETWEEN_LOOKS_AT_THE_CLOCK", 10)

    with pytest.raises(Unavailable, match="more than"):
        await shelf.found("a")
    monkeypatch.undo()
    assert len(await shelf.found("a")) == 20


def test_replacing_keeps_the_id() -> None:
    document = Document.model_validate({"event_ns": 1, "category": "a", "source": "b", "title": "T", "body": "Body  x"})
    other = replace(
        Found("", 0.0, document), document=document.model_copy(update={"body": "bODY\nx", "url": "http://y"})
    )
    assert other.document.id == document.id
