"""Every other venue, through ccxt's websockets. The library speaks to the venue, checks its books and reconnects.

It is loaded when a venue of its is first followed (some 30 MB and a second), in a thread. Books are told whole
at every update, as deep as `LEVELS`. What ccxt has made a float of is written in the fewest digits that give it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from structlog.typing import FilteringBoundLogger

from services.gateway.feeds.live.dialect import Ear, Endpoints
from services.gateway.feeds.live.reading import (
    ERRORS,
    INTEGER_MAX,
    digits,
    note_garbage,
    number,
    plain_symbol,
    trade_id,
)
from shared.contract.errors import Unavailable
from shared.contract.feeds import Batch, BookWhole, Channel, Level, Listed, Top, Topic, Trade
from shared.kit import Clock
from shared.kit.ccxt_classes import ccxt_class, ccxt_venues

if TYPE_CHECKING:  # a gateway that follows no venue does without aiohttp
    from services.gateway.feeds.live.rest import Backoff

PACKAGE = "ccxt.pro"
LEVELS = 50
IDS_KEPT = 2000
TICK_SIZE, DECIMAL_PLACES = 4, 2
OPTIONS = {"enableRateLimit": True, "newUpdates": True, "number": str, "options": {"tradesLimit": IDS_KEPT}}
STANDS_S = 15.0
"""A channel that ccxt has found nothing wrong with for so long is up, though nothing was said: a market may be quiet.
It is longer than ccxt tries to connect."""
END_S = 5.0
"""So long a venue may take to say that it tells of something no more."""
_OF_SEVERAL = "watchBidsAsks"
_NAMES = {
    Channel.TRADES: ("watchTrades",),
    Channel.QUOTES: (_OF_SEVERAL, "watchTicker"),
    Channel.BOOK: ("watchOrderBook",),
}


def venues() -> tuple[str, ...]:
    """Those that ccxt has websockets for, found without loading it."""
    return ccxt_venues(PACKAGE)


class Ccxt:
    """A source. It is made within a running loop. `backoff` makes what says how long to wait after each failure."""

    def __init__(
        self,
        venue: str,
        endpoints: Endpoints | None,
        ear: Ear,
        clock: Clock,
        log: FilteringBoundLogger,
        backoff: Callable[[], Backoff],
    ) -> None:
        self._venue = venue
        self._endpoints = endpoints
        self._ear = ear
        self._clock = clock
        self._log = log.bind(venue=venue)
        self._backoff = backoff
        self._client: Any = None
        self._loading = asyncio.Lock()
        self._words: dict[str, str] = {}
        self._watching: dict[Topic, asyncio.Task[None]] = {}
        self._ending: dict[Topic, asyncio.Task[None]] = {}
        self._up: set[Topic] = set()
        self._ids: dict[str, deque[str]] = {}
        self._books: dict[str, BookWhole] = {}

    @property
    def channels(self) -> frozenset[Channel]:
        """Those the venue has; all that it may have until ccxt is loaded."""
        client = self._client
        return frozenset(channel for channel in Channel if client is None or _name(client, channel))

    async def listing(self) -> Sequence[Listed]:
        """The venue's symbols with their ticks and lots; Unavailable when it cannot be had."""
        client = await self._loaded()
        try:
            markets = (await client.load_markets()).values()
            found = [listed for market in markets if (listed := _listed(market, client.precisionMode)) is not None]
        except Exception as error:
            raise Unavailable(f"{self._venue} does not say what it lists: {_why(error)}", retry_after_s=5) from None
        self._words |= {one.symbol: one.word for one in found}
        return found

    def want(self, topics: Sequence[Topic]) -> None:
        for topic in topics:
            if topic not in self._watching:
                self._watching[topic] = asyncio.create_task(self._watch(topic))

    def unwant(self, topics: Sequence[Topic]) -> None:
        for topic in topics:
            if (task := self._watching.pop(topic, None)) is not None:
                task.cancel()
                self._end(topic)
            if topic.channel is Channel.BOOK:
                self._books.pop(topic.symbol, None)
            elif topic.channel is Channel.TRADES:
                self._ids.pop(topic.symbol, None)
        # What was only waiting for one of these to come up is up.
        waited_for = [topic.symbol for topic in topics if topic not in self._up]
        self._up.difference_update(topics)
        for symbol in dict.fromkeys(waited_for):
            self._tell_up(symbol)

    def resync(self, symbol: str) -> None:
        """Every update is a whole book: the newest is told again, if there is one."""
        if symbol in self._books:
            asyncio.get_running_loop().call_soon(self._tell_again, symbol)

    async def close(self) -> None:
        tasks = [*self._watching.values(), *self._ending.values()]
        self._watching.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def _loaded(self) -> Any:
        async with self._loading:
            if self._client is None:
                kind = await asyncio.to_thread(ccxt_class, PACKAGE, self._venue)
                client = kind(OPTIONS)
                if self._endpoints is not None:
                    client.urls["api"] = _elsewhere(client.urls["api"], self._endpoints)
                self._client = client
        return self._client

    # Watching.

    async def _watch(self, topic: Topic) -> None:
        """One channel of one symbol, for ever."""
        symbol, backoff = topic.symbol, self._backoff()
        if ending := self._ending.get(topic):
            await asyncio.wait({ending})
        while True:
            try:
                client = await self._loaded()
                batch = self._read(topic, await self._heard(client, topic))
            except Exception as error:
                # Whatever a library of a hundred venues may raise: this channel is down until it works again.
                self._log.warning("feed_failed", symbol=symbol, channel=topic.channel, why=_why(error))
                self._up.discard(topic)
                # Changes may be missing from it now: only one that comes after this is told.
                self._books.pop(symbol, None)
                self._ear.down([symbol], f"ccxt: {_why(error)}")
                await self._clock.sleep(backoff.next_s())
                continue
            backoff.well()
            self._stands(topic)
            self._ear.heard(batch)

    async def _heard(self, client: Any, topic: Topic) -> Any:
        """What is said next; the channel is up by then, or sooner when nothing goes wrong for long."""
        if topic in self._up:
            return await self._said(client, topic)
        standing = asyncio.get_running_loop().call_later(STANDS_S, self._stands, topic)
        try:
            return await self._said(client, topic)
        finally:
            standing.cancel()

    def _stands(self, topic: Topic) -> None:
        if topic not in self._up:
            self._up.add(topic)
            self._tell_up(topic.symbol)

    def _tell_up(self, symbol: str) -> None:
        """A symbol is up once all its channels are."""
        followed = {topic for topic in self._watching if topic.symbol == symbol}
        if followed and followed <= self._up:
            self._ear.up([symbol])

    async def _said(self, client: Any, topic: Topic) -> Any:
        name = _name(client, topic.channel)
        if not name:
            raise ValueError(f"{self._venue} has no {topic.channel}")
        word = self._words[topic.symbol]
        if name != _OF_SEVERAL:
            return await getattr(client, name)(word)
        tops = await getattr(client, name)([word])
        return tops.get(word, tops)

    def _end(self, topic: Topic) -> None:
        """Have the venue tell of it no more, where ccxt can say so."""
        name = _name(self._client, topic.channel) if self._client else ""
        if name and topic not in self._ending and self._client.has.get(f"unW{name[1:]}"):
            ending = self._ending[topic] = asyncio.create_task(self._unwatch(topic, name))
            ending.add_done_callback(lambda _: self._ending.pop(topic))

    async def _unwatch(self, topic: Topic, name: str) -> None:
        try:
            word = self._words[topic.symbol]
            async with asyncio.timeout(END_S):
                await getattr(self._client, f"unW{name[1:]}")([word] if name == _OF_SEVERAL else word)
        except Exception as error:
            self._log.warning("not_unsubscribed", symbol=topic.symbol, channel=topic.channel, why=_why(error))

    def _read(self, topic: Topic, said: Any) -> Batch:
        now_ns, symbol = self._clock.now_ns(), topic.symbol
        match topic.channel:
            case Channel.TRADES:
                return self._trades(symbol, said, now_ns)
            case Channel.QUOTES:
                return Batch(tops=[_top(said, symbol, now_ns)])
            case Channel.BOOK:
                bids, asks = _levels(said["bids"]), _levels(said["asks"])
                book = BookWhole(0, symbol, _event_ns(said, now_ns), now_ns, bids, asks)
                self._books[symbol] = book
                return Batch(books=[book])

    def _trades(self, symbol: str, said: Iterable[dict[str, Any]], now_ns: int) -> Batch:
        """Those not told before; one that cannot be read costs itself alone."""
        batch, known = Batch(), self._ids.setdefault(symbol, deque(maxlen=IDS_KEPT))
        for one in said:
            try:
                trade = _trade(one, symbol, now_ns)
            except (*ERRORS, ArithmeticError) as error:
                note_garbage(batch, error)
                continue
            if trade.trade_id not in known:
                known.append(trade.trade_id)
                batch.trades.append(trade)
        return batch

    def _tell_again(self, symbol: str) -> None:
        if symbol in self._books and Topic(Channel.BOOK, symbol) in self._watching:
            self._ear.heard(Batch(books=[self._books[symbol]]))


