"""A venue followed live: subscribed to at the front door, read along with, killed, captured, and replayed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from shared.contract.roster import BY_NAME
from tests.journeys.rig import Suite, running
from tests.mock_venues.kraken import KrakenTongue, made
from tests.mock_venues.server import MockVenue
from tests.servers import wait_until

pytestmark = pytest.mark.suite

DOOR_PORT = BY_NAME["orchestrator"].port
MARKET = {"venue": "kraken", "symbol": "BTCUSD"}


class Played:
    """A mock Kraken in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.venue = self.do(self._begun)

    async def _begun(self) -> MockVenue:
        venue = await MockVenue(KrakenTongue(), made(count=900)).start()
        await venue.play(3)
        return venue

    def do(self, what: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what(), self._loop).result(20)

    def play(self, count: int) -> None:
        self.do(lambda: self.venue.play(count))

    def close(self) -> None:
        self.do(self.venue.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def kraken() -> Iterator[Played]:
    played = Played()
    yield played
    played.close()


@pytest.fixture(scope="module")
def suite(kraken: Played, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    at = kraken.venue.endpoints
    feeds = {"kraken": {"stream_url": at.stream, "rest_url": at.rest, "capture": True}}
    with running(tmp_path_factory.mktemp("live"), GATEWAY_FEEDS=json.dumps(feeds), GATEWAY_SIMULATE="false") as one:
        yield one


def is_live(suite: Suite) -> bool:
    feeds = suite.get("/api/gateway/feeds")
    return any(feed["venue"] == "kraken" and feed["status"] == "LIVE" for feed in feeds)


def reader(suite: Suite, query: str) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{DOOR_PORT + suite.offset}/api/gateway/ws/ticks?{query}", proxy=None)


def trades(kraken: Played) -> int:
    return kraken.venue.tongue.trades.get("XBT/USD", 0)  # type: ignore[attr-defined]


def test_a_venue_is_followed_killed_captured_and_replayed(suite: Suite, kraken: Played) -> None:
    answer = suite.call("POST", "/api/gateway/subscriptions", json=MARKET, status=201)
    assert (answer["id"], answer["listed"]["word"]) == ("kraken-BTCUSD", "XBT/USD")
    wait_until(lambda: is_live(suite), "the feed to be live", 20)
    unheard = trades(kraken)
    with reader(suite, "symbols=btc-usd&depth=2") as stream:
        (market,) = orjson.loads(stream.recv(timeout=20))["markets"]
        assert (market["venue"], len(market["book"]["asks"])) == ("kraken", 2)
        kraken.play(150)
        ticks: list[dict[str, Any]] = []
        while len(ticks) < trades(kraken) - unheard:
            ticks += orjson.loads(stream.recv(timeout=20)).get("ticks", [])
    assert len({tick["trade_id"] for tick in ticks}) == len(ticks) == 50
    suite.await_count("ticks", 50)
    with pytest.raises(InvalidStatus) as refused:
        reader(suite, "symbols=NOPE")
    assert refused.value.response.status_code == 404

    wait_until(lambda: suite.get("/api/gateway/stats").get("captured", 0) > 150, "the capture to be on disk", 20)
    suite.kill("gateway")
    wait_until(lambda: kraken.venue.topics == set(), "the venue to see that it is gone", 20)
    suite.await_ready()
    wait_until(lambda: len(kraken.venue.topics) == 3 and is_live(suite), "the subscription to stand again", 20)
    kraken.play(300)
    suite.await_count("ticks", 150)

    suite.call("DELETE", "/api/gateway/subscriptions/kraken-BTCUSD")
    captured = suite.var / "capture" / "kraken"
    wait_until(lambda: _replayed(suite, captured) == 150, "everything captured to be on disk", 20)


def _replayed(suite: Suite, folder: Any) -> int:
    """How many ticks a replay of what was captured has said, under a name of its own."""
    begun = suite.replay(folder, speed="max", venue="again")
    done = suite.await_replay(begun["id"])
    assert (done["state"], done["bad"], done["format"]) == ("DONE", 0, "raw")
    return done["ticks_said"]
