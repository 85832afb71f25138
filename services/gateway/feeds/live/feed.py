"""One live venue: what its source says goes through the mirror, and from there to the board and out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from services.gateway.feeds.live.dialect import Source
from services.gateway.feeds.live.rest import Backoff
from services.gateway.feeds.live.voice import Voice
from services.gateway.feeds.outlet import Board
from shared.contract.errors import Unavailable
from shared.contract.feeds import Batch, BookWhole, Channel, Listed, Top, Topic, Trade
from shared.contract.market import FeedStatus
from shared.kit import Clock, Meter

NOT_YET = "not connected to the venue yet"
LISTING_AGE_NS = 3_600_000_000_000
LISTING_WAIT_S = 10.0
"""So long a listing is waited for; after that it goes on being asked for."""
GARBAGE_TOLD_NS = 10_000_000_000
"""What cannot be read is always counted, and told in the log no more often than this."""


class News(Protocol):
    """What is wrong with a symbol's data; see the core."""

    @property
    def symbol(self) -> str: ...
    @property
    def status(self) -> FeedStatus | None: ...
    @property
    def why(self) -> str: ...
    @property
    def once(self) -> bool: ...


class Taken(Protocol):
    """What a batch came to; see the core."""

    @property
    def trades(self) -> Sequence[Trade]: ...
    @property
    def tops(self) -> Mapping[str, Top]: ...
    @property
    def news(self) -> Sequence[News]: ...
    @property
    def resync(self) -> Sequence[str]: ...
    @property
    def heard(self) -> Iterable[str]: ...
    @property
    def counts(self) -> Mapping[str, int]: ...


class Mirror(Protocol):
    """What the venue has, mirrored; see the core."""

    def want(self, symbol: str, channel: Channel) -> None: ...

    def unwant(self, symbol: str, channel: Channel) -> News | None: ...

    def begin(self, symbols: Iterable[str], now_ns: int) -> Taken: ...

    def end(self, symbols: Iterable[str]) -> None: ...

    def take(self, batch: Batch, now_ns: int) -> Taken: ...

    def whole(self, book: BookWhole, now_ns: int) -> Taken: ...

    def look(self, now_ns: int) -> Taken: ...


