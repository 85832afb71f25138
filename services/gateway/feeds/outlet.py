"""The outlet: what every feed hands its ticks and quotes to, so that nothing is said that the board has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from shared.contract.base import Message
from shared.contract.errors import Unavailable
from shared.contract.market import Feed, FeedStatus, Frame, Quote
from shared.contract.subjects import FEED, FRAME, QUOTE, Subject
from shared.contract.ticks import TickColumns
from shared.kit import Bus, Clock, Meter
from shared.kit.frames import encode_frame

M = TypeVar("M", bound=Message)


class Board(Protocol):
    """What is known of every market; see the core."""

    def open(self, venue: str, symbol: str, now_ns: int, *, again: bool = False, cut_off: str = "") -> None: ...

    def close(self, venue: str, symbol: str, why: str, now_ns: int) -> None: ...

    def doubt(
        self, venue: str, symbol: str, status: FeedStatus | None, why: str, now_ns: int, *, once: bool = False
    ) -> None: ...

    def note_heard(self, venue: str, symbols: Iterable[str], now_ns: int) -> None: ...

    def note_ticks(self, columns: TickColumns, now_ns: int) -> None: ...

    def note_quote(self, quote: Quote, now_ns: int) -> None: ...

    def forget_quote(self, venue: str, symbol: str) -> None: ...

    def changed(self) -> Sequence[Feed]: ...


class Audience(Protocol):
    """Those who read along; see the core."""

    def ticks(self, columns: TickColumns) -> None: ...

    def quote(self, quote: Quote) -> None: ...

    def feed(self, feed: Feed) -> None: ...


class Outlet:
    """Says ticks and quotes, and notes them on the board, which then may say that a feed's status has changed."""

    def __init__(self, bus: Bus, clock: Clock, meter: Meter, board: Board, audience: Audience) -> None:
        self._bus = bus
        self._clock = clock
        self._meter = meter
        self._board = board
        self._audience = audience

    async def open(self, venue: str, symbol: str, *, again: bool = False) -> None:
        """A source of this market begins to run."""
        self._board.open(venue, symbol, self._clock.now_ns(), again=again)
        await self.tell_changes()

    async def close(self, venue: str, symbol: str, why: str) -> None:
        """A source of this market no longer runs."""
        self._board.close(venue, symbol, why, self._clock.now_ns())
        await self.tell_changes()

    async def note(self, columns: TickColumns) -> None:
        """Ticks that are about to be said."""
        self._board.note_ticks(columns, self._clock.now_ns())
        self._meter.count("ticks", len(columns), venue=columns.venue)
        self._audience.ticks(columns)
        await self.tell_changes()

    async def say(self, columns: TickColumns, *, id: str) -> None:
        """Ticks as one frame; returns once it is stored."""
        await self._bus.say(FRAME, Frame(venue=columns.venue, payload=encode_frame(columns)), id=id)
        self._meter.count("frames", venue=columns.venue)

    async def quote(self, quote: Quote) -> None:
        """A quote, said without waiting."""
        self._board.note_quote(quote, self._clock.now_ns())
        self._meter.count("quotes", venue=quote.venue)
        self._audience.quote(quote)
        await self._tell(QUOTE, quote)
        await self.tell_changes()

    async def tell_changes(self) -> None:
        """Every change of a feed's status that has not been told."""
        for feed in self._board.changed():
            self._audience.feed(feed)
            await self._tell(FEED, feed)

    async def tell_anew(self, feeds: Sequence[Feed], quotes: Iterable[Quote]) -> None:
        """What has been told before, for those who came late and those who ask how fresh it is."""
        await self.tell_changes()
        for feed in feeds:
            await self._tell(FEED, feed)
        for quote in quotes:
            await self._tell(QUOTE, quote)

    async def _tell(self, subject: Subject[M], message: M) -> None:
        # Conflated: within a second a newer one is told, so that one the bus cannot take is only counted.
        try:
            await self._bus.tell(subject, message)
        except Unavailable:
            self._meter.count("untold", subject=subject.pattern)
