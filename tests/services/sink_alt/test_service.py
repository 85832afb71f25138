"""The sink of documents over the twins, the real index and the real lake: every message has one outcome in each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import pytest
from deltalake import DeltaTable

from services.sink_alt.service import wire
from services.sink_alt.settings import Settings
from services.sink_alt.store.shelves import SOURCE
from shared.contract.documents import Document
from shared.contract.errors import NotFound, Refused, Unavailable
from shared.contract.subjects import DOCUMENT
from shared.contract.tables import LAKE_DOCUMENTS
from shared.kit import Heard, Kit
from shared.kit.fakes import FakeKit
from shared.kit.lake import Span
from shared.kit.service import Batch
from tests.conftest import Closer

T0 = 1_700_000_000_000_000_000
HOUR_NS = 3600 * 10**9


def document(title: str, **words: Any) -> Document:
    given = {"event_ns": T0, "category": "news", "source": "wire", "title": title} | words
    return Document.model_validate(given)


class FlakyLake:
    """The real lake, which may be away, or die before or after a commit."""

    def __init__(self, kit: Kit) -> None:
        self.real = kit.lake
        self.away = False
        self.dies = ""
        self.left: Callable[[], Awaitable[int]] | None = None

    async def place(self, table: Any, source: str) -> int:
        self._check()
        return await self.real.place(table, source)

    async def append(self, table: Any, columns: Any, *, span: Span) -> int:
        self._check()
        if self.dies == "before":
            self.left = partial(self.real.append, table, columns, span=span)
            raise Unavailable("killed")
        place = await self.real.append(table, columns, span=span)
        if self.dies == "after":
            raise Unavailable("killed")
        return place

    async def compact(self, table: Any) -> Any:
        self._check()
        return await self.real.compact(table)

    async def vacuum(self, table: Any, hours: int) -> int:
        return await self.real.vacuum(table, hours)

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the lake is away")


class Sink:
    """A sink that hears what the test says, at its two rows apart."""

    def __init__(self, kit: FakeKit) -> None:
        self.kit = kit
        self.lake = FlakyLake(kit)
        kit.__dict__["lake"] = self.lake
        self.service = wire(kit, Settings())
        self.rows = {row.into: row for row in self.service.hears if isinstance(row, Batch)}
        self.routes = {(route.method, route.path): route.handler for route in self.service.serves}

    async def hear(self, into: str, **numbered: Document) -> None:
        """Messages by their place in the stream: _1=…, _2=…"""
        heard = [
            Heard(DOCUMENT, one, int(number.removeprefix("_")), DOCUMENT.address(one))
            for number, one in numbered.items()
        ]
        await self.rows[into].handler(heard)

    def sums(self, into: str) -> Mapping[str, int]:
        return self.service.stats()[f"into_{into}"]

    async def ask(self, path: str, **words: Any) -> Any:
        return await self.routes["GET", path](**words)

    async def titles(self, q: str) -> list[str]:
        return [one["title"] for one in (await self.ask("/search", q=q))["documents"]]

    async def in_lake(self) -> int:
        return await self.lake.real.count(LAKE_DOCUMENTS)


@pytest.fixture
def sink(kit: FakeKit, closing: Closer) -> Sink:
    closing(kit.lake.close)
    return opened(kit, closing)


def opened(kit: FakeKit, closing: Closer) -> Sink:
    sink = Sink(kit)
    closing(kit.search.close)
    closing(sink.service.closes)
    return sink


def restarted(sink: Sink, closing: Closer) -> Sink:
    """The next process over the same files."""
    kit = sink.kit.restarted()
    kit.suite = sink.kit.suite
    kit.__dict__["lake"] = sink.lake.real
    return opened(kit, closing)


async def test_what_is_heard_goes_into_both_stores(sink: Sink) -> None:
    for into in ("search", "lake"):
        await sink.hear(into, _1=document("a rate cut", symbols=["EURUSD"]), _2=document("a rate rise"))
        assert sink.sums(into) == {"stored": 2}
    assert await sink.titles("cut") == ["a rate cut"]
    assert await sink.in_lake() == 2


async def test_the_same_words_are_kept_once_whoever_says_them(sink: Sink) -> None:
    again = document("A  RATE cut", body="", source="another", tags=["x"])
    for into in ("search", "lake"):
        await sink.hear(into, _1=document("a rate cut"), _2=again)
        await sink.hear(into, _3=document("a rate cut", event_ns=T0 + 5), _4=document("a rate cut", category="other"))
        assert sink.sums(into) == {"stored": 2, "duplicate": 2}
    assert await sink.in_lake() == 2


async def test_a_title_alone_is_another_under_another_address(sink: Sink) -> None:
    pages = {f"_{n}": document("Market update", url=f"https://x.example/{n}") for n in (1, 2)}
    await sink.hear("search", **pages)
    assert sink.sums("search") == {"stored": 2}


async def test_after_three_days_the_same_words_are_news_again(sink: Sink) -> None:
    await sink.hear("lake", _1=document("again"))
    sink.kit.clock.advance(72 * 3600 - 1)  # type: ignore[attr-defined]
    await sink.hear("lake", _2=document("again"))
    assert sink.sums("lake") == {"stored": 1, "duplicate": 1}
    sink.kit.clock.advance(1)  # type: ignore[attr-defined]
    await sink.hear("lake", _3=document("again"))
    assert sink.sums("lake") == {"stored": 2, "duplicate": 1}


async def test_both_stores_keep_the_same_one_in_whichever_order_they_hear(sink: Sink) -> None:
    first, second = document("x", event_ns=T0 + 1), document("x", event_ns=T0 + 2)
    await sink.hear("search", _2=second)
    await sink.hear("lake", _1=first, _2=second)
    await sink.hear("search", _1=first)
    assert sink.sums("lake") == sink.sums("search") == {"stored": 1, "duplicate": 1}
    [found] = (await sink.ask("/search", q="x"))["documents"]
    assert found["event_ns"] == str(T0 + 2)


async def test_what_comes_again_is_neither_written_nor_counted_again(sink: Sink, closing: Closer) -> None:
    for into in ("search", "lake"):
        await sink.hear(into, _1=document("one"), _2=document("one"))
        await sink.hear(into, _1=document("one"), _2=document("one"))
    sink = restarted(sink, closing)
    for into in ("search", "lake"):
        await sink.hear(into, _1=document("one"), _2=document("one"), _3=document("three"))
        assert sink.sums(into) == {"stored": 2, "duplicate": 1}
    assert await sink.in_lake() == 2


@pytest.mark.parametrize("dies", ["before", "after"])
@pytest.mark.parametrize("restarts", [True, False])
async def test_a_commit_that_was_cut_short_is_made_once(sink: Sink, closing: Closer, dies: str, restarts: bool) -> None:
    await sink.hear("lake", _1=document("one"))
    sink.lake.dies = dies
    with pytest.raises(Unavailable):
        await sink.hear("lake", _2=document("two"), _3=document("two"), _4=document("four"))
    sink.lake.dies = ""
    if restarts:
        sink = restarted(sink, closing)
    # What comes again need not come in the same company.
    await sink.hear("lake", _3=document("two"), _5=document("five"))
    await sink.hear("lake", _2=document("two"), _4=document("four"))

    assert sink.sums("lake") == {"stored": 4, "duplicate": 1}
    assert await sink.in_lake() == 4


async def test_a_commit_that_another_writer_was_first_with_is_not_taken_for_made(sink: Sink) -> None:
    await sink.hear("lake", _1=document("one"))
    place = await sink.lake.real.place(LAKE_DOCUMENTS, SOURCE)
    row = {name: [None] for name in LAKE_DOCUMENTS.columns} | {"timestamp": [T0], "category": ["other"]}
    await sink.lake.real.append(LAKE_DOCUMENTS, row, span=Span(SOURCE, place, place + 1))
    sink.kit.clock.advance(1)  # type: ignore[attr-defined]
    with pytest.raises(Unavailable, match="another process"):
        await sink.hear("lake", _2=document("two"))
    await sink.hear("lake", _2=document("two"))

    assert sink.sums("lake") == {"stored": 2}
    assert await sink.in_lake() == 3


async def test_a_commit_that_is_made_after_its_asker_died_is_known(sink: Sink, closing: Closer) -> None:
    """The lake's own process outlived it, and was only slow."""
    await sink.hear("lake", _1=document("one"))
    sink.lake.dies = "before"
    sink.kit.clock.advance(1)  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        await sink.hear("lake", _2=document("two"), _3=document("three"))
    orphan = sink.lake.left
    assert orphan is not None

    sink = restarted(sink, closing)
    await sink.hear("lake", _4=document("four", event_ns=T0 + 48 * HOUR_NS))  # refused: it only asks where the lake is
    await orphan()
    sink.kit.clock.advance(1)  # type: ignore[attr-defined]
    with pytest.raises(Unavailable, match="another process"):
        await sink.hear("lake", _3=document("three"), _5=document("five"))
    await sink.hear("lake", _2=document("two"), _3=document("three"), _5=document("five"))

    assert sink.sums("lake") == {"stored": 4, "refused_dated_ahead": 1}
    assert await sink.in_lake() == 4


