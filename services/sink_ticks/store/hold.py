"""Holds: rows that wait for the lake's next commit, and how far in their stream the last one went."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from shared.contract.errors import Unavailable
from shared.contract.tables import LakeTable
from shared.kit import Lake, Span
from shared.kit.columns import warm


class Rows(Protocol):
    """Rows of one table, by the numbers of the messages that they are from."""

    def __len__(self) -> int: ...

    def columns(self, after: int = 0) -> Mapping[str, Any]: ...


S = TypeVar("S", bound=Mapping[str, Rows])
"""The rows that wait, by the name of their table."""


class Hold(Generic[S]):
    """Rows of one stream for the tables of the lake that it fills.

    Each table says itself how far it holds the stream. The first table is written last, so that its place is one up to
    which all of them have everything: there the stream is followed from after a restart, and a table that is further
    takes only what it has not. Rows that a commit was tried with stay together until it is known what became of it.
    """

    def __init__(
        self,
        lake: Lake,
        source: str,
        tables: tuple[LakeTable, ...],
        empty: Callable[[], S],
        count: Callable[[str, int], None],
    ) -> None:
        """`count` is told of each write: the table, and how many rows."""
        self.source = source
        self.open = empty()
        self.upto = 0
        self._lake = lake
        self._tables = tables
        self._empty = empty
        self._count = count
        self._places: dict[str, int] = {}
        self._sealed: tuple[S, int, bool] | None = None
        self._anew = False
        self._over = False
        self._committing = asyncio.Lock()

    def __len__(self) -> int:
        """How many rows wait."""
        sealed = self._sealed[0].values() if self._sealed else ()
        return sum(map(len, (*self.open.values(), *sealed)))

    @property
    def place(self) -> int:
        """Up to here the lake has all of the stream; Unavailable while that is not known.

        Of a stream that was made anew it has nothing yet: there it is up to where rows wait.
        """
        if self.known is None:
            raise Unavailable("how far the lake has come is not known yet")
        if self._over:
            return 0
        return self.upto if self._anew or (self._sealed and self._sealed[2]) else self.known

    @property
    def known(self) -> int | None:
        """Up to which message the lake holds the stream that it knows; None while that is not known."""
        return self._places.get(self._tables[0].name)

    async def recall(self) -> None:
        """Learn from the lake how far it has come."""
        for table in self._tables:
            if table.name not in self._places:
                self._places[table.name] = await self._lake.place(table, self.source)

    async def commit(self) -> None:
        """Have the lake take what waits. Unavailable: some of it waits still."""
        async with self._committing:
            if self._sealed is None:
                if not self.upto or (not self._anew and self.upto <= (self.known or 0)):
                    return
                self._sealed, self.open = (self.open, self.upto, self._anew), self._empty()
                self._anew = False
            waiting, upto, anew = self._sealed
            for table in reversed(self._tables):
                if table.name in waiting or table is self._tables[0] or anew:
                    await self._write(table, waiting.get(table.name), upto, anew)
            self._sealed = None

    async def goes_on(self, number: int) -> None:
        """What comes next has this number. If that is no new one, the stream was lost and made anew."""
        if number <= max(self.upto, self.place):
            self._over = True
            await self.commit()
            self.upto, self._anew, self._over = 0, True, False

    async def _write(self, table: LakeTable, rows: Rows | None, upto: int, anew: bool) -> None:
        count = 0
        while (after := self._places[table.name]) < upto or (anew and after != upto):
            columns = rows.columns(0 if anew else after) if rows is not None else _none(table)
            count = len(columns["timestamp"])
            self._places[table.name] = await self._lake.append(table, columns, span=Span(self.source, after, upto))
        self._count(table.name, count)


class Holds(Generic[S]):
    """All of them, each with its stream."""

    def __init__(self, *holds: Hold[S]) -> None:
        self._holds = holds

    async def begin(self) -> None:
        """Learn how far each has come if the lake is there; it may also be learnt later."""
        await asyncio.to_thread(warm)
        with contextlib.suppress(Unavailable):
            await self.recall()

    async def recall(self) -> None:
        """Learn what is not known yet of how far each has come."""
        for hold in self._holds:
            await hold.recall()

    async def commit(self) -> None:
        """Have the lake take all that waits. Unavailable: of each stream some may wait still."""
        for hold in self._holds:
            await hold.commit()

    def stats(self) -> dict[str, Any]:
        return {
            "lake_waiting": {hold.source: len(hold) for hold in self._holds},
            "lake_place": {hold.source: hold.known for hold in self._holds if hold.known is not None},
        }


def _none(table: LakeTable) -> Mapping[str, Any]:
    return {name: [] for name in ("timestamp", *table.columns)}
