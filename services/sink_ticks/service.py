"""The sink, joined to the world.

What is heard is written and then acknowledged. While the tape is away nothing is acknowledged, so everything waits in
its stream and comes again; what comes again replaces itself by the tape's keys.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated, Any

from pydantic import Field

from services.sink_ticks import core
from services.sink_ticks.core import Sheet
from services.sink_ticks.settings import Settings
from shared.contract.base import Symbol, Venue
from shared.contract.subjects import BAR, BARS, FRAME, ORDER_RECORD, ORDERS, QUOTE, TICK, TICKS
from shared.contract.tables import TICKS as TICKS_TABLE
from shared.contract.tables import Table
from shared.kit import Heard, Kit, Service, batch, get, post
from shared.kit.frames import decode_frame


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach the sink; it says nothing."""
    sink = Sink(kit, settings)
    subjects = ((TICK, FRAME, QUOTE), (BAR,), (ORDER_RECORD,))
    return Service(
        hears=tuple(
            batch(some, sink.take, count_max=settings.messages_at_once, wait_s=settings.wait_s) for some in subjects
        ),
        serves=(
            post("/flush", sink.flush),
            get("/ticks/{symbol}", sink.ticks),
            get("/count/{table}", sink.count),
        ),
        stats=sink.stats,
    )


class Sink:
    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._tape = kit.tape
        self._bus = kit.bus
        self._meter = kit.meter
        self._rows_at_once = settings.rows_at_once
        self._written: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._writing = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def take(self, heard: list[Heard[Any]]) -> None:
        """Write a delivery. Nothing of it is counted or set aside before all of it is on the tape."""
        self._writing += 1
        self._idle.clear()
        try:
            await self._take(heard)
        finally:
            self._writing -= 1
            if not self._writing:
                self._idle.set()

    async def flush(self) -> dict[str, Any]:
        """Return once what is in hand is written, with what is still unread of each stream."""
        await self._idle.wait()
        unread = {stream.name: await self._bus.lag(stream) for stream in (TICKS, BARS, ORDERS)}
        return {"flushed": True, "unread": unread, **self.stats()}

    async def ticks(
        self,
        symbol: Symbol,
        venue: Venue | None = None,
        start: str | None = None,
        end: str | None = None,
        limit: Annotated[int, Field(ge=1, le=10_000)] = 1000,
    ) -> dict[str, Any]:
        where = core.condition(TICKS_TABLE, symbol=symbol, venue=venue)
        start_ns, end_ns = core.time_of(start, "start"), core.time_of(end, "end")
        rows = await self._tape.read(TICKS_TABLE, where=where, start_ns=start_ns, end_ns=end_ns, limit=limit)
        return {"symbol": symbol, "count": len(rows), "ticks": [core.shown(row) for row in rows]}

    async def count(self, table: str, symbol: Symbol | None = None, venue: Venue | None = None) -> dict[str, Any]:
        """How many rows a table holds, of one symbol or venue where it has these columns."""
        asked = core.table_named(table)
        where = core.condition(asked, symbol=symbol, venue=venue)
        return {"table": table, "count": await self._tape.count(asked, where=where)}

    def stats(self) -> dict[str, Any]:
        return {"written": dict(self._written), "refused": dict(self._refused)}

    async def _take(self, heard: list[Heard[Any]]) -> None:
        written: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        unreadable: list[tuple[Heard[Any], ValueError]] = []
        waiting: dict[str, Sheet] = {}
        for one in heard:
            try:
                sheets = _noted(one, waiting, refused)
            except ValueError as error:
                unreadable.append((one, error))
                continue
            for sheet in sheets:
                if sheet.count >= self._rows_at_once:
                    written += await self._write(waiting.pop(sheet.table.name))
        for sheet in waiting.values():
            written += await self._write(sheet)
        for one, error in unreadable:
            await self._bus.park(one, error)
        self._count(written, refused)

    async def _write(self, sheet: Sheet) -> Counter[str]:
        if sheet.count:
            await self._tape.append(sheet.table, sheet.columns)
        return Counter({sheet.table.name: sheet.count})

    def _count(self, written: Counter[str], refused: Counter[str]) -> None:
        self._written += written
        self._refused += refused
        for table, count in written.items():
            self._meter.count("rows_written", count, table=table)
        for reason, count in refused.items():
            self._meter.count("rows_refused", count, reason=reason)


def _noted(one: Heard[Any], waiting: dict[str, Sheet], refused: Counter[str]) -> list[Sheet]:
    """Put a message on the sheets of its tables; returns these. ValueError: it cannot be read, and nothing was put."""
    if one.subject == FRAME:
        ticks = decode_frame(one.message.payload, one.message.venue)
        if len(ticks) and (reason := core.refusal(int(ticks.event_ns.max()))):
            refused[reason] += len(ticks)
            return []
        sheet = _sheet(TICKS_TABLE, waiting)
        sheet.add_frame(ticks, one.sequence)
        return [sheet]
    sheets: list[Sheet] = []
    for table, row in core.rows_of(one.message, one.sequence):
        if reason := core.refusal(row[0]):
            refused[reason] += 1
            continue
        sheets.append(_sheet(table, waiting))
        sheets[-1].add(row)
    return sheets


def _sheet(table: Table, waiting: dict[str, Sheet]) -> Sheet:
    return waiting.setdefault(table.name, Sheet(table))
