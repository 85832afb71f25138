"""The sink, joined to the world.

The tape and the lake hear the same, each at its own pace; while one is away, its share waits in the streams. What comes
to the tape again replaces itself by its key. The lake takes larger pieces, each of which says how far it goes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from services.sink_ticks.core.rows import Make, in_the_lake, on_the_tape, put
from services.sink_ticks.core.sheets import Sheet, Sheets
from services.sink_ticks.settings import Settings
from services.sink_ticks.store import Hold, Holds, Looks, Tally
from shared.contract.subjects import AMENDMENT, BAR, BARS, FRAME, ORDER_RECORD, ORDERS, QUOTE, TICK, TICKS
from shared.contract.tables import LAKE_BARS, LAKE_QUOTES, LAKE_TICKS, TABLES
from shared.kit import Heard, Kit, Service, Unheard, batch, each, follow, get, post
from shared.kit.frames import decode_frame
from shared.kit.lake_keeping import Keeper

MARKET = (TICK, FRAME, AMENDMENT, QUOTE)
ON_THE_TAPE = {table.name: table for table in TABLES}


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach the sink; it says nothing."""
    tape, lake, looks = TapeSink(kit, settings), LakeSink(kit, settings), Looks(kit.tape, kit.lake)
    keeper = Keeper(kit.lake, (LAKE_TICKS, LAKE_QUOTES, LAKE_BARS), settings.lake_old_h, kit.meter, kit.log)
    count, wait_s = settings.messages_at_once, settings.wait_s
    return Service(
        hears=(
            *(batch(some, tape.take, count_max=count, wait_s=wait_s) for some in (MARKET, (BAR,), (ORDER_RECORD,))),
            follow(MARKET, lake.take_market, after=lambda: lake.market.place, count_max=count, into="lake"),
            follow((BAR,), lake.take_bars, after=lambda: lake.bars.place, count_max=count, into="lake"),
        ),
        serves=(
            post("/flush", tape.flush),
            get("/ticks/{symbol}", looks.ticks),
            get("/count/{table}", looks.count),
            post("/lake/flush", lake.flush),
            get("/lake/count/{table}", looks.count_in_lake),
        ),
        every=(
            each(1.0, lake.holds.recall),
            each(settings.lake_commit_s, lake.commit),
            each(settings.lake_keep_s, keeper.keep),
        ),
        recovers=lake.holds.begin,
        closes=lake.commit,
        stats=lambda: {**tape.stats(), **lake.stats()},
    )


class TapeSink:
    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._tape, self._bus = kit.tape, kit.bus
        self._rows_at_once = settings.rows_at_once
        self._tally = Tally("tape", kit.meter)
        self._writing = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def take(self, heard: list[Heard[Any]]) -> Unheard:
        """Write a delivery. Nothing of it is counted or set aside before all of it is on the tape."""
        self._writing += 1
        self._idle.clear()
        try:
            return await self._take(heard)
        finally:
            self._writing -= 1
            if not self._writing:
                self._idle.set()

    async def flush(self) -> dict[str, Any]:
        """Return once what is in hand is written, with what is still unread of each stream."""
        await self._idle.wait()
        lags = {stream.name: await self._bus.lag(stream) for stream in (TICKS, BARS, ORDERS)}
        return {"flushed": True, "unread": lags, **self.stats()}

    def stats(self) -> dict[str, Any]:
        return {"written": dict(self._tally.written)}

    async def _take(self, heard: list[Heard[Any]]) -> Unheard:
        unheard: Unheard = []
        written, sheets = Counter[str](), Sheets()
        for one in heard:
            unheard += _noted(one, sheets, on_the_tape)
            for name in [name for name, sheet in sheets.items() if len(sheet) >= self._rows_at_once]:
                written[name] += await self._write(name, sheets.pop(name))
        for name, sheet in sheets.items():
            written[name] += await self._write(name, sheet)
        for name, count in written.items():
            self._tally.add(name, count)
        return unheard

    async def _write(self, name: str, sheet: Sheet) -> int:
        if len(sheet):
            await self._tape.append(ON_THE_TAPE[name], sheet.columns())
        return len(sheet)


class LakeSink:
    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._tally = Tally("lake", kit.meter)
        self.market = Hold(kit.lake, TICKS.name, (LAKE_TICKS, LAKE_QUOTES), Sheets, self._tally.add)
        self.bars = Hold(kit.lake, BARS.name, (LAKE_BARS,), Sheets, self._tally.add)
        self.holds = Holds(self.market, self.bars)
        self._rows_max = settings.lake_rows

    async def take_market(self, heard: list[Heard[Any]]) -> Unheard:
        return await self._take(heard, self.market)

    async def take_bars(self, heard: list[Heard[Any]]) -> Unheard:
        return await self._take(heard, self.bars)

    async def commit(self) -> None:
        """Have the lake take all that waits."""
        await self.holds.commit()

    async def flush(self) -> dict[str, Any]:
        """Return once all that was heard is in the lake."""
        await self.commit()
        return {"flushed": True, **self.stats()}

    def stats(self) -> dict[str, Any]:
        return {"lake_written": dict(self._tally.written), **self.holds.stats()}

    async def _take(self, heard: list[Heard[Any]], hold: Hold[Sheets]) -> Unheard:
        """Hold a delivery, once there is room for it; without any it waits, and nothing more of its stream is read."""
        if len(hold) >= self._rows_max:
            await hold.commit()
        await hold.goes_on(heard[0].sequence)
        unheard = [left for one in heard for left in _noted(one, hold.open, in_the_lake)]
        hold.upto = heard[-1].sequence
        return unheard


def _noted(one: Heard[Any], sheets: Sheets, make: Make) -> Unheard:
    """Put a message on the sheets of its tables; or which it is, and why it cannot be kept."""
    try:
        if one.subject == FRAME:
            ticks = decode_frame(one.message.payload, one.message.venue)
            sheets.of(LAKE_TICKS).add_ticks(ticks, one.sequence)  # on the tape it has the same name and columns
            return []
        trouble = put(sheets, one.message, one.sequence, make)
    except Exception as error:  # whatever it is, it is this one's alone, and nothing behind it is to wait for it
        trouble = error
    return [(one, trouble)] if trouble else []
