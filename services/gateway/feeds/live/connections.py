"""A venue over its own websockets and REST: as many lines as its topics need, and whole books when asked for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import aiohttp
from structlog.typing import FilteringBoundLogger

from services.gateway.feeds.live.dialect import Ask, Dialect, Ear
from services.gateway.feeds.live.line import Line, Pace, Tap
from services.gateway.feeds.live.reading import ERRORS
from services.gateway.feeds.live.rest import Backoff, Rest
from shared.contract.errors import Unavailable
from shared.contract.feeds import Batch, Channel, Denied, Listed, Topic
from shared.kit import Clock, Meter


@dataclass(frozen=True)
class Patience:
    """How lines are read, how soon a broken one is tried again, and how long a REST answer may take."""

    pace: Pace = field(default_factory=Pace)
    again_first_s: float = 0.25
    again_max_s: float = 30.0
    rest_s: float = 10.0


class Connections:
    """A source. It is made within a running loop."""

    def __init__(
        self,
        dialect: Dialect,
        ear: Ear,
        clock: Clock,
        meter: Meter,
        log: FilteringBoundLogger,
        dice: random.Random,
        patience: Patience,
        tap: Tap | None = None,
    ) -> None:
        self._dialect = dialect
        self._ear = ear
        self._clock = clock
        self._meter = meter
        self._log = log.bind(venue=dialect.venue)
        self._dice = dice
        self._patience = patience
        self._tap = tap
        self._session = aiohttp.ClientSession()
        self._rest = Rest(self._session, dialect.limits.weight_per_minute, clock, patience.rest_s)
        self._lines: dict[Line, asyncio.Task[None]] = {}
        self._carried: dict[Topic, Line] = {}
        self._up: set[Topic] = set()
        self._books: dict[str, asyncio.Task[None]] = {}
        self._asked_ns: dict[str, int] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def listing(self) -> Sequence[Listed]:
        answer = await self._ask(self._dialect.listing())
        try:
            return self._dialect.listed(answer)
        except (*ERRORS, ArithmeticError) as error:
            why = f"{type(error).__name__}: {error}"[:200]
            raise Unavailable(f"the venue's listing cannot be read: {why}", retry_after_s=60) from None

    def want(self, topics: Sequence[Topic]) -> None:
        for topic in topics:
            if topic not in self._carried:
                line = self._carried[topic] = self._line_for(self._dialect.address(topic.channel))
                line.want(topic)

    def unwant(self, topics: Sequence[Topic]) -> None:
        for topic in topics:
            line = self._carried.pop(topic, None)
            if line is None:
                continue
            line.unwant(topic)
            if topic.channel is Channel.BOOK and (task := self._books.pop(topic.symbol, None)):
                self._end(task)
            if not line.topics:
                self._end(self._lines.pop(line))
        # What was only waiting for one of these to come up is up.
        self._tell_up(topic.symbol for topic in topics if topic not in self._up)
        self._up.difference_update(topics)

    def resync(self, symbol: str) -> None:
        topic = Topic(Channel.BOOK, symbol)
        line = self._carried.get(topic)
        if line is None or symbol in self._books:
            return
        ask = self._dialect.snapshot(symbol)
        if ask is None:
            line.renew(topic)
        else:
            self._books[symbol] = asyncio.create_task(self._fetch(symbol, ask))

    async def close(self) -> None:
        for task in (*self._lines.values(), *self._books.values()):
            self._end(task)
        self._lines.clear()
        self._books.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self._session.close()

    def _end(self, task: asyncio.Task[None]) -> None:
        """Have it end; `close` waits until it has."""
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    # Lines.

    def _line_for(self, address: str) -> Line:
        room = self._dialect.limits.topics_per_connection
        for line in self._lines:
            if line.address == address and len(line.topics) < room:
                return line
        backoff = Backoff(self._dice, self._patience.again_first_s, self._patience.again_max_s)
        line = Line(address, self._dialect, self, backoff, self._clock, self._patience.pace, self._tap)
        self._lines[line] = asyncio.create_task(line.run(self._session))
        return line

    def heard(self, batch: Batch) -> None:
        for note in batch.notes:
            if isinstance(note, Denied):
                self._log.error("subscription_refused", topic=str(note.topic), why=note.why)
        self._ear.heard(batch)

    def line_up(self, line: Line, topics: Sequence[Topic]) -> None:
        """A symbol is up once all its topics are, over whichever lines."""
        self._up.update(topic for topic in topics if topic in self._carried)
        self._tell_up(topic.symbol for topic in topics)

    def _tell_up(self, symbols: Iterable[str]) -> None:
        followed = {topic.symbol for topic in self._carried}
        partly = {topic.symbol for topic in self._carried.keys() - self._up}
        if whole := [symbol for symbol in dict.fromkeys(symbols) if symbol in followed - partly]:
            self._ear.up(whole)

    def line_down(self, line: Line, why: str) -> None:
        self._up.difference_update(line.topics)
        self._meter.count("feed_disconnects", venue=self._dialect.venue)
        self._log.warning("feed_down", why=why, topics=len(line.topics))
        self._ear.down(list(dict.fromkeys(topic.symbol for topic in line.topics)), why)

    def line_failed(self, error: Exception) -> None:
        self._meter.count("feed_failed", venue=self._dialect.venue)
        self._log.error("feed_failed", exc_info=error)

    # REST.

    async def _fetch(self, symbol: str, ask: Ask) -> None:
        """A whole book, asked for until it comes; never twice at once, and not many times a second."""
        backoff = Backoff(self._dice, self._patience.again_first_s, self._patience.again_max_s)
        lately_ns = self._clock.monotonic_ns() - self._asked_ns.get(symbol, -(1 << 62))
        if lately_ns < 1_000_000_000:
            await self._clock.sleep(backoff.next_s())
        while True:
            try:
                self._asked_ns[symbol] = self._clock.monotonic_ns()
                book = self._dialect.whole(symbol, await self._ask(ask), self._clock.now_ns())
                break
            except (Unavailable, ValueError) as error:
                self._log.warning("book_not_had", symbol=symbol, why=str(error)[:200])
                wait_s = error.retry_after_s if isinstance(error, Unavailable) else 0.0
                await self._clock.sleep(max(wait_s, backoff.next_s()))
        # Before it is heard, since whoever hears it may at once ask again.
        del self._books[symbol]
        self._ear.whole(book)

    async def _ask(self, ask: Ask) -> bytes:
        self._meter.count("feed_requests", venue=self._dialect.venue)
        told_to_wait = self._rest.told_to_wait
        try:
            return await self._rest.get(ask)
        except Unavailable:
            self._meter.count("feed_requests_failed", venue=self._dialect.venue)
            raise
        finally:
            if self._rest.told_to_wait > told_to_wait:
                self._meter.count("feed_told_to_wait", venue=self._dialect.venue)