async def test_a_lake_that_is_away_holds_up_itself_alone(sink: Sink) -> None:
    sink.lake.away = True
    with pytest.raises(Unavailable):
        await sink.hear("lake", _1=document("one"))
    await sink.hear("search", _1=document("one"))
    assert await sink.titles("one") == ["one"]
    sink.lake.away = False
    await sink.hear("lake", _1=document("one"))
    assert sink.sums("lake") == sink.sums("search") == {"stored": 1}


async def test_a_ledger_that_was_lost_goes_on_where_the_lake_is(sink: Sink, closing: Closer) -> None:
    await sink.hear("lake", _1=document("one"))
    for path in (sink.kit.suite.var / "search").glob("ledger.db*"):
        path.unlink()
    sink = restarted(sink, closing)
    await sink.hear("lake", _2=document("two"))
    assert sink.sums("lake") == {"stored": 1}
    assert await sink.in_lake() == 2


async def test_a_stream_that_begins_anew_is_not_taken_for_the_old_one(sink: Sink) -> None:
    await sink.hear("search", _1=document("old"))
    await sink.hear("search", _1=document("new"))
    assert sink.sums("search") == {"stored": 2}


async def test_a_document_of_tomorrow_is_taken_and_one_of_next_week_is_not(sink: Sink) -> None:
    for into in ("search", "lake"):
        await sink.hear(into, _1=document("soon", event_ns=T0 + 23 * HOUR_NS))
        await sink.hear(into, _2=document("late", event_ns=T0 + 25 * HOUR_NS))
        assert sink.sums(into) == {"stored": 1, "refused_dated_ahead": 1}
    with pytest.raises(Refused, match="more than a day ahead"):
        await sink.routes["POST", "/documents"](document("late", event_ns=T0 + 25 * HOUR_NS))


