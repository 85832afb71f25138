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
from services.gateway.feeds.live.reading import digits, number, plain_symbol, trade_id
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
_METHODS = {
    Channel.TRADES: (("watchTrades", "watch_trades"),),
    Channel.QUOTES: (("watchBidsAsks", "watch_bids_asks"), ("watchTicker", "watch_ticker")),
    Channel.BOOK: (("watchOrderBook", "watch_order_book"),),
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
        self._up: set[str] = set()
        self._ids: dict[str, deque[str]] = {}
        self._books: dict[str, BookWhole] = {}

    async def listing(self) -> Sequence[Listed]:
        """The venue's symbols with their ticks and lots; Unavailable when it cannot be had."""
        client = await self._loaded()
        try:
            markets = (await client.load_markets()).values()
        except Exception as error:
            raise Unavailable(f"{self._venue} does not say what it lists: {_why(error)}", retry_after_s=5) from None
        found = [listed for market in markets if (listed := _listed(market, client.precisionMode)) is not None]
        self._words = {one.symbol: one.word for one in found}
        return found

    def want(self, topics: Sequence[Topic]) -> None:
        for topic in topics:
            if topic not in self._watching:
                self._watching[topic] = asyncio.create_task(self._watch(topic))

    def unwant(self, topics: Sequence[Topic]) -> None:
        for topic in topics:
            if (task := self._watching.pop(topic, None)) is not None:
                task.cancel()
            if topic.channel is Channel.BOOK:
                self._books.pop(topic.symbol, None)
            elif topic.channel is Channel.TRADES:
                self._ids.pop(topic.symbol, None)
        self._up &= {topic.symbol for topic in self._watching}

    def resync(self, symbol: str) -> None:
        """Every update is a whole book: the newest is told again, if there is one."""
        if symbol in self._books:
            asyncio.get_running_loop().call_soon(self._tell_again, symbol)

    async def close(self) -> None:
        tasks = list(self._watching.values())
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
        while True:
            try:
                client = await self._loaded()
                batch = self._read(topic, await self._said(client, topic))
            except Exception as error:
                # Whatever a library of a hundred venues may raise: this channel is down until it works again.
                self._log.warning("feed_failed", symbol=symbol, channel=topic.channel, why=_why(error))
                self._up.discard(symbol)
                self._ear.down([symbol], f"ccxt: {_why(error)}")
                await self._clock.sleep(backoff.next_s())
                continue
            backoff.well()
            if symbol not in self._up:
                self._up.add(symbol)
                self._ear.up([symbol])
            self._ear.heard(batch)

    async def _said(self, client: Any, topic: Topic) -> Any:
        method = next((name for has, name in _METHODS[topic.channel] if client.has.get(has)), None)
        if method is None:
            raise ValueError(f"{self._venue} has no {topic.channel}")
        word = self._words[topic.symbol]
        if method != "watch_bids_asks":
            return await getattr(client, method)(word)
        tops = await client.watch_bids_asks([word])
        return tops.get(word, tops)

    def _read(self, topic: Topic, said: Any) -> Batch:
        now_ns, symbol = self._clock.now_ns(), topic.symbol
        match topic.channel:
            case Channel.TRADES:
                known = self._ids.setdefault(symbol, deque(maxlen=IDS_KEPT))
                trades = [trade for one in said if (trade := _trade(one, symbol, now_ns)).trade_id not in known]
                known.extend(trade.trade_id for trade in trades)
                return Batch(trades=trades)
            case Channel.QUOTES:
                return Batch(tops=[_top(said, symbol, now_ns)])
            case Channel.BOOK:
                bids, asks = _levels(said["bids"]), _levels(said["asks"])
                book = BookWhole(0, symbol, _event_ns(said, now_ns), now_ns, bids, asks)
                self._books[symbol] = book
                return Batch(books=[book])

    def _tell_again(self, symbol: str) -> None:
        if symbol in self._books and Topic(Channel.BOOK, symbol) in self._watching:
            self._ear.heard(Batch(books=[self._books[symbol]]))


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
    return at_ms * 1_000_000 if isinstance(at_ms, int) and at_ms > 0 else now_ns


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
