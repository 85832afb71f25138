"""One replay: a recorded file said again, at its own pace or as fast as the hearers keep up.

At finite speed rows leave when they are due: ticks gathered for a few milliseconds into one frame, quotes one by one in
their place among the ticks (the frame before a quote is stored before the quote is said), at most one per symbol in
`quote_gap_s` of wall time, the newest. At full speed a frame carries as many rows as it may, and after it goes the
newest quote of each symbol in this stretch of the file. Receive times are those of the replay,
event times those of the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from services.gateway.feeds.flight import Flight
from services.gateway.feeds.formats.recording import Recording
from services.gateway.feeds.formats.rows import Account, Ints, Market, Quotes, Rows, Trades
from services.gateway.feeds.outlet import Outlet
from services.gateway.feeds.pacing import Conflation, Pace
from services.gateway.feeds.requests import FULL, ReplayRequest
from services.gateway.feeds.wording import Framing, as_quote, the_end
from shared.contract.errors import Unavailable
from shared.contract.market import Quote
from shared.contract.subjects import TICKS
from shared.kit import Bus, Clock

LAG_EVERY_FRAMES = 64
C = TypeVar("C", Trades, Quotes)


@dataclass(frozen=True)
class Limits:
    """How a replay paces itself; see the settings of the same names."""

    frame_rows: int
    frame_wait_s: float
    quote_gap_s: float
    lag_max: int


@dataclass
class Progress:
    """How far a replay has come, as of the last rows read and said."""

    account: Account
    read: int = 0
    total: int = 0
    ticks_said: int = 0
    quotes_said: int = 0
    frames_said: int = 0
    waiting: bool = False


class Replay:
    """The saying of one recording. `claim` is asked for every market before anything of it is said."""

    def __init__(
        self,
        id: str,
        request: ReplayRequest,
        recording: Recording,
        limits: Limits,
        *,
        outlet: Outlet,
        bus: Bus,
        clock: Clock,
        claim: Callable[[Market], None],
    ) -> None:
        self.id = id
        self.request = request
        self.recording = recording
        self.progress = Progress(replace(recording.account, bad_lines=list(recording.account.bad_lines)))
        self.markets: list[Market] = []
        self._limits = limits
        self._outlet = outlet
        self._bus = bus
        self._clock = clock
        self._claim = claim
        self._framing = Framing(recording.markets.known, id)
        self._flight = Flight(clock)
        self._full = request.speed == FULL
        self._pace = Pace(1.0 if request.speed == FULL else request.speed)
        self._quotes = Conflation(0 if self._full else round(limits.quote_gap_s * 1e9), self._quote)
        self._ahead: asyncio.Task[Rows | None] | None = None
        self._emitted_ns = 0

    @property
    def conflated(self) -> int:
        return self._quotes.conflated

    async def play(self) -> None:
        """Say everything; Refused when the file turns out to be damaged, Unavailable when the bus stays away."""
        while (rows := await self._next_rows()) is not None:
            await self._open_markets()
            if len(rows):
                await self._play_rows(rows)
        for quote in self._quotes.rest():
            await self._say_quote(quote)
        await self._flight.settle()

    async def end(self, why: str) -> None:
        """Close the file and its markets, and say that nothing more comes. Works however far `play` came."""
        if self._ahead is not None:
            await asyncio.wait({self._ahead})
            self._ahead.exception()
        self.recording.close()
        await self._flight.abandon()
        for venue, symbol in self.markets:
            await self._outlet.close(venue, symbol, why)
        for venue in dict.fromkeys(venue for venue, _ in self.markets):
            symbols = [symbol for other, symbol in self.markets if other == venue]
            ended = the_end(venue, symbols, self.id)
            await self._flight.surely(partial(self._outlet.say, ended, id=f"{self.id}-end-{venue}"), attempts=3)

    # Reading, one stretch ahead of saying, in a thread of its own.

    async def _next_rows(self) -> Rows | None:
        reading = self._ahead or asyncio.create_task(asyncio.to_thread(self._read))
        self._ahead = reading
        await asyncio.wait({reading})
        rows = reading.result()
        self._ahead = None if rows is None else asyncio.create_task(asyncio.to_thread(self._read))
        return rows

    def _read(self) -> Rows | None:
        rows = self.recording.next()
        account = self.recording.account
        self.progress.account = replace(account, bad_lines=list(account.bad_lines))
        self.progress.read, self.progress.total = self.recording.progress()
        return rows

    async def _open_markets(self) -> None:
        for market in self.recording.markets.known[len(self.markets) :]:
            self._claim(market)
            await self._outlet.open(*market)
            self.markets.append(market)

    # Saying.

    async def _play_rows(self, rows: Rows) -> None:
        lines = np.concatenate((rows.trades.line, rows.quotes.line))
        order = np.argsort(lines, kind="stable")
        event_ns = np.concatenate((rows.trades.event_ns, rows.quotes.event_ns))[order]
        due_ns = None if self._full else self._pace.due_ns(event_ns, self._clock.monotonic_ns())
        lines = lines[order]
        if self._full:  # at once, since the board's work grows with the symbols in what it is told of
            await self._note(rows.trades)
        start = 0
        while start < len(lines):
            end = min(start + self._limits.frame_rows, len(lines))
            if due_ns is not None:
                await self._wait(due_ns, start, end)
                due = int(np.searchsorted(due_ns, self._clock.monotonic_ns(), "right"))
                end = max(start + 1, min(due, end))
            end = int(np.searchsorted(lines, lines[end - 1], "right"))  # of a line with several ticks, all
            first, last = int(lines[start]), int(lines[end - 1])
            await self._emit(_within(rows.trades, first, last), _within(rows.quotes, first, last))
            start = end

    async def _wait(self, due_ns: Ints, start: int, end: int) -> None:
        """Until the row is due, and until a frame's worth is, but no longer than a frame may wait."""
        gathered_ns = min(self._emitted_ns + round(self._limits.frame_wait_s * 1e9), int(due_ns[end - 1]))
        until_ns = max(int(due_ns[start]), gathered_ns)
        while (now_ns := self._clock.monotonic_ns()) < until_ns:
            wake_ns = min(until_ns, self._quotes.next_ns() or until_ns)
            await self._clock.sleep(max(0, wake_ns - now_ns) / 1e9)
            for quote in self._quotes.overdue(self._clock.monotonic_ns()):
                await self._say_quote(quote)

    async def _emit(self, trades: Trades, quotes: Quotes) -> None:
        self._emitted_ns = self._clock.monotonic_ns()
        said = self._quotes.take(quotes, trades.line, self._emitted_ns)
        if self._full:
            said = [(len(trades), quote) for _, quote in said]
        begun = 0
        for position, quote in said:
            await self._say_ticks(trades[begun:position])
            await self._say_quote(quote)
            begun = position
        await self._say_ticks(trades[begun:])

    async def _note(self, trades: Trades) -> None:
        for columns in self._framing.frames(trades, self._clock.now_ns()):
            await self._outlet.note(columns)

    async def _say_ticks(self, trades: Trades) -> None:
        if not self._full:
            await self._note(trades)
        for columns in self._framing.frames(trades, self._clock.now_ns()):
            self.progress.frames_said += 1
            self.progress.ticks_said += len(columns)
            await self._flight.begin(partial(self._outlet.say, columns, id=f"{self.id}-{self.progress.frames_said}"))
            if self._full and self.progress.frames_said % LAG_EVERY_FRAMES == 0:
                await self._let_hearers_catch_up()

    async def _say_quote(self, quote: Quote) -> None:
        if not self._full:
            await self._flight.settle()
        self.progress.quotes_said += 1
        await self._outlet.quote(quote.model_copy(update={"receive_ns": self._clock.now_ns()}))

    async def _let_hearers_catch_up(self) -> None:
        try:
            while await self._bus.lag(TICKS) > self._limits.lag_max:
                self.progress.waiting = True
                await self._clock.sleep(0.05)
        except Unavailable:
            # How far they are is not known just now; then the storing of each frame is what holds the replay back.
            await self._flight.settle()
        self.progress.waiting = False

    def _quote(self, quotes: Quotes, row: int) -> Quote:
        return as_quote(self.recording.markets.known, quotes, row, self._clock.now_ns())


def _within(columns: C, first_line: int, last_line: int) -> C:
    return columns[np.searchsorted(columns.line, first_line) : np.searchsorted(columns.line, last_line, "right")]
