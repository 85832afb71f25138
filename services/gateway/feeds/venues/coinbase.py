"""Coinbase's market data feed: trades counted one by one, tops with every trade, books told whole and then by changes.

Its books carry no number. What can be seen to be lost is a trade, since heartbeats tell the number of the newest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import orjson

from services.gateway.feeds.live.dialect import Ask, Endpoints, Limits
from services.gateway.feeds.live.reading import (
    ERRORS,
    digits,
    integer,
    levels,
    nanos,
    note_garbage,
    number,
    plain_symbol,
)
from shared.contract.feeds import (
    Batch,
    BookChange,
    BookWhole,
    Channel,
    Denied,
    Listed,
    Reached,
    Top,
    Topic,
    Trade,
)

_NAMES = {Channel.TRADES: "matches", Channel.QUOTES: "ticker", Channel.BOOK: "level2_batch"}
_NAMED = re.compile(r"(\S+) is not a valid product")


class Coinbase:
    """The public feed, which needs no key."""

    venue = "coinbase"
    channels = frozenset(Channel)
    limits = Limits(topics_per_connection=300, topics_per_word=150, words_per_s=4, weight_per_minute=300, silence_s=15)
    depth_max = None
    checksum = None
    live = Endpoints(stream="wss://ws-feed.exchange.coinbase.com", rest="https://api.exchange.coinbase.com")

    def __init__(self, endpoints: Endpoints | None = None) -> None:
        self._endpoints = endpoints or self.live
        self._words: dict[str, str] = {}

    def listing(self) -> Ask:
        return Ask(f"{self._endpoints.rest}/products")

    def listed(self, answer: bytes) -> list[Listed]:
        products: Any = orjson.loads(answer)
        if not isinstance(products, list):
            raise ValueError(f"the listing must be a list of products, not {answer[:80]!r}")
        found = [_listed(one) for one in products]
        # What is followed and no longer listed still has its word.
        self._words |= {one.symbol: one.word for one in found}
        return found

    def snapshot(self, symbol: str) -> Ask | None:
        return None

    def whole(self, symbol: str, answer: bytes, receive_ns: int) -> BookWhole:
        raise ValueError("a whole book comes with the subscription")

    def address(self, channel: Channel) -> str:
        return self._endpoints.stream

    def subscribe(self, topics: Sequence[Topic], number: int) -> Sequence[str]:
        return [self._word("subscribe", topics)]

    def unsubscribe(self, topics: Sequence[Topic], number: int) -> Sequence[str]:
        return [self._word("unsubscribe", topics)]

    def reader(self) -> Reader:
        return Reader()

    def _word(self, verb: str, topics: Sequence[Topic]) -> str:
        products: dict[str, list[str]] = {}
        for topic in topics:
            products.setdefault(_NAMES[topic.channel], []).append(self._words[topic.symbol])
            if topic.channel is Channel.TRADES:
                products.setdefault("heartbeat", []).append(self._words[topic.symbol])
        channels = [{"name": name, "product_ids": some} for name, some in products.items()]
        return orjson.dumps({"type": verb, "channels": channels}).decode()


def _listed(product: dict[str, Any]) -> Listed:
    trading = product.get("status") == "online" and not product.get("trading_disabled", False)
    tick, lot = Decimal(product["quote_increment"]), Decimal(product["base_increment"])
    return Listed(plain_symbol(product["id"]), product["id"], tick, lot, trading)


class _Snapshot(msgspec.Struct, tag="snapshot", tag_field="type"):
    product_id: str
    bids: list[list[str]]
    asks: list[list[str]]
    time: str = ""


class _Change(msgspec.Struct, tag="l2update", tag_field="type"):
    product_id: str
    changes: list[tuple[str, str, str]]
    time: str


class _Match(msgspec.Struct, tag="match", tag_field="type"):
    product_id: str
    trade_id: int
    side: str
    size: str
    price: str
    time: str


class _LastMatch(msgspec.Struct, tag="last_match", tag_field="type"):
    product_id: str
    trade_id: int


class _Heartbeat(msgspec.Struct, tag="heartbeat", tag_field="type"):
    product_id: str
    last_trade_id: int


class _Ticker(msgspec.Struct, tag="ticker", tag_field="type"):
    product_id: str
    sequence: int
    best_bid: str
    best_ask: str
    best_bid_size: str = ""
    best_ask_size: str = ""
    time: str = ""


class _Subscriptions(msgspec.Struct, tag="subscriptions", tag_field="type"):
    """All that we are subscribed to by now. What the venue refuses comes as an error."""


class _Error(msgspec.Struct, tag="error", tag_field="type"):
    message: str
    reason: str = ""


class _Other(msgspec.Struct):
    type: str


_Said = _Snapshot | _Change | _Match | _LastMatch | _Heartbeat | _Ticker | _Subscriptions | _Error
_SAID = msgspec.json.Decoder(_Said)
_OTHER = msgspec.json.Decoder(_Other)
_KNOWN = {kind.__struct_config__.tag for kind in _Said.__args__}


class Reader:
    """Reads what comes over one connection."""

    def read(self, messages: Sequence[bytes], receive_ns: Sequence[int]) -> Batch:
        batch = Batch()
        for place, message in enumerate(messages):
            try:
                _take(_SAID.decode(message), place, receive_ns[place], batch)
            except (*ERRORS, msgspec.MsgspecError) as error:
                _take_other(message, error, batch)
        return batch


def _take_other(message: bytes, error: Exception, batch: Batch) -> None:
    try:
        if _OTHER.decode(message).type not in _KNOWN:
            batch.other += 1
            return
    except msgspec.MsgspecError:
        pass
    note_garbage(batch, error)


def _take(said: _Said, place: int, at_ns: int, batch: Batch) -> None:
    match said:
        case _Change():
            bids = [(price, quantity) for side, price, quantity in said.changes if side == "buy"]
            asks = [(price, quantity) for side, price, quantity in said.changes if side == "sell"]
            symbol = plain_symbol(said.product_id)
            batch.books.append(BookChange(place, symbol, nanos(said.time), at_ns, bids, asks))
        case _Match():
            batch.trades.append(_trade(said, place, at_ns))
        case _Ticker():
            batch.tops.append(_top(said, place, at_ns))
        case _Snapshot():
            event_ns = nanos(said.time) if said.time else at_ns
            bids, asks = levels(said.bids), levels(said.asks)
            batch.books.append(BookWhole(place, plain_symbol(said.product_id), event_ns, at_ns, bids, asks))
        case _Heartbeat():
            batch.notes.append(Reached(plain_symbol(said.product_id), said.last_trade_id))
        case _LastMatch():
            batch.notes.append(Reached(plain_symbol(said.product_id), said.trade_id))
        case _Subscriptions():
            pass
        case _Error():
            batch.notes += _denied(said)


def _denied(said: _Error) -> list[Denied]:
    """Where a product is named, each of its channels: which one it was is not said."""
    why, named = f"{said.message}: {said.reason}"[:300], _NAMED.match(said.reason)
    topics = [Topic(channel, plain_symbol(named[1])) for channel in Channel] if named else [None]
    return [Denied(topic, why) for topic in topics]


def _trade(said: _Match, place: int, at_ns: int) -> Trade:
    # The side is that of the order that waited: when it was to sell, a buyer took.
    side = {"sell": 1, "buy": -1}[said.side]
    event_ns, price, quantity = nanos(said.time), number(said.price), number(said.size)
    symbol = plain_symbol(said.product_id)
    counted = integer(said.trade_id)
    return Trade(place, symbol, event_ns, at_ns, price, quantity, side, str(counted), counted)


def _top(said: _Ticker, place: int, at_ns: int) -> Top:
    bid, ask = digits(said.best_bid), digits(said.best_ask)
    bid_quantity, ask_quantity = digits(said.best_bid_size) if bid else "", digits(said.best_ask_size) if ask else ""
    event_ns = nanos(said.time) if said.time else at_ns
    symbol = plain_symbol(said.product_id)
    return Top(place, symbol, event_ns, at_ns, bid, bid_quantity, ask, ask_quantity, said.sequence)
