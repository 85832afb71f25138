"""Kraken's websocket, version 1, as a mock venue speaks it. Topics are `book XBT/USD`, `trade XBT/USD` and so on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from tests.mock_venues.books import Books
from tests.mock_venues.server import Client

BEGUN_S = 1_723_161_600


def made(pairs: Sequence[str] = ("XBT/USD",), count: int = 300) -> Iterator[bytes]:
    """A recording made up: in turn a change of the book, a trade and a best bid and ask, for each of the pairs."""
    dice, books = random.Random(f"{pairs}-{count}"), Books(1000)
    for number in range(count):
        pair, time = pairs[number // 3 % len(pairs)], f"{BEGUN_S + number}.{number:06}"
        if number % 3 == 0:
            places = dice.sample(range(15), 4)
            bids = [[f"{100 - place / 100:.5f}", f"{dice.randint(0, 3)}.00000000", time] for place in places]
            asks = [[f"{100.01 + place / 100:.5f}", f"{dice.randint(0, 3)}.00000000", time] for place in places]
            books.change(pair, bids, asks)
            parts: list[Any] = [{"a": asks}, {"b": bids, "c": str(books.checksum(pair))}]
            words = [7, *parts, "book-1000", pair]
        elif number % 3 == 1:
            words = [8, [["100.00000", "0.50000000", time, "b", "l", ""]], "trade", pair]
        else:
            words = [9, ["99.99000", "100.01000", time, f"{dice.randint(1, 9)}.00000000", "2.00000000"], "spread", pair]
        yield orjson.dumps(words)


class KrakenTongue:
    """A subscription to a book is answered with the book, as it stands then, once anything is known of it."""

    stream_path = ""
    rest_path = ""

    def __init__(self, pairs: tuple[str, ...] = ("XBT/USD",)) -> None:
        self.pairs = pairs
        self.books = Books(1000)
        self.trades: dict[str, int] = {}

    def topic(self, message: bytes) -> str:
        said = orjson.loads(message)
        return f"{said[-2].partition('-')[0]} {said[-1]}" if isinstance(said, list) else ""

    def keep(self, message: bytes) -> None:
        said = orjson.loads(message)
        if not isinstance(said, list):
            return
        *_, name, pair = said
        words = {key: value for part in said[1:-2] if isinstance(part, dict) for key, value in part.items()}
        if "as" in words:
            self.books.replace(pair, words["bs"], words["as"])
        elif name.startswith("book"):
            self.books.change(pair, words.get("b", []), words.get("a", []))
        elif name == "trade":
            self.trades[pair] = self.trades.get(pair, 0) + len(said[1])

    async def asked(self, words: str, client: Client) -> None:
        said = orjson.loads(words)
        name = said["subscription"]["name"]
        for pair in said["pair"]:
            topic, begins = f"{name} {pair}", said["event"] == "subscribe"
            status = {"event": "subscriptionStatus", "pair": pair, "subscription": said["subscription"]}
            if pair not in self.pairs:
                refused = {"status": "error", "errorMessage": f"Currency pair not supported {pair}"}
                await client.send(orjson.dumps(status | refused))
                continue
            (client.topics.add if begins else client.topics.discard)(topic)
            await client.send(orjson.dumps(status | {"status": "subscribed" if begins else "unsubscribed"}))
            if begins and name == "book" and pair in self.books:
                await client.send(self._whole(pair))

    def _whole(self, pair: str) -> bytes:
        bids, asks = ([[*level, f"{BEGUN_S}.000000"] for level in side] for side in self.books.ranked(pair))
        return orjson.dumps([7, {"as": asks, "bs": bids}, "book-1000", pair])

    def rest(self, path: str, query: dict[str, str]) -> Any:
        if path != "/0/public/AssetPairs":
            return None
        pairs = {
            pair.replace("/", ""): {"wsname": pair, "pair_decimals": 5, "lot_decimals": 8, "status": "online"}
            for pair in self.pairs
        }
        return {"error": [], "result": pairs}
