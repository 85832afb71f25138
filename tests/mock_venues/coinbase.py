"""Coinbase's market data feed as a mock venue speaks it: its topics are `matches BTC-USD`, `level2_batch BTC-USD` …"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from tests.mock_venues.books import Books
from tests.mock_venues.server import Client

CHANNELS = {
    "snapshot": "level2_batch",
    "l2update": "level2_batch",
    "match": "matches",
    "last_match": "matches",
    "ticker": "ticker",
    "heartbeat": "heartbeat",
}


def made(products: Sequence[str] = ("BTC-USD",), count: int = 300) -> Iterator[bytes]:
    """A recording made up: in turn a change of the book, a trade, a best bid and ask, and a heartbeat, for each."""
    dice, trades = random.Random(f"{products}-{count}"), dict.fromkeys(products, 0)
    for number in range(count):
        product = products[number // 4 % len(products)]
        at = {"product_id": product, "time": f"2024-08-09T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"}
        match number % 4:
            case 0:
                places = [(dice.choice(("buy", "sell")), place) for place in dice.sample(range(40), 5)]
                prices = [
                    (side, 100 - place / 100 if side == "buy" else 100.01 + place / 100) for side, place in places
                ]
                changes = [[side, f"{price:.2f}", f"{dice.randint(0, 3)}"] for side, price in prices]
                words = {"type": "l2update", "changes": changes}
            case 1:
                trades[product] += 1
                words = {"type": "match", "trade_id": trades[product], "side": "sell", "size": "0.5", "price": "100.00"}
            case 2:
                words = {"type": "ticker", "sequence": number, "best_bid": "99.99", "best_ask": "100.01"}
                words |= {"best_bid_size": f"{dice.randint(1, 9)}", "best_ask_size": "2"}
            case _:
                words = {"type": "heartbeat", "sequence": number, "last_trade_id": trades[product]}
        yield orjson.dumps(words | at)


class CoinbaseTongue:
    """A subscription to a book is answered with the book, as it stands then, once anything is known of it."""

    stream_path = ""
    rest_path = ""

    def __init__(self, products: tuple[str, ...] = ("BTC-USD",)) -> None:
        self.products = products
        self.books = Books()
        self.trades: dict[str, list[int]] = {}

    def topic(self, message: bytes) -> str:
        said = orjson.loads(message)
        channel = CHANNELS.get(said["type"])
        return f"{channel} {said['product_id']}" if channel else ""

    def keep(self, message: bytes) -> None:
        said = orjson.loads(message)
        match said["type"]:
            case "snapshot":
                self.books.replace(said["product_id"], said["bids"], said["asks"])
            case "l2update":
                bids, asks = (
                    [(price, quantity) for side, price, quantity in said["changes"] if side == which]
                    for which in ("buy", "sell")
                )
                self.books.change(said["product_id"], bids, asks)
            case "match":
                self.trades.setdefault(said["product_id"], []).append(said["trade_id"])
            case _:
                pass

    async def asked(self, words: str, client: Client) -> None:
        said = orjson.loads(words)
        for channel in said["channels"]:
            name = channel["name"]
            for product in channel["product_ids"]:
                if product not in self.products:
                    reason = f"{product} is not a valid product"
                    words_back = {"type": "error", "message": "Failed to subscribe", "reason": reason}
                    await client.send(orjson.dumps(words_back))
                elif said["type"] == "unsubscribe":
                    client.topics.discard(f"{name} {product}")
                else:
                    client.topics.add(f"{name} {product}")
                    await self._begin(name, product, client)
        names = sorted({topic.partition(" ")[0] for topic in client.topics})
        products = {name: [t.partition(" ")[2] for t in client.topics if t.startswith(f"{name} ")] for name in names}
        standing = [{"name": name, "product_ids": products[name]} for name in names]
        await client.send(orjson.dumps({"type": "subscriptions", "channels": standing}))

    async def _begin(self, name: str, product: str, client: Client) -> None:
        """What a new subscription is told first."""
        if name == "level2_batch" and product in self.books:
            bids, asks = self.books.ranked(product)
            await client.send(orjson.dumps({"type": "snapshot", "product_id": product, "bids": bids, "asks": asks}))
        if name == "matches" and (trades := self.trades.get(product)):
            await client.send(orjson.dumps({"type": "last_match", "product_id": product, "trade_id": trades[-1]}))

    def rest(self, path: str, query: dict[str, str]) -> Any:
        if path != "/products":
            return None
        steps = {"quote_increment": "0.01", "base_increment": "0.00000001", "status": "online"}
        return [{"id": product, **steps} for product in self.products]