async def test_a_document_sent_in_is_said_with_when_it_came(sink: Sink) -> None:
    reply = await sink.routes["POST", "/documents"](document("hello", event_ns=T0 - HOUR_NS))
    [said] = sink.kit.bus.heard(DOCUMENT)
    assert (reply.status, reply.body) == (202, {"id": said.id})
    assert (said.event_ns, said.receive_ns) == (T0 - HOUR_NS, T0)
    with pytest.raises(NotFound):
        await sink.ask("/documents/{id}", id=said.id)
    await sink.hear("search", _1=said)
    assert (await sink.ask("/documents/{id}", id=said.id))["title"] == "hello"


async def test_a_long_body_is_shown_by_its_beginning_among_others_and_whole_by_itself(sink: Sink) -> None:
    one = document("long", body="word " * 2000)
    await sink.hear("search", _1=one)
    [found] = (await sink.ask("/search", q="word"))["documents"]
    assert found["excerpt"] == one.body[:300]
    assert (await sink.ask("/documents/{id}", id=one.id))["body"] == one.body


async def test_pages_lead_to_each_other(sink: Sink) -> None:
    await sink.hear("search", **{f"_{n}": document(f"note {n}", event_ns=T0 + n) for n in range(1, 6)})
    titles: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = await sink.ask("/search", q="note", limit=2, cursor=cursor)
        titles += [one["title"] for one in page["documents"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert titles == ["note 5", "note 4", "note 3", "note 2", "note 1"]


async def test_bounds_beyond_every_document_find_them_all(sink: Sink) -> None:
    await sink.hear("search", _1=document("note"))
    found = await sink.ask("/search", from_="1600-01-01T00:00:00Z", to="9999-12-31T23:59:59Z")
    assert found["count"] == 1


async def test_flush_says_how_much_is_unread(sink: Sink) -> None:
    await sink.hear("search", _1=document("one"))
    sink.kit.bus.lags["ALT"] = 3
    told = await sink.routes["POST", "/flush"]()
    assert (told["documents"], told["unread"], told["into_search"]) == (1, 3, {"stored": 1})


async def test_old_claims_and_outcomes_are_forgotten_and_sums_are_not(sink: Sink) -> None:
    await sink.hear("search", _1=document("one"))
    [hourly, _] = [row.handler for row in sink.service.every][:2]
    sink.kit.clock.advance(9 * 86_400)  # type: ignore[attr-defined]
    await hourly()
    await sink.hear("search", _2=document("one"))
    assert sink.sums("search") == {"stored": 2}


async def test_small_files_of_the_lake_become_one_and_a_lake_that_is_away_is_left_for_the_next_time(sink: Sink) -> None:
    for n in range(3):
        await sink.hear("lake", **{f"_{n}": document(f"n{n}")})
    keep = next(row.handler for row in sink.service.every if row.handler.__name__ == "keep")
    sink.lake.away = True
    await keep()
    sink.lake.away = False
    await keep()

    files = DeltaTable(str(sink.kit.suite.var / "lake" / LAKE_DOCUMENTS.name)).file_uris()
    assert (len(files), await sink.in_lake()) == (1, 3)
    assert 'lake_keeping_skipped_total{service="test",table="alt_docs"} 1.0' in sink.kit.meter.exposition().decode()
