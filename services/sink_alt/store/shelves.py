"""The two stores that documents go into, each with the ledger's word on what became of every message."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from services.sink_alt.store.ledger import Ledger, Letter
from shared.contract.documents import Document
from shared.contract.errors import Unavailable
from shared.contract.subjects import DOCUMENT
from shared.contract.tables import LAKE_DOCUMENTS
from shared.kit.clock import Clock
from shared.kit.lake import Lake, Span
from shared.kit.search import Search

SOURCE = DOCUMENT.pattern
REFUSED = "refused_by_index"


class Shelf(Protocol):
    """One store. `busy` is held by whoever writes."""

    name: str
    busy: asyncio.Lock

    async def mend(self) -> None:
        """Find out about a write that was cut short."""
        ...

    async def write(self, outcomes: Mapping[Letter, str], documents: Mapping[Letter, Document]) -> None:
        """Put documents, which are some of the messages with an outcome; all of it is on disk when this returns."""
        ...


class SearchShelf:
    """The index. To put a document twice does no harm, so an outcome is written down after it came true."""

    name = "search"

    def __init__(self, search: Search, ledger: Ledger, clock: Clock) -> None:
        self.busy = asyncio.Lock()
        self._search = search
        self._ledger = ledger
        self._clock = clock

    async def mend(self) -> None:
        """There is nothing to be found out."""

    async def write(self, outcomes: Mapping[Letter, str], documents: Mapping[Letter, Document]) -> None:
        refused = await self._search.put({id: document for (_, id), document in documents.items()})
        not_taken = {letter: REFUSED for letter in documents if letter[1] in refused}
        await self._ledger.settle(self.name, {**outcomes, **not_taken}, self._clock.now_ns())


class LakeShelf:
    """The lake, which would hold twice what is written twice. So outcomes are written down before, under the number of
    the commit that makes them true, and the lake knows the number of the latest that it has. Of two commits that begin
    at the same place it takes one. Their numbers are times, so that none is taken for another."""

    name = "lake"

    def __init__(self, lake: Lake, ledger: Ledger, clock: Clock) -> None:
        self.busy = asyncio.Lock()
        self._lake = lake
        self._ledger = ledger
        self._clock = clock
        self._place: int | None = None

    async def mend(self) -> None:
        if self._place is None:
            await self._made(await self._lake.place(LAKE_DOCUMENTS, SOURCE))

    async def write(self, outcomes: Mapping[Letter, str], documents: Mapping[Letter, Document]) -> None:
        if not documents:
            await self._ledger.settle(self.name, outcomes, self._clock.now_ns())
            return
        assert self._place is not None, "mend comes first"
        before, self._place = self._place, None
        number = max(before + 1, self._clock.now_ns())
        await self._ledger.begin(number, outcomes)
        span = Span(SOURCE, before, number)
        place = await self._lake.append(LAKE_DOCUMENTS, _columns(list(documents.values())), span=span)
        if place != number:
            raise Unavailable("another process wrote documents into this lake; one suite alone may do so")
        await self._made(place)

    async def _made(self, place: int) -> None:
        await self._ledger.end(self.name, place, self._clock.now_ns())
        self._place = place


def _columns(documents: Sequence[Document]) -> dict[str, list[Any]]:
    rows = {name: [getattr(one, name) for one in documents] for name in LAKE_DOCUMENTS.columns}
    return {"timestamp": [one.event_ns for one in documents], **rows}
