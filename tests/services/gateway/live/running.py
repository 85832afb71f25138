"""A live feed against a mock venue: real sockets, the real clock, and a bus in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from services.gateway.core.audience import Audience
from services.gateway.core.board import Board
from services.gateway.core.mirror import Mirror, Terms
from services.gateway.feeds.live.connections import Connections, Patience
from services.gateway.feeds.live.dialect import Dialect
from services.gateway.feeds.live.feed import VenueFeed
from services.gateway.feeds.live.line import Pace, Tap
from services.gateway.feeds.live.rest import Backoff
from services.gateway.feeds.live.voice import Measure, Voice
from services.gateway.feeds.outlet import Outlet
from shared.contract.feeds import Channel, Topic
from shared.contract.market import Feed, FeedStatus, Quote
from shared.contract.subjects import FEED, FRAME, QUOTE
from shared.contract.ticks import TickColumns
from shared.kit.clock import Clock, SystemClock
from shared.kit.fakes import FakeBus
from shared.kit.frames import decode_frame
from shared.kit.meter import Meter


def impatient(dialect: Any, **limits: Any) -> Any:
    """A dialect whose limits a test need not wait for."""
    dialect.limits = replace(dialect.limits, **{"words_per_s": 1000.0, "silence_s": 10.0, **limits})
    return dialect


class ImpatientClock(SystemClock):
    """The real one, with which nothing is waited for long."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.01))


class LiveFeed:
    """One venue's feed as the gateway has it."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        stall_s: float = 60,
        terms: Terms | None = None,
        measure: Measure | None = None,
        tap: Tap | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.bus, self.clock = FakeBus(), clock or SystemClock()
        self.meter, log = Meter("gateway"), structlog.get_logger()
        self.board = Board(stale_after_ns=5_000_000_000, markets_max=1000)
        self.mirror = Mirror(terms or Terms(), dialect.depth_max, dialect.checksum)
        dice = random.Random(7)
        outlet = Outlet(self.bus, self.clock, self.meter, self.board, Audience())
        voice = Voice(dialect.venue, measure or Measure(quote_gap_s=0), outlet, self.clock, self.meter, log)
        backoff = Backoff(dice, 0.01, 0.1)
        self.feed = VenueFeed(dialect.venue, self.mirror, self.board, voice, self.clock, self.meter, log, backoff)
        patience = Patience(Pace(stall_s=stall_s), 0.01, 0.1, 5)
        self.source = Connections(dialect, self.feed, self.clock, self.meter, log, dice, patience, tap)
        self.feed.attach(self.source)
        self.venue = dialect.venue

    def want(self, *symbols: str, channels: Sequence[Channel] = tuple(Channel)) -> None:
        self.feed.want([Topic(channel, symbol) for symbol in symbols for channel in channels])

    def status(self, symbol: str) -> FeedStatus:
        return self.board.market(symbol).feed.status

    def told(self, symbol: str) -> list[FeedStatus]:
        """Every status that was said on `feed.>`, in order."""
        return [feed.status for feed in self._said(FEED, Feed) if feed.symbol == symbol]

    def whys(self, symbol: str, status: FeedStatus) -> list[str]:
        return [feed.why for feed in self._said(FEED, Feed) if (feed.symbol, feed.status) == (symbol, status)]

    @property
    def frames(self) -> list[TickColumns]:
        return [decode_frame(message.payload, self.venue) for subject, message in self.bus.said if subject is FRAME]

    @property
    def quotes(self) -> list[Quote]:
        return self._said(QUOTE, Quote)

    def trade_ids(self, symbol: str) -> list[str]:
        return [
            id
            for frame in self.frames
            for code, id in zip(frame.codes, frame.trade_id, strict=True)
            if frame.symbols[code] == symbol
        ]

    def book(self, symbol: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """The book as it is kept here, whole."""
        book = self.mirror.book(symbol)
        assert book is not None
        assert not book.waiting
        book.levels.settle()
        bids, asks = book.levels.depth(1_000_000)
        return list(bids), list(asks)

    def last(self, symbol: str) -> int | None:
        book = self.mirror.book(symbol)
        return book.last if book and not book.waiting else None

    async def close(self) -> None:
        await self.feed.close()

    def _said(self, wanted: Any, kind: type[Any]) -> list[Any]:
        return [message for subject, message in self.bus.said if subject is wanted and isinstance(message, kind)]


async def until(true: Callable[[], object], seconds: float = 20) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.001)
