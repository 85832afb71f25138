"""The sink of documents, joined to the world.

What is heard goes into the search index and into the lake, each with its own place in the stream, so that one that is
away holds up itself alone: nothing is acknowledged there, and it all waits in the stream. The ledger knows which words
were there before, for both alike, and what became of every message.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from services.sink_alt.core import entries, intake, query
from services.sink_alt.core.intake import WINDOW_NS, Outcome
from services.sink_alt.core.mentions import Mentions
from services.sink_alt.feeds.polling import Poller
from services.sink_alt.settings import Settings
from services.sink_alt.store.ledger import Ledger, Sums
from services.sink_alt.store.shelves import LakeShelf, SearchShelf, Shelf
from shared.contract.base import Symbol
from shared.contract.documents import Category, Document, Wanted
from shared.contract.errors import NotFound
from shared.contract.subjects import ALT, DOCUMENT
from shared.contract.tables import LAKE_DOCUMENTS
from shared.kit import Heard, Kit, Reply, Service, batch, each, get, post
from shared.kit.lake_keeping import Keeper

HOUR_S = 3600


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach the sink, and the documents that it passes on."""
    sink = Sink(kit, settings)
    keeper = Keeper(kit.lake, (LAKE_DOCUMENTS,), settings.lake_old_h, kit.meter, kit.log)
    at_once = settings.documents_at_once
    return Service(
        hears=(
            batch([DOCUMENT], sink.index, count_max=at_once, wait_s=settings.search_wait_s, into=SearchShelf.name),
            batch([DOCUMENT], sink.keep, count_max=at_once, wait_s=settings.lake_wait_s, into=LakeShelf.name),
        ),
        says=(DOCUMENT,),
        serves=(
            get("/search", sink.search),
            get("/documents/{id}", sink.show),
            post("/documents", sink.receive),
            post("/flush", sink.flush),
        ),
        every=(
            each(HOUR_S, sink.forget),
            each(settings.lake_keep_s, keeper.keep),
            *([each(1, sink.poller.poll)] if settings.sources else []),
        ),
        recovers=sink.recover,
        closes=sink.close,
        stats=sink.stats,
    )


class Sink:
    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._clock = kit.clock
        self._bus = kit.bus
        self._search = kit.search
        self._ledger = Ledger(kit.suite.var / "search" / "ledger.db", window_ns=WINDOW_NS)
        self._indexed = SearchShelf(kit.search, self._ledger, kit.clock)
        self._kept = LakeShelf(kit.lake, self._ledger, kit.clock)
        mentions = Mentions(settings.names, kit.instruments)
        self.poller = Poller(kit, settings, self._ledger, partial(entries.documents, mentions=mentions))
        self._sums: Sums = {}

    # What it hears.

    async def index(self, heard: list[Heard[Document]]) -> None:
        await self._take(self._indexed, heard)

    async def keep(self, heard: list[Heard[Document]]) -> None:
        await self._take(self._kept, heard)

    async def _take(self, shelf: Shelf, heard: list[Heard[Document]]) -> None:
        documents = {(one.sequence, one.message.id): one.message for one in heard}
        async with shelf.busy:
            await shelf.mend()
            claims = await self._ledger.unsettled(shelf.name, list(documents), self._clock.now_ns())
            outcomes = {
                letter: intake.verdict(documents[letter], first=first, heard_ns=heard_ns)
                for letter, (first, heard_ns) in claims.items()
            }
            stored = {letter: documents[letter] for letter, one in outcomes.items() if one is Outcome.STORED}
            await shelf.write(outcomes, stored)
            self._sums = await self._ledger.sums()

    # What it is asked.

    async def search(
        self,
        q: str | None = None,
        symbol: Symbol | None = None,
        category: Category | None = None,
        from_: Annotated[str | None, Field(alias="from")] = None,
        to: str | None = None,
        limit: Annotated[int, Field(ge=1, le=100)] = 20,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """The best first, of equally good ones the newest; without words, the newest first."""
        start_ns, end_ns, after = query.moment(from_, "from"), query.moment(to, "to"), query.read(cursor)
        wanted = Wanted(query.terms(q), symbol, category, start_ns, end_ns, limit + 1, after)
        found = await self._search.find(wanted)
        page = found[:limit]
        more = query.written(page[-1].place) if len(found) > limit else None
        return {"count": len(page), "documents": [intake.excerpt(one) for one in page], "next_cursor": more}

    async def show(self, id: str) -> dict[str, Any]:
        if (document := await self._search.get(id)) is None:
            raise NotFound(f"there is no document {id}; one that was just sent can be found a moment later", field="id")
        return {"id": id, **document.model_dump(mode="json")}

    async def receive(self, body: Document) -> Reply:
        """Pass a document on; once this is answered, the stream has it."""
        document = intake.received(body, self._clock.now_ns())
        await self._bus.say(DOCUMENT, document)
        return Reply({"id": document.id}, status=202, headers={"Location": f"/documents/{document.id}"})

    async def flush(self) -> dict[str, Any]:
        """Return once what is in hand is written and can be found, with how much of the stream is still unread."""
        async with self._indexed.busy, self._kept.busy:
            documents = await self._search.settle()
        return {"flushed": True, "documents": documents, "unread": await self._bus.lag(ALT), **self.stats()}

    # What it does by itself.

    async def recover(self) -> None:
        self._sums = await self._ledger.sums()

    async def forget(self) -> None:
        await self._ledger.forget(self._clock.now_ns())

    async def close(self) -> None:
        await self.poller.close()
        await self._ledger.close()

    def stats(self) -> dict[str, Any]:
        sums = {f"into_{store}": self._sums.get(store, {}) for store in (SearchShelf.name, LakeShelf.name)}
        return sums | self.poller.stats()
