"""The gateway's doors, its simulated feed, and what it says once a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.contract.market import FeedStatus
from shared.contract.subjects import FEED, QUOTE
from shared.kit.fakes import FakeClock
from tests.services.gateway.files import text_file
from tests.services.gateway.running import StoppedClock, eventually, running_gateway

SYMBOLS = ["AAPL", "BTCUSDT", "ETHUSDT", "SOLUSDT", "SPY"]


async def test_trades_of_all_simulated_symbols_travel_in_one_frame_a_step() -> None:
    clock = FakeClock()
    with running_gateway(clock) as gateway:
        for _ in range(50):
            await gateway.step()
            clock.advance(0.1)
        frames = gateway.frames("sim")
    assert len(frames) <= 50
    assert {frame.symbols[code] for frame in frames for code in frame.codes} == set(SYMBOLS)
    ids = [(frame.symbols[code], id) for frame in frames for code, id in zip(frame.codes, frame.trade_id, strict=True)]
    assert len(ids) == len(set(ids))


async def test_simulated_trades_lie_within_the_quotes_around_them() -> None:
    with running_gateway() as gateway:
        await gateway.step(100)
        for symbol in SYMBOLS:
            quotes = [quote for quote in gateway.kit.bus.heard(QUOTE) if quote.symbol == symbol]
            lowest, highest = min(float(q.bid or 0) for q in quotes), max(float(q.ask or 0) for q in quotes)
            prices = [
                price
                for frame in gateway.frames()
                for code, price in zip(frame.codes, frame.price, strict=True)
                if frame.symbols[code] == symbol
            ]
            assert prices
            assert lowest * 0.999 < min(prices) <= max(prices) < highest * 1.001


async def test_simulated_ticks_that_the_bus_cannot_take_are_counted_and_the_market_goes_on() -> None:
    with running_gateway() as gateway:
        gateway.kit.bus.away = True
        await gateway.step(30)
        assert gateway.kit.meter.totals["simulated_ticks_dropped"] > 0
        gateway.kit.bus.away = False
        await gateway.step(30)
        assert gateway.frames()


async def test_every_feed_is_told_every_second_and_quotes_are_kept_fresh() -> None:
    clock = FakeClock()
    with running_gateway(clock) as gateway:
        await gateway.step()
        clock.advance(1)
        gateway.kit.bus.said.clear()
        await gateway.retell()
        assert sorted(feed.symbol for feed in gateway.kit.bus.heard(FEED)) == SYMBOLS
        quotes = gateway.kit.bus.heard(QUOTE)
        assert sorted(quote.symbol for quote in quotes) == SYMBOLS
        assert {quote.receive_ns for quote in quotes} == {clock.now_ns()}


async def test_a_feed_that_falls_silent_is_stale_and_its_quote_is_not_said_again() -> None:
    clock = FakeClock()
    with running_gateway(clock) as gateway:
        await gateway.step()
        clock.advance(5.1)
        gateway.kit.bus.said.clear()
        await gateway.retell()
        assert {feed.status for feed in gateway.kit.bus.heard(FEED)} == {FeedStatus.STALE}
        assert gateway.kit.bus.heard(QUOTE) == []


async def test_the_tickers_are_listed_and_one_is_found_however_it_is_written() -> None:
    with running_gateway() as gateway:
        await gateway.step(50)
        tickers = (await gateway.request("GET", "/tickers")).json()
        assert sorted(ticker["symbol"] for ticker in tickers) == SYMBOLS
        one = (await gateway.request("GET", "/ticker/btc-usdt")).json()
        assert set(one) == {
            "symbol",
            "venue",
            "last_price",
            "bid",
            "ask",
            "volume_24h",
            "change_24h",
            "timestamp",
        }
        assert one["symbol"] == "BTCUSDT"
        assert float(one["bid"]) < float(one["ask"])
        assert (await gateway.request("GET", "/symbols")).json() == SYMBOLS
        assert [feed["status"] for feed in (await gateway.request("GET", "/feeds")).json()] == ["LIVE"] * 5


async def test_the_book_is_shown_to_the_depth_asked_for() -> None:
    with running_gateway() as gateway:
        await gateway.step(5)
        book = (await gateway.request("GET", "/book/AAPL", params={"depth": 3})).json()
    assert len(book["bids"]) == len(book["asks"]) == 3
    bids, asks = [float(price) for price, _ in book["bids"]], [float(price) for price, _ in book["asks"]]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]


async def test_of_a_replayed_book_the_best_is_shown(tmp_path: Path) -> None:
    path = text_file(
        tmp_path,
        "a.csv",
        "symbol,event_ns,bid,bid_size,ask",
        "AAPL,1704067200000000000,9.5,3,10",
        "AAPL,1804067200000000000,9,3,",
    )
    with running_gateway(StoppedClock()) as gateway:
        await gateway.step()
        await gateway.begin(path)
        await gateway.step()
        await eventually(lambda: any(quote.venue == "replay" for quote in gateway.kit.bus.heard(QUOTE)))
        book = (await gateway.request("GET", "/book/AAPL")).json()
        await gateway.service.closes()
    assert (book["venue"], book["bids"], book["asks"]) == ("replay", [["9.5", "3.0"]], [["10.0", None]])


@pytest.mark.parametrize("depth", ["0", "101", "-1", "many"])
async def test_a_depth_out_of_range_is_refused(depth: str) -> None:
    with running_gateway() as gateway:
        await gateway.step()
        answer = await gateway.request("GET", "/book/AAPL", params={"depth": depth})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "depth")


@pytest.mark.parametrize("path", ["/ticker/NOPE", "/book/NOPE", "/replays/NOPE"])
async def test_what_is_unknown_is_not_found(path: str) -> None:
    with running_gateway() as gateway:
        assert (await gateway.request("GET", path)).status_code == 404
        assert (await gateway.request("DELETE", "/replays/NOPE")).status_code == 404


async def test_a_replay_is_accepted_at_once_and_can_be_followed(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a b.csv", "symbol,timestamp,price,quantity", "X,1704067200000,1,1", "X,oops,1,1")
    with running_gateway() as gateway:
        answer = await gateway.request("POST", "/replay", json={"path": path, "speed": "max", "format": "CSV"})
        assert answer.status_code == 202
        id = answer.json()["id"]
        assert answer.headers["location"] == f"/replays/{id}"
        assert id.startswith("a-b-")
        status = await gateway.ended(id)
        assert [known["id"] for known in (await gateway.request("GET", "/replays")).json()] == [id]
    assert (status.lines, status.used_ticks, status.other, status.bad) == (3, 1, 1, 1)
    assert status.bad_lines[0].line == 3
    assert status.read == status.total > 0


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"path": "nope.csv"}, "path"),
        ({"path": "x.csv", "format": "xml"}, "format"),
        ({"path": "x.csv", "speed": 0}, "speed"),
        ({"path": "x.csv", "speed": -1}, "speed"),
        ({"path": "x.csv", "speed": "NaN"}, "speed"),
        ({"path": "x.csv", "speed": "inf"}, "speed"),
        ({"path": "x.csv", "speed": "fast"}, "speed"),
        ({"path": "x.csv", "speed": True}, "speed"),
        ({"path": "x.csv", "speed": None}, "speed"),
        ({"path": "x.csv", "date": "2013-10-08"}, "date"),
        ({"path": "x.csv", "date": "20131399"}, "date"),
        ({"path": "x.csv", "venue": "a b"}, "venue"),
        ({"path": "x.csv", "symbol": "$"}, "symbol"),
        ({"path": "x.csv", "colour": "red"}, "colour"),
    ],
)
async def test_a_replay_that_makes_no_sense_is_refused_with_its_field(words: dict[str, Any], field: str) -> None:
    with running_gateway() as gateway:
        answer = await gateway.request("POST", "/replay", json=words)
    assert answer.status_code == 422
    assert field in answer.json()["errors"][0]["field"]
    assert field in answer.json()["detail"]


async def test_an_unlisted_symbol_cannot_be_simulated() -> None:
    with pytest.raises(Exception, match="DOGEUSDT is not listed"), running_gateway(simulation_symbols={"DOGEUSDT": 1}):
        pass
