"""Binance's market data, spot and USD-M futures: where it is, how it is asked for, and within which limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

import msgspec

from services.gateway.feeds.live.dialect import Ask, Endpoints, Limits
from services.gateway.feeds.live.reading import plain_symbol
from services.gateway.feeds.venues.binance_words import Reader
from shared.contract.feeds import BookWhole, Channel, Checksum, Level, Listed, Topic

STREAMS: Final = {Channel.TRADES: "trade", Channel.QUOTES: "bookTicker"}
LEVELS_ASKED: Final = 1000
SPOT_LIMITS: Final = Limits(
    topics_per_connection=1024, topics_per_word=200, words_per_s=4, weight_per_minute=5000, silence_s=20
)
FUTURES_LIMITS: Final = replace(SPOT_LIMITS, topics_per_connection=200, words_per_s=8, weight_per_minute=2000)


class Snapshot(msgspec.Struct):
    lastUpdateId: int
    bids: list[Level]
    asks: list[Level]
    T: int = 0


class Filter(msgspec.Struct):
    filterType: str
    tickSize: str = ""
    stepSize: str = ""


class Pair(msgspec.Struct):
    symbol: str
    status: str = "TRADING"
    filters: list[Filter] = []


class Listing(msgspec.Struct):
    symbols: list[Pair]


class Binance:
    """Spot."""

    venue = "binance"
    channels = frozenset(Channel)
    limits = SPOT_LIMITS
    depth_max: int | None = None
    checksum: Checksum | None = None
    live = Endpoints("wss://stream.binance.com:9443", "https://api.binance.com/api/v3")
    depth = "depth@100ms"
    snapshot_weight = 50
    listing_weight = 20

    def __init__(self, endpoints: Endpoints | None = None) -> None:
        self._at = endpoints or self.live
        self._words: dict[str, str] = {}

    def listing(self) -> Ask:
        return Ask(f"{self._at.rest}/exchangeInfo", self.listing_weight)

    def listed(self, answer: bytes) -> list[Listed]:
        pairs = msgspec.json.decode(answer, type=Listing).symbols
        found = [_listed(pair) for pair in pairs if pair.symbol.isascii()]
        # What is followed and no longer listed still has its word.
        self._words |= {one.symbol: one.word for one in found}
        return found

    def snapshot(self, symbol: str) -> Ask | None:
        word = self._words.get(symbol, symbol)
        return Ask(f"{self._at.rest}/depth?symbol={word}&limit={LEVELS_ASKED}", self.snapshot_weight)

    def whole(self, symbol: str, answer: bytes, receive_ns: int) -> BookWhole:
        book = msgspec.json.decode(answer, type=Snapshot)
        event_ns = book.T * 1_000_000 or receive_ns
        return BookWhole(0, symbol, event_ns, receive_ns, book.bids, book.asks, book.lastUpdateId)

    def address(self, channel: Channel) -> str:
        return f"{self._at.stream}/stream"

    def subscribe(self, topics: Sequence[Topic], number: int) -> Sequence[str]:
        return (self._asked("SUBSCRIBE", topics, number),)

    def unsubscribe(self, topics: Sequence[Topic], number: int) -> Sequence[str]:
        return (self._asked("UNSUBSCRIBE", topics, number),)

    def _asked(self, method: str, topics: Sequence[Topic], number: int) -> str:
        names = [f"{self._words.get(one.symbol, one.symbol).lower()}@{self._stream(one.channel)}" for one in topics]
        return msgspec.json.encode({"method": method, "params": names, "id": number}).decode()

    def _stream(self, channel: Channel) -> str:
        return STREAMS.get(channel, self.depth)

    def reader(self) -> Reader:
        return Reader()


class BinanceFutures(Binance):
    """USD-M futures: books and quotes come over one address, trades over another."""

    venue = "binance-usdm"
    limits = FUTURES_LIMITS
    live = Endpoints("wss://fstream.binance.com", "https://fapi.binance.com/fapi/v1")
    depth = "depth@0ms"
    snapshot_weight = 20
    listing_weight = 1

    def address(self, channel: Channel) -> str:
        return f"{self._at.stream}/{'market' if channel is Channel.TRADES else 'public'}/stream"


def _listed(pair: Pair) -> Listed:
    filters = {one.filterType: one for one in pair.filters}
    tick, lot = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    return Listed(
        plain_symbol(pair.symbol),
        pair.symbol,
        Decimal((tick and tick.tickSize) or "0").normalize(),
        Decimal((lot and lot.stepSize) or "0").normalize(),
        pair.status == "TRADING",
    )
