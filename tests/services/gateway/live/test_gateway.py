"""The whole gateway with live venues: subscribed to at its doors, captured, read along with, and started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from shared.contract.market import FeedStatus, Instrument
from shared.contract.subjects import FEED, FRAME
from shared.contract.ticks import TickColumns
from shared.kit.clock import SystemClock
from shared.kit.fakes import FakeKit
from shared.kit.frames import decode_frame, encode_frame
from shared.kit.web import to_json
from tests.conftest import Closer
from tests.mock_venues import coinbase, kraken
from tests.mock_venues.coinbase import CoinbaseTongue
from tests.mock_venues.kraken import KrakenTongue
from tests.mock_venues.server import MockVenue
from tests.services.gateway.live.running import until
from tests.services.gateway.running import RunningGateway


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    assert left == set()


class Reader:
    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []

    def put(self, message: Any) -> None:
        self.got.append(orjson.loads(to_json(message)))

    async def closed(self) -> None:
        await asyncio.Event().wait()


class House:
    """Two venues, and a gateway that may follow them."""

    def __init__(self, kraken: MockVenue, coinbase: MockVenue) -> None:
        self.venues = {"kraken": kraken, "coinbase": coinbase}
        self.kit = FakeKit("gateway", clock=SystemClock())  # type: ignore[arg-type]

    async def gateway(self, closing: Closer, **venue: Any) -> RunningGateway:
        feeds = {
            name: {"stream_url": one.endpoints.stream, "rest_url": one.endpoints.rest, "capture": True, **venue}
            for name, one in self.venues.items()
        }
        gateway = RunningGateway(self.kit, simulate=False, feeds=feeds)
        closing(gateway.service.closes)  # type: ignore[arg-type]
        await gateway.service.recovers()
        return gateway

    def live_frames(self) -> list[TickColumns]:
        frames = [decode_frame(frame.payload, frame.venue) for frame in self.kit.bus.heard(FRAME)]
        return [frame for frame in frames if not frame.replay]


@pytest.fixture
async def house(closing: Closer) -> House:
    venues = (
        MockVenue(KrakenTongue(("XBT/USD", "ETH/USD")), kraken.made(("XBT/USD", "ETH/USD"), 900)),
        MockVenue(CoinbaseTongue(), coinbase.made(count=900)),
    )
    for venue in venues:
        await venue.start()
        closing(venue.close)
        await venue.play(8)
    return House(*venues)


async def is_live(gateway: RunningGateway, *markets: str) -> bool:
    feeds = (await gateway.request("GET", "/feeds")).json()
    live = {f"{feed['venue']} {feed['symbol']}" for feed in feeds if feed["status"] == "LIVE"}
    return set(markets) <= live


async def until_live(gateway: RunningGateway, *markets: str) -> None:
    async with asyncio.timeout(20):
        while not await is_live(gateway, *markets):
            await asyncio.sleep(0.002)


async def test_a_symbol_subscribed_to_at_the_door_is_live_and_its_book_the_venues(
    house: House, closing: Closer
) -> None:
    gateway = await house.gateway(closing)
    answer = await gateway.request("POST", "/subscriptions", json={"venue": "kraken", "symbol": "BTC/USD"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["listed"] == {
        "symbol": "BTCUSD",
        "word": "XBT/USD",
        "price_tick": "0.00001",
        "lot": "0.00000001",
        "trading": True,
        "differs": None,
    }
    await until_live(gateway, "kraken BTCUSD")
    await house.venues["kraken"].play(300)
    theirs = house.venues["kraken"].tongue.books.ranked("XBT/USD")  # type: ignore[attr-defined]

    async def book() -> dict[str, Any]:
        return (await gateway.request("GET", "/book/BTCUSD", params={"venue": "kraken", "depth": 100})).json()

    async with asyncio.timeout(20):
        while [tuple(level) for level in (await book())["bids"]] != theirs[0]:
            await asyncio.sleep(0.002)
    shown = await book()
    assert [tuple(level) for level in shown["asks"]] == theirs[1]
    assert (shown["status"], shown["sequence"]) == ("LIVE", None)
    assert shown["timestamp"].startswith("2024-08-09T")
    (ticker,) = (await gateway.request("GET", "/tickers")).json()
    assert (ticker["venue"], ticker["last_price"], ticker["ask"]) == ("kraken", "100", "100.01000")


async def test_subscriptions_stand_again_after_a_crash(house: House, closing: Closer) -> None:
    first = await house.gateway(closing)
    await first.request("POST", "/subscriptions", json={"venue": "kraken", "symbol": "BTCUSD"})
    await first.request("POST", "/subscriptions", json={"venue": "coinbase", "symbol": "BTCUSD"})
    await until_live(first, "kraken BTCUSD", "coinbase BTCUSD")
    await first.service.closes()
    house.kit = house.kit.restarted()
    second = await house.gateway(closing)
    await until_live(second, "kraken BTCUSD", "coinbase BTCUSD")
    listed = (await second.request("GET", "/subscriptions")).json()
    assert [one["id"] for one in listed] == ["kraken-BTCUSD", "coinbase-BTCUSD"]
    assert (await second.request("DELETE", "/subscriptions/kraken-BTCUSD")).status_code == 200
    await until(lambda: house.venues["kraken"].topics == set())
    down = [feed for feed in house.kit.bus.heard(FEED) if feed.venue == "kraken"][-1]
    assert (down.status, down.why) == (FeedStatus.DOWN, "no longer subscribed to")


async def test_a_reader_follows_a_live_market(house: House, closing: Closer) -> None:
    gateway = await house.gateway(closing, symbols=["BTCUSD"])
    await until_live(gateway, "kraken BTCUSD", "coinbase BTCUSD")
    read = next(row for row in gateway.service.serves if row.path == "/ws/ticks").handler
    reader = Reader()
    reading = asyncio.create_task(read(reader, "BTCUSD", "coinbase", depth=2))
    await house.venues["coinbase"].play(100)
    await until(lambda: sum(len(one.get("ticks", ())) for one in reader.got) >= 20)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    (market,) = reader.got[0]["markets"]
    assert (market["venue"], market["feed"]["status"], len(market["book"]["bids"]) > 0) == ("coinbase", "LIVE", True)
    assert [one["sequence"] for one in reader.got[1:]] == list(range(1, len(reader.got)))


async def test_a_followed_market_is_not_replayed_over(house: House, closing: Closer, tmp_path: Path) -> None:
    gateway = await house.gateway(closing, symbols=["BTCUSD"])
    path = tmp_path / "a.csv"
    path.write_text("symbol,timestamp,price,quantity\nBTCUSD,1704067200000,1,1\n")
    answer = await gateway.request("POST", "/replay", json={"path": str(path), "venue": "kraken"})
    assert (answer.status_code, answer.json()["code"]) == (409, "VENUE_RESERVED")
    assert "followed live" in answer.json()["detail"]


async def test_a_replayed_market_is_followed_once_it_is_free(house: House, closing: Closer, tmp_path: Path) -> None:
    gateway = await house.gateway(closing)
    path = tmp_path / "a.csv"
    path.write_text("symbol,timestamp,price,quantity\nBTCUSD,1704067200000,1,1\nBTCUSD,1704067260000,1,1\n")
    replay = await gateway.begin(str(path), venue="kraken")
    while not (await gateway.status(replay.id)).ticks_said:
        await asyncio.sleep(0.002)
    words = {"venue": "kraken", "symbol": "BTCUSD"}
    refused = await gateway.request("POST", "/subscriptions", json=words)
    assert (refused.status_code, refused.json()["code"]) == (409, "REPLAY_RUNNING")
    assert (await gateway.request("DELETE", f"/replays/{replay.id}")).status_code == 200
    assert (await gateway.request("POST", "/subscriptions", json=words)).status_code == 201
    await until_live(gateway, "kraken BTCUSD")


def _cut_alike(frames: list[TickColumns], venue: str) -> list[bytes]:
    """Every tick as a frame of its own, without what a replay has as its own: receive time, place and name."""
    return [
        encode_frame(
            TickColumns(
                venue=venue,
                symbols=(frame.symbols[frame.codes[row]],),
                codes=frame.codes[row : row + 1] * 0,
                event_ns=frame.event_ns[row : row + 1],
                receive_ns=frame.receive_ns[row : row + 1] * 0,
                price=frame.price[row : row + 1],
                quantity=frame.quantity[row : row + 1],
                side=frame.side[row : row + 1],
                trade_id=[frame.trade_id[row]],
                sequence=frame.sequence[row : row + 1] * 0,
            )
        )
        for frame in frames
        if frame.venue == venue
        for row in range(len(frame))
    ]


@pytest.mark.parametrize("venue", ["kraken", "coinbase"])
async def test_a_captured_run_replayed_says_the_same_ticks_byte_for_byte(
    house: House, closing: Closer, venue: str
) -> None:
    gateway = await house.gateway(closing, symbols=["BTCUSD"])
    await until_live(gateway, f"{venue} BTCUSD")
    mock = house.venues[venue]
    mock.order("double", "matches" if venue == "coinbase" else "book", count=3)
    mock.order("garble", "matches" if venue == "coinbase" else "trade", count=3)
    await mock.play(300)
    await mock.cut()
    await until(lambda: bool(mock.topics))
    await mock.play()
    await until(lambda: sum(len(frame) for frame in house.live_frames() if frame.venue == venue) > 100)
    await gateway.service.closes()
    live = _cut_alike(house.live_frames(), venue)

    house.kit.bus.said.clear()
    other = RunningGateway(house.kit, simulate=False)
    status = await other.replayed(str(house.kit.suite.var / "capture" / venue), "max")
    assert status.error is None
    assert status.bad > 0
    assert _cut_alike(other.frames(), venue) == live


async def test_a_followed_instrument_with_another_tick_than_ours_is_named_in_the_log(
    house: House, closing: Closer
) -> None:
    words = {"symbol": "BTCUSD", "price_tick": "0.5", "lot": "0.00000001", "quantity_min": "1", "quantity_max": "9"}
    house.kit.__dict__["instruments"] = {"BTCUSD": Instrument.model_validate(words)}
    with structlog.testing.capture_logs() as logs:
        house.kit.log = structlog.get_logger()
        gateway = await house.gateway(closing, symbols=["BTCUSD"])
        await until_live(gateway, "kraken BTCUSD", "coinbase BTCUSD")
    told = {one["venue"]: one["price_tick"] for one in logs if one["event"] == "instrument_differs"}
    assert told == {"kraken": {"ours": "0.5", "theirs": "0.00001"}, "coinbase": {"ours": "0.5", "theirs": "0.01"}}