class VenueFeed:
    """The ear of one venue's source. `attach` the source before anything is wanted."""

    def __init__(
        self,
        venue: str,
        mirror: Mirror,
        board: Board,
        voice: Voice,
        clock: Clock,
        meter: Meter,
        log: FilteringBoundLogger,
        backoff: Backoff,
    ) -> None:
        self.venue = venue
        self._mirror = mirror
        self._board = board
        self._voice = voice
        self._clock = clock
        self._meter = meter
        self._log = log
        self._backoff = backoff
        self._wanted: dict[Topic, None] = {}
        self._listed: dict[str, Listed] = {}
        self._listed_ns = 0
        self._loading: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[Unavailable | None] | None = None
        self._tell_garbage_ns = 0

    def attach(self, source: Source, listed: Callable[[str, Sequence[Listed]], None] | None = None) -> None:
        """Where its data comes from, and who is told of each listing."""
        self._source = source
        self._note_listing = listed

    def follows(self, symbol: str) -> bool:
        """Whether anything of this symbol is wanted."""
        return any(topic.symbol == symbol for topic in self._wanted)

    @property
    def idle(self) -> bool:
        """Whether nothing is wanted, nor just being asked."""
        return not self._wanted and (self._asking is None or self._asking.done())

    # What is wanted.

    async def listing(self) -> Mapping[str, Listed]:
        """The venue's symbols, asked for once an hour; Unavailable when they cannot be had and never could."""
        if not self._listed or self._clock.monotonic_ns() - self._listed_ns > LISTING_AGE_NS:
            asking = self._asking
            if asking is None or asking.done():
                asking = self._asking = asyncio.create_task(self._ask_listing())
            await asyncio.wait({asking}, timeout=LISTING_WAIT_S)
            if not self._listed:
                late = Unavailable(f"{self.venue} has not said yet what it lists", retry_after_s=LISTING_WAIT_S)
                raise (asking.result() if asking.done() else None) or late
        return self._listed

    async def _ask_listing(self) -> Unavailable | None:
        """Why it cannot be had, if it cannot."""
        try:
            listed = {one.symbol: one for one in await self._source.listing()}
        except Unavailable as error:
            return error
        if not listed:
            return Unavailable(f"{self.venue} lists nothing", retry_after_s=60)
        self._listed, self._listed_ns = listed, self._clock.monotonic_ns()
        if self._note_listing is not None:
            self._note_listing(self.venue, list(listed.values()))
        return None

    def want(self, topics: Sequence[Topic]) -> None:
        """From now on these; Conflict when there are too many markets. A symbol that is not listed stays DOWN."""
        new = [topic for topic in topics if topic not in self._wanted]
        known = {topic.symbol for topic in self._wanted}
        for symbol in dict.fromkeys(topic.symbol for topic in new):
            again = symbol in known
            self._board.open(self.venue, symbol, self._clock.now_ns(), again=again, cut_off=NOT_YET)
        for topic in new:
            self._wanted[topic] = None
            self._mirror.want(topic.symbol, topic.channel)
        self._voice.tell({})
        if self._listed:
            self._subscribe(new)
        elif self._loading is None:
            self._loading = asyncio.create_task(self._load())

    def unwant(self, topics: Sequence[Topic]) -> None:
        """No longer these; a symbol without any is DOWN."""
        gone = [topic for topic in topics if topic in self._wanted]
        news: dict[str, News | None] = {}
        for topic in gone:
            del self._wanted[topic]
            news[topic.symbol] = self._mirror.unwant(topic.symbol, topic.channel) or news.get(topic.symbol)
        for symbol, one in news.items():
            left = {topic.channel for topic in self._wanted if topic.symbol == symbol}
            if not left & {Channel.QUOTES, Channel.BOOK}:
                self._voice.forget(symbol)
                self._board.forget_quote(self.venue, symbol)
            if not left:
                self._board.close(self.venue, symbol, "no longer subscribed to", self._clock.now_ns())
            elif one is not None:
                self._doubt(symbol, one.status, one.why)
        self._source.unwant(gone)
        self._voice.tell({})

    async def _load(self) -> None:
        """The listing, asked for until it is there; then what is wanted can be subscribed to."""
        while not self._listed:
            try:
                await self.listing()
            except Unavailable as error:
                self._log.warning("listing_not_had", venue=self.venue, why=error.detail)
                for symbol in dict.fromkeys(topic.symbol for topic in self._wanted):
                    self._doubt(symbol, FeedStatus.DOWN, f"the venue's listing cannot be had: {error.detail}")
                self._voice.tell({})
                await self._clock.sleep(max(error.retry_after_s, self._backoff.next_s()))
        self._loading = None
        self._subscribe(list(self._wanted))

    def _subscribe(self, topics: Sequence[Topic]) -> None:
        unlisted = dict.fromkeys(topic.symbol for topic in topics if topic.symbol not in self._listed)
        for symbol in unlisted:
            self._doubt(symbol, FeedStatus.DOWN, f"{self.venue} lists no {symbol}")
            self._log.error("symbol_not_listed", venue=self.venue, symbol=symbol)
        self._source.want([topic for topic in topics if topic.symbol not in unlisted])
        self._voice.tell({})

    # What is heard.

    def heard(self, batch: Batch) -> None:
        if batch.garbage:
            self._meter.count("feed_garbage", batch.garbage, venue=self.venue)
            if (now_ns := self._clock.monotonic_ns()) >= self._tell_garbage_ns:
                self._tell_garbage_ns = now_ns + GARBAGE_TOLD_NS
                self._log.warning("feed_garbage", venue=self.venue, count=batch.garbage, last=batch.reason)
        self._act(self._mirror.take(batch, self._clock.now_ns()))

    def whole(self, book: BookWhole) -> None:
        self._act(self._mirror.whole(book, self._clock.now_ns()))

    def up(self, symbols: Sequence[str]) -> None:
        now_ns = self._clock.now_ns()
        for symbol in symbols:
            self._board.open(self.venue, symbol, now_ns, again=True)
        self._act(self._mirror.begin(symbols, now_ns))

    def down(self, symbols: Sequence[str], why: str) -> None:
        self._mirror.end(symbols)
        for symbol in symbols:
            self._doubt(symbol, FeedStatus.DOWN, why)
        self._voice.tell({})

    def look(self) -> None:
        """What time alone brings about; to be called about once a second."""
        self._act(self._mirror.look(self._clock.now_ns()))

    def _act(self, taken: Taken) -> None:
        for what, count in taken.counts.items():
            self._meter.count(what, count, venue=self.venue)
        if taken.heard:
            self._board.note_heard(self.venue, taken.heard, self._clock.now_ns())
        for news in taken.news:
            if news.status is FeedStatus.GAP:
                self._log.warning("feed_gap", venue=self.venue, symbol=news.symbol, why=news.why)
            self._doubt(news.symbol, news.status, news.why, once=news.once)
        for symbol in taken.resync:
            self._source.resync(symbol)
        if taken.trades:
            self._voice.say(taken.trades)
        if taken.tops or taken.news or taken.heard:
            self._voice.tell(taken.tops)

    def _doubt(self, symbol: str, status: FeedStatus | None, why: str, *, once: bool = False) -> None:
        self._board.doubt(self.venue, symbol, status, why, self._clock.now_ns(), once=once)

    async def close(self) -> None:
        """End the source first, so that what it has said can still be said on."""
        tasks = [task for task in (self._loading, self._asking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await self._source.close()
        except Exception:
            # What it has said is still to be said on.
            self._log.exception("source_not_closed", venue=self.venue)
        for symbol in dict.fromkeys(topic.symbol for topic in self._wanted):
            self._board.close(self.venue, symbol, "the gateway ends", self._clock.now_ns())
        self._voice.tell({})
        await self._voice.close()