def _name(client: Any, channel: Channel) -> str:
    """What ccxt calls the watching of a channel; "" where the venue has none."""
    return next((name for name in _NAMES[channel] if client.has.get(name)), "")


def _listed(market: dict[str, Any], mode: int) -> Listed | None:
    """A line of the listing; None for what has no place here, such as most options."""
    try:
        symbol = plain_symbol(market["symbol"])
    except ValueError:
        return None
    steps = market.get("precision", {})
    tick, lot = (_step(steps.get(name), mode) for name in ("price", "amount"))
    return Listed(symbol, market["symbol"], tick, lot, market.get("active") is not False)


def _step(precision: Any, mode: int) -> Decimal:
    """0 where the venue does not say it as a step."""
    if precision is None or mode not in (TICK_SIZE, DECIMAL_PLACES):
        return Decimal(0)
    value = Decimal(str(precision))
    return value.normalize() if mode == TICK_SIZE else Decimal(1).scaleb(-int(value))


def _trade(said: dict[str, Any], symbol: str, now_ns: int) -> Trade:
    price, quantity, side = _digits(said["price"]), _digits(said["amount"]), said.get("side")
    event_ns = _event_ns(said, now_ns)
    id = trade_id(str(said.get("id") or f"{event_ns}-{price}-{quantity}-{side}"))
    taker = 1 if side == "buy" else -1 if side == "sell" else 0
    return Trade(0, symbol, event_ns, now_ns, number(price), number(quantity), taker, id)


