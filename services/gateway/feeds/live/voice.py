"""One live venue's voice: trades as frames, in order and none lost lightly; quotes, only the newest of each symbol.

Trades gather while frames are on their way, so that frames grow with the load. While JetStream is away they wait, up to
`ticks_waiting_max`, behind sixteen frames on their way, each of which is said thirty times at most. What is beyond
either is dropped, the oldest first, and counted as `live_ticks_dropped`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from structlog.typing import FilteringBoundLogger

from services.gateway.feeds.flight import Flight
from services.gateway.feeds.live.words import as_columns, as_quote
from services.gateway.feeds.outlet import Outlet
from shared.contract.errors import Unavailable
from shared.contract.feeds import Top, Trade
from shared.contract.ticks import TickColumns
from shared.kit import Clock, Meter

CLOSE_S = 2.0
ENDS = "the gateway ends"


@dataclass(frozen=True)
class Measure:
    """See the settings of the same names."""

    frame_rows: int = 4096
    quote_gap_s: float = 0.02
    ticks_waiting_max: int = 65_536


class Voice:
    """It is made within a running loop. Nothing that hands something over waits."""

    def __init__(
        self, venue: str, measure: Measure, outlet: Outlet, clock: Clock, meter: Meter, log: FilteringBoundLogger
    ) -> None:
        self._venue = venue
        self._measure = measure
        self._outlet = outlet
        self._clock = clock
        self._meter = meter
        self._log = log
        self._flight = Flight(clock)
        self._run = f"{clock.now_ns():x}"
        self._frames = 0
        self._trades: list[Trade] = []
        self._tops: dict[str, Top] = {}
        self._quoted_ns = 0
        self._ending = False
        self._ticks_came = asyncio.Event()
        self._news_came = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = [asyncio.create_task(self._say_ticks()), asyncio.create_task(self._tell_news())]

    def say(self, trades: Sequence[Trade]) -> None:
        """Trades, to be said in this order."""
        self._trades += trades
        if over := max(0, len(self._trades) - self._measure.ticks_waiting_max):
            del self._trades[:over]
            self._drop(over)
        self._ticks_came.set()

    def tell(self, tops: Mapping[str, Top]) -> None:
        """The newest best bids and asks, and whatever else has changed on the board."""
        self._tops.update(tops)
        self._news_came.set()

    def forget(self, symbol: str) -> None:
        """A best bid and ask that has not been told is not to be."""
        self._tops.pop(symbol, None)

    async def close(self) -> None:
        """Say what there is, if that can be done shortly, and end."""
        self._ending = True
        self._ticks_came.set()
        ticks, news = self._tasks
        await asyncio.wait({ticks}, timeout=CLOSE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(ticks, news, return_exceptions=True)
        if self._trades:
            self._drop(len(self._trades), ENDS)
        if self._timer is not None:
            self._timer.cancel()
        await self._flight.abandon()
        await self._outlet.tell_changes()

    # Trades.

    async def _say_ticks(self) -> None:
        rows = self._measure.frame_rows
        while True:
            await self._ticks_came.wait()
            self._ticks_came.clear()
            while self._trades:
                some = self._trades[:rows]
                del self._trades[:rows]
                try:
                    await self._begin(as_columns(self._venue, some))
                except asyncio.CancelledError:
                    self._drop(len(some), ENDS)
                    raise
                except Exception:
                    self._drop(len(some))
                    self._log.exception("ticks_dropped", venue=self._venue)
            if self._ending:
                return

    async def _begin(self, columns: TickColumns) -> None:
        await self._outlet.note(columns)
        self._frames += 1
        await self._flight.begin(partial(self._surely, columns, f"{self._venue}-{self._run}-{self._frames}"))

    async def _surely(self, columns: TickColumns, id: str) -> None:
        try:
            await self._flight.surely(partial(self._outlet.say, columns, id=id))
        except asyncio.CancelledError:
            self._drop(len(columns), ENDS)
            raise
        except Unavailable as error:
            self._drop(len(columns), error.detail)

    def _drop(self, count: int, why: str = "") -> None:
        self._meter.count("live_ticks_dropped", count)
        if why:
            self._log.error("ticks_dropped", venue=self._venue, count=count, why=why)

    # Quotes, and how far feeds can be trusted.

    async def _tell_news(self) -> None:
        while True:
            await self._news_came.wait()
            self._news_came.clear()
            try:
                await self._outlet.tell_changes()
                await self._tell_quotes()
            except Exception:
                self._log.exception("news_not_told", venue=self._venue)

    async def _tell_quotes(self) -> None:
        """The newest of each symbol, at most once in `quote_gap_s`."""
        if not self._tops:
            return
        left_s = self._measure.quote_gap_s - (self._clock.monotonic_ns() - self._quoted_ns) / 1e9
        if left_s > 0:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(left_s, self._ring)
            return
        self._quoted_ns = self._clock.monotonic_ns()
        for symbol in list(self._tops):
            if (top := self._tops.pop(symbol, None)) is None:
                continue  # forgotten meanwhile
            try:
                quote = as_quote(self._venue, top)
            except ValueError as error:
                self._meter.count("feed_garbage", venue=self._venue)
                self._log.warning("feed_garbage", venue=self._venue, last=str(error)[:300])
            else:
                await self._outlet.quote(quote)

    def _ring(self) -> None:
        self._timer = None
        self._news_came.set()
