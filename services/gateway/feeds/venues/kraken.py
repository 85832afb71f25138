"""Kraken's websocket, version 1: books with a checksum over their digits, trades, and best bids and asks.

Messages are lists, told apart by their last but one word; events are objects. Trades carry no id, so that one is made
of what they say. Kraken calls bitcoin XBT.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zlib import crc32

import orjson

from services.gateway.feeds.live.dialect import Ask, Checksum, Endpoints, Limits
from services.gateway.feeds.live.reading import (
    ERRORS,
    digits,
    epoch_ns,
    levels,
    note_garbage,
    number,
    plain_symbol,
    trade_id,
)
from shared.contract.feeds import (
    Batch,
    BookChange,
    BookWhole,
    Channel,
    Denied,
    Level,
    Listed,
    Top,
    Topic,
    Trade,
)

DEPTH = 1000
CHECKED = 10

_NAMES = {Channel.TRADES: "trade", Channel.QUOTES: "spread", Channel.BOOK: "book"}
_CHANNELS = {name: channel for channel, name in _NAMES.items()}
_OURS = {"XBT": "BTC", "XDG": "DOGE"}


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """The sum over the ten best asks, then the ten best bids: their digits without point and leading zeros."""
    best = (*asks[:CHECKED], *bids[:CHECKED])
    return crc32("".join(number.replace(".", "").lstrip("0") for level in best for number in level).encode())


class Kraken:
    """The public feed, which needs no key."""

    venue = "kraken"
    channels = frozenset(Channel)
    limits = Limits(topics_per_connection=150, topics_per_word=50, words_per_s=5, weight_per_minute=60, silence_s=15)
    depth_max = DEPTH
    checksum = Checksum(CHECKED, checksum)
    live = Endpoints(stream="wss://ws.kraken.com", rest="https://api.kraken.com")

    def __init__(self, endpoints: Endpoints | None = None) -> None:
        self._endpoints = endpoints or self.live
        self._words: dict[str, str] = {}

    def listing(self) -> Ask:
        return Ask(f"{self._endpoints.rest}/0/public/AssetPairs")

    def listed(self, answer: bytes) -> list[Listed]:
        said: Any = orjson.loads(answer)
        if not isinstance(said, dict) or said.get("error") or "result" not in said:
            raise ValueError(f"the listing must hold a result, not {answer[:80]!r}")
        found = [_listed(pair) for pair in said["result"].values() if "wsname" in pair]
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
        return self._said("subscribe", topics, number)

    def unsubscribe(self, topics: Sequence[Topic], number: int) -> Sequence[str]:
        return self._said("unsubscribe", topics, number)

    def reader(self) -> Reader:
        return Reader()

    def _said(self, event: str, topics: Sequence[Topic], number: int) -> list[str]:
        said: list[str] = []
        for channel, name in _NAMES.items():
            pairs = [self._words[topic.symbol] for topic in topics if topic.channel is channel]
            wanted = {"name": name, "depth": DEPTH} if channel is Channel.BOOK else {"name": name}
            if pairs:
                words = {"event": event, "pair": pairs, "subscription": wanted, "reqid": number}
                said.append(orjson.dumps(words).decode())
        return said


def _listed(pair: dict[str, Any]) -> Listed:
    tick = Decimal(pair["tick_size"]) if "tick_size" in pair else Decimal(1).scaleb(-int(pair["pair_decimals"]))
    lot = Decimal(1).scaleb(-int(pair["lot_decimals"]))
    return Listed(_symbol(pair["wsname"]), pair["wsname"], tick, lot, pair.get("status", "online") == "online")


@lru_cache(8192)
def _symbol(pair: str) -> str:
    return plain_symbol("".join(_OURS.get(part, part) for part in pair.split("/")))


class Reader:
    """Reads what comes over one connection."""

    def read(self, messages: Sequence[bytes], receive_ns: Sequence[int]) -> Batch:
        batch = Batch()
        for place, message in enumerate(messages):
            try:
                said: Any = orjson.loads(message)
                if isinstance(said, list):
                    _take(said, place, receive_ns[place], batch)
                else:
                    _take_event(said, batch)
            except ERRORS as error:
                note_garbage(batch, error)
        return batch


def _take(said: list[Any], place: int, at_ns: int, batch: Batch) -> None:
    *_, name, pair = said
    channel, symbol = _CHANNELS.get(name.partition("-")[0]), _symbol(pair)
    if channel is Channel.BOOK:
        batch.books.append(_book(said[1:-2], symbol, place, at_ns))
    elif channel is Channel.TRADES:
        batch.trades += _trades(said[1], symbol, place, at_ns)
    elif channel is Channel.QUOTES:
        time = said[1].pop(2)
        bid, ask, bid_quantity, ask_quantity = map(digits, said[1])
        batch.tops.append(Top(place, symbol, epoch_ns(time), at_ns, bid, bid_quantity, ask, ask_quantity))
    else:
        batch.other += 1


def _book(parts: list[dict[str, Any]], symbol: str, place: int, at_ns: int) -> BookChange | BookWhole:
    """Both sides in one part, or each in a part of its own; the checksum is in the last."""
    if not parts:
        raise ValueError("a book of no parts")
    words: dict[str, Any] = {name: value for part in parts for name, value in part.items()}
    whole = "as" in words or "bs" in words
    asks, bids = (words.get(name, []) for name in (("as", "bs") if whole else ("a", "b")))
    times = [epoch_ns(row[2]) for row in (*asks, *bids)]
    event_ns = max(times, default=at_ns)
    sides = levels(bids), levels(asks)
    if whole:
        return BookWhole(place, symbol, event_ns, at_ns, *sides)
    return BookChange(place, symbol, event_ns, at_ns, *sides, checksum=int(words["c"]) if "c" in words else None)


def _trades(rows: list[list[str]], symbol: str, place: int, at_ns: int) -> list[Trade]:
    """Equal trades within a message are told apart by their place among them."""
    trades: list[Trade] = []
    seen: dict[str, int] = {}
    for price, quantity, time, side, *_ in rows:
        words = f"{time}-{price}-{quantity}-{side}"
        again = seen[words] = seen.get(words, -1) + 1
        id = trade_id(f"{words}-{again}" if again else words)
        taker = {"b": 1, "s": -1}[side]
        trades.append(Trade(place, symbol, epoch_ns(time), at_ns, number(price), number(quantity), taker, id))
    return trades


def _take_event(said: dict[str, Any], batch: Batch) -> None:
    is_status = said["event"] == "subscriptionStatus"
    if is_status and said["status"] == "error":
        channel, pair = _CHANNELS.get(said.get("subscription", {}).get("name")), said.get("pair")
        topic = Topic(channel, _symbol(pair)) if channel and pair else None
        batch.notes.append(Denied(topic, str(said.get("errorMessage", "no reason given"))[:300]))
    elif not is_status or said["status"] != "subscribed":
        batch.other += 1