def _top(said: dict[str, Any], symbol: str, now_ns: int) -> Top:
    bid, ask = _digits(said.get("bid")), _digits(said.get("ask"))
    bid_quantity, ask_quantity = _digits(said.get("bidVolume")), _digits(said.get("askVolume"))
    return Top(0, symbol, _event_ns(said, now_ns), now_ns, bid, bid_quantity, ask, ask_quantity)


def _levels(rows: Iterable[Sequence[Any]]) -> list[Level]:
    return [(_digits(row[0]), _digits(row[1])) for row in list(rows)[:LEVELS]]


def _digits(value: Any) -> str:
    """A number in plain digits; "" where there is none."""
    if isinstance(value, float):
        return digits(f"{Decimal(repr(value)):f}")
    return digits(None if value is None else str(value))


def _event_ns(said: dict[str, Any], now_ns: int) -> int:
    at_ms = said.get("timestamp")
    return at_ms * 1_000_000 if isinstance(at_ms, int) and 0 < at_ms <= INTEGER_MAX // 1_000_000 else now_ns


def _elsewhere(urls: Any, endpoints: Endpoints) -> Any:
    """ccxt's addresses, with another machine in place of the venue's."""
    if isinstance(urls, dict):
        return {name: _elsewhere(one, endpoints) for name, one in urls.items()}
    scheme, _, rest = str(urls).partition("://")
    base = endpoints.stream if scheme.startswith("ws") else endpoints.rest
    path = rest.partition("/")[2]
    return f"{base}/{path}" if base and path else base or urls


def _why(error: Exception) -> str:
    return f"{type(error).__name__} {error}"[:200]
