"""Binance's market data as a mock venue speaks it, spot and USD-M futures."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from tests.mock_venues.server import Client

Side = dict[str, str]
BEGUN_MS = 1_723_161_600_000


def recording(path: Path, count: int | None = None) -> Iterator[bytes]:
    """The messages of a raw recording; the snapshot that came by REST is none of the stream's."""
    with gzip.open(path) as lines:
        for number, line in enumerate(lines):
            if count is not None and number >= count:
                return
            message = line.rstrip(b"\n").partition(b" ")[2]
            if message.startswith(b'{"stream"'):
                yield message


def made(symbols: Sequence[str] = ("BTCUSDT",), count: int = 300, *, futures: bool = False) -> Iterator[bytes]:
    """A recording made up: in turn a change of the book, a trade and a best bid and ask, for each of the symbols."""
    dice = random.Random(f"{symbols}-{count}")
    newest = dict.fromkeys(symbols, 1000)
    for number in range(count):
        symbol, at_ms = symbols[number // 3 % len(symbols)], BEGUN_MS + number
        head = {"E": at_ms, "T": at_ms, "s": symbol} if futures else {"E": at_ms, "s": symbol}
        if number % 3 == 0:
            before, last = newest[symbol], newest[symbol] + dice.randint(1, 5)
            newest[symbol] = last
            bids = [[f"{100 - place / 100:.2f}", f"{dice.randint(0, 3)}.000"] for place in dice.sample(range(40), 5)]
            asks = [[f"{100.01 + place / 100:.2f}", f"{dice.randint(0, 3)}.000"] for place in dice.sample(range(40), 5)]
            numbers = {"U": before + (2 if futures else 1), "u": last} | ({"pu": before} if futures else {})
            words = {"e": "depthUpdate", **head, **numbers, "b": bids, "a": asks}
            stream = "depth@0ms" if futures else "depth@100ms"
        elif number % 3 == 1:
            words = {"e": "trade", **head, "t": 1 + number // 3 // len(symbols), "p": "100.00", "q": "0.5", "m": True}
            words |= {"T": at_ms} | ({"X": "MARKET"} if futures else {"M": True})
            stream = "trade"
        else:
            words = {"u": number, "s": symbol, "b": "99.99", "B": f"{dice.randint(1, 9)}", "a": "100.01", "A": "2"}
            words |= {"e": "bookTicker", "T": at_ms, "E": at_ms} if futures else {}
            stream = "bookTicker"
        yield orjson.dumps({"stream": f"{symbol.lower()}@{stream}", "data": words})


class BinanceTongue:
    """Books begin empty where the recording of each symbol begins. A snapshot has all levels, whatever was asked for,
    so that books can be compared whole; the real one ends at the 1,000th or 5,000th."""

    def __init__(self, symbols: tuple[str, ...] = ("BTCUSDT",), *, futures: bool = False) -> None:
        self.stream_path = ""
        self.rest_path = "/fapi/v1" if futures else "/api/v3"
        self.futures = futures
        self.symbols = symbols
        self.books: dict[str, tuple[Side, Side]] = {}
        self.last: dict[str, int] = {}
        self.trades: dict[str, list[int]] = {}

    def topic(self, message: bytes) -> str:
        return orjson.loads(message).get("stream", "")

    def keep(self, message: bytes) -> None:
        words = orjson.loads(message)["data"]
        if words.get("e") == "depthUpdate":
            for side, levels in zip(self._book(words["s"]), (words["b"], words["a"]), strict=True):
                for price, quantity in levels:
                    if float(quantity):
                        side[price] = quantity
                    else:
                        side.pop(price, None)
            self.last[words["s"]] = words["u"]
        elif words.get("e") == "trade":
            self.trades.setdefault(words["s"], []).append(words["t"])

    def _book(self, symbol: str) -> tuple[Side, Side]:
        return self.books.setdefault(symbol, ({}, {}))

    def ranked(self, symbol: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """The venue's own book, the best first."""
        bids, asks = self._book(symbol)
        return (
            sorted(bids.items(), key=lambda level: -float(level[0])),
            sorted(asks.items(), key=lambda level: float(level[0])),
        )

    async def asked(self, words: str, client: Client) -> None:
        said = orjson.loads(words)
        match said["method"]:
            case "SUBSCRIBE":
                client.topics |= {topic for topic in said["params"] if self._carries(client.request.path, topic)}
            case "UNSUBSCRIBE":
                client.topics -= set(said["params"])
            case other:
                error = {"code": 2, "msg": f"Invalid request: unknown variant `{other}`"}
                await client.send(orjson.dumps({"error": error, "id": said["id"]}))
                return
        await client.send(orjson.dumps({"result": None, "id": said["id"]}))

    def _carries(self, path: str, topic: str) -> bool:
        """Futures have an address for books and quotes, and one for trades; another tells nothing."""
        if not self.futures:
            return path == "/stream"
        return path == ("/market/stream" if topic.endswith("@trade") else "/public/stream")

    def rest(self, path: str, query: dict[str, str]) -> Any:
        match path:
            case "/exchangeInfo":
                return {"timezone": "UTC", "symbols": [_listed(symbol) for symbol in self.symbols]}
            case "/depth":
                bids, asks = self.ranked(query["symbol"])
                return {"lastUpdateId": self.last.get(query["symbol"], 0), "bids": bids, "asks": asks}
            case _:
                return None


def _listed(symbol: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "status": "TRADING",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001000"},
        ],
    }
