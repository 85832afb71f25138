"""OKX's public websocket as a mock venue speaks it, for ccxt. Topics are `books BTC-USDT`, `trades BTC-USDT` …"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from tests.mock_venues.books import Books
from tests.mock_venues.server import Client

BEGUN_MS = 1_723_161_600_000


def made(words: Sequence[str] = ("BTC-USDT",), count: int = 300) -> Iterator[bytes]:
    """A recording made up: in turn a change of the book, a trade and a best bid and ask, for each."""
    dice, states = random.Random(f"{words}-{count}"), dict.fromkeys(words, 1)
    for number in range(count):
        word, at_ms = words[number // 3 % len(words)], str(BEGUN_MS + number)
        if number % 3 == 0:
            places = dice.sample(range(15), 4)
            bids = [[f"{100 - place / 10:.1f}", str(dice.randint(0, 3)), "0", "1"] for place in places]
            asks = [[f"{100.1 + place / 10:.1f}", str(dice.randint(0, 3)), "0", "1"] for place in places]
            before, states[word] = states[word], states[word] + 1
            numbers = {"ts": at_ms, "prevSeqId": before, "seqId": states[word]}
            said = {"action": "update", "data": [{"bids": bids, "asks": asks, **numbers}]}
            channel = "books"
        elif number % 3 == 1:
            trade = {"instId": word, "tradeId": str(number), "px": "100.1", "sz": "0.5", "side": "buy", "ts": at_ms}
            said, channel = {"data": [trade]}, "trades"
        else:
            top = {
                "asks": [["100.1", "2", "0", "1"]],
                "bids": [["100", str(dice.randint(1, 9)), "0", "1"]],
                "ts": at_ms,
            }
            said, channel = {"data": [top]}, "bbo-tbt"
        yield orjson.dumps({"arg": {"channel": channel, "instId": word}, **said})


class OkxTongue:
    """A subscription to a book is answered with the book as it stands then."""

    stream_path = ""
    rest_path = ""

    def __init__(self, words: tuple[str, ...] = ("BTC-USDT",)) -> None:
        self.words = words
        self.books = Books()
        self.states = dict.fromkeys(words, 1)
        self.trades = 0
        self.withheld: set[str] = set()
        """Subscriptions to these channels are not answered."""

    def topic(self, message: bytes) -> str:
        arg = orjson.loads(message)["arg"]
        return f"{arg['channel']} {arg['instId']}"

    def keep(self, message: bytes) -> None:
        said = orjson.loads(message)
        word = said["arg"]["instId"]
        if said["arg"]["channel"] == "books":
            for change in said["data"]:
                self.books.change(word, change["bids"], change["asks"])
                self.states[word] = change["seqId"]
        elif said["arg"]["channel"] == "trades":
            self.trades += len(said["data"])

    async def asked(self, words: str, client: Client) -> None:
        if words == "ping":
            await client.send(b"pong")
            return
        said = orjson.loads(words)
        for arg in said["args"]:
            topic = f"{arg['channel']} {arg['instId']}"
            begins = said["op"] == "subscribe"
            if begins and arg["channel"] in self.withheld:
                continue
            (client.topics.add if begins else client.topics.discard)(topic)
            await client.send(orjson.dumps({"event": said["op"], "arg": arg}))
            if begins and arg["channel"] == "books":
                await client.send(self._whole(arg))

    def _whole(self, arg: dict[str, str]) -> bytes:
        bids, asks = ([[*level, "0", "1"] for level in side] for side in self.books.ranked(arg["instId"]))
        state = {"prevSeqId": -1, "seqId": self.states[arg["instId"]], "ts": str(BEGUN_MS)}
        return orjson.dumps({"arg": arg, "action": "snapshot", "data": [{"bids": bids, "asks": asks, **state}]})

    def rest(self, path: str, query: dict[str, str]) -> Any:
        if path != "/api/v5/public/instruments":
            return None
        listed = [_instrument(word) for word in self.words] if query.get("instType") == "SPOT" else []
        return {"code": "0", "msg": "", "data": listed}


def _instrument(word: str) -> dict[str, str]:
    base, quote = word.split("-")
    steps = {"tickSz": "0.1", "lotSz": "0.00000001", "minSz": "0.00001"}
    return {"instType": "SPOT", "instId": word, "baseCcy": base, "quoteCcy": quote, "state": "live", **steps}
