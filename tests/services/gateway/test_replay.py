"""Replays: pace, order, conflation, backpressure, and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.gateway.feeds.requests import ReplayState
from shared.contract.errors import Conflict, Refused
from shared.contract.market import Feed, FeedStatus, Quote
from shared.contract.subjects import FEED, FRAME, QUOTE
from shared.kit.fakes import FakeClock
from shared.kit.frames import decode_frame
from tests.services.gateway.files import TRADE, cut_file, raw_file, text_file
from tests.services.gateway.running import RunningGateway, SharedClock, StoppedClock, eventually, running_gateway

START_MS = 1704067200000
TICKS = "symbol,timestamp,price,quantity"
BOTH = "symbol,timestamp,price,quantity,bid,ask"


def tick(at_ms: int, price: int = 1, symbol: str = "X") -> str:
    return f"{symbol},{START_MS + at_ms},{price},1,,"


def quote(at_ms: int, bid: int = 1, symbol: str = "X") -> str:
    return f"{symbol},{START_MS + at_ms},,,{bid},{bid + 1}"


def said(gateway: RunningGateway) -> list[float]:
    """Every price said, ticks and bids alike, in the order in which they were said."""
    prices: list[float] = []
    for subject, message in gateway.kit.bus.said:
        if subject == FRAME:
            prices += decode_frame(message.payload, message.venue).price.tolist()  # type: ignore[attr-defined]
        elif isinstance(message, Quote):
            prices.append(float(message.bid or 0))
    return prices


@pytest.mark.parametrize(("speed", "seconds"), [(1, 60), (10, 6), (0.5, 120)])
async def test_a_replay_takes_the_recorded_time_divided_by_the_speed(
    tmp_path: Path, speed: float, seconds: float
) -> None:
    clock = SharedClock()
    with running_gateway(clock, simulate=False) as gateway:
        began_ns = clock.now_ns()
        path = text_file(tmp_path, "a.csv", BOTH, *(tick(at_s * 1000) for at_s in range(61)))
        await gateway.replayed(path, speed)
    assert (clock.now_ns() - began_ns) / 1e9 == pytest.approx(seconds, abs=0.01)


async def test_ticks_keep_their_event_times_and_get_the_receive_time_of_now(tmp_path: Path) -> None:
    clock = SharedClock(5_000_000_000_000_000_000)
    with running_gateway(clock, simulate=False) as gateway:
        status = await gateway.replayed(text_file(tmp_path, "a.csv", BOTH, tick(0, 1), tick(2000, 2)))
        first, second, end = gateway.frames()
    assert first.event_ns.tolist() == [START_MS * 10**6]
    assert second.receive_ns[0] - first.receive_ns[0] == 2_000_000_000
    assert {first.replay, second.replay, end.replay} == {status.id}
    assert (len(end), end.ended, first.ended, end.symbols) == (0, True, False, ("X",))


async def test_ticks_within_a_few_milliseconds_travel_in_one_frame(tmp_path: Path) -> None:
    with running_gateway(simulate=False) as gateway:
        path = text_file(tmp_path, "a.csv", BOTH, *(tick(at_ms) for at_ms in range(100)))
        await gateway.replayed(path)
        sizes = [len(frame) for frame in gateway.frames()]
    assert sum(sizes) == 100
    assert len(sizes) <= 22
    assert max(sizes) <= 6


async def test_a_row_that_lies_before_its_predecessor_is_said_in_its_place(tmp_path: Path) -> None:
    with running_gateway(simulate=False) as gateway:
        path = text_file(tmp_path, "a.csv", BOTH, tick(0, 1), tick(5000, 2), tick(1000, 3), tick(6000, 4))
        await gateway.replayed(path, 10)
        assert said(gateway) == [1, 2, 3, 4]


async def test_quotes_and_ticks_are_said_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = [(tick if n % 3 else quote)(n * 7, n + 1) for n in range(60)]
    with running_gateway(simulate=False) as gateway:
        status = await gateway.replayed(text_file(tmp_path, "a.csv", BOTH, *lines))
        assert said(gateway) == list(range(1, 61))
    assert status.conflated == 0


async def test_of_many_quotes_within_twenty_milliseconds_the_newest_is_said(tmp_path: Path) -> None:
    lines = [quote(n, n + 1) for n in range(100)] + [quote(n, n + 1000, "Y") for n in range(100)]
    with running_gateway(simulate=False) as gateway:
        status = await gateway.replayed(text_file(tmp_path, "a.csv", BOTH, *lines))
        quotes = gateway.kit.bus.heard(QUOTE)
    assert status.used_quotes == 200 == status.quotes_said + status.conflated
    assert status.quotes_said == len(quotes) <= 14
    assert {quote.symbol: int(quote.bid or 0) for quote in quotes} == {"X": 100, "Y": 1099}


async def test_a_quote_held_back_is_said_as_soon_as_it_may_be(tmp_path: Path) -> None:
    with running_gateway(simulate=False) as gateway:
        await gateway.replayed(text_file(tmp_path, "a.csv", BOTH, quote(0, 1), quote(6, 2), tick(60_000, 3)))
        first, second = gateway.kit.bus.heard(QUOTE)
    assert second.receive_ns - first.receive_ns == pytest.approx(20_000_000, abs=1_000_000)


async def test_quotes_of_one_side_do_not_take_the_place_of_the_other(tmp_path: Path) -> None:
    lines = [f"X,{START_MS},,,9,", f"X,{START_MS},,,,11", f"X,{START_MS},,,8,"]
    with running_gateway(simulate=False) as gateway:
        status = await gateway.replayed(text_file(tmp_path, "a.csv", BOTH, *lines))
        quotes = gateway.kit.bus.heard(QUOTE)
    assert sorted((str(quote.bid), str(quote.ask)) for quote in quotes) == [("8.0", "None"), ("None", "11.0")]
    assert status.conflated == 1


async def test_at_full_speed_frames_are_full_and_the_newest_quote_follows_each(tmp_path: Path) -> None:
    lines = [line for n in range(50) for line in (tick(n * 60_000, n + 1), quote(n * 60_000, n + 1001))]
    with running_gateway(simulate=False, frame_rows=20) as gateway:
        status = await gateway.replayed(text_file(tmp_path, "a.csv", BOTH, *lines), "max")
        sizes = [len(frame) for frame in gateway.frames()]
        bids = [int(quote.bid or 0) for quote in gateway.kit.bus.heard(QUOTE)]
    assert sizes == [10, 10, 10, 10, 10, 0]
    assert bids == [1010, 1020, 1030, 1040, 1050]
    assert status.conflated == 45


async def test_at_full_speed_a_replay_waits_for_its_hearers(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.csv", BOTH, *(tick(n) for n in range(200)))
    with running_gateway(simulate=False, frame_rows=1, lag_max=100) as gateway:
        gateway.kit.bus.lags["TICKS"] = 101
        id = (await gateway.begin(path, "max")).id
        await eventually(lambda: len(gateway.frames()) >= 64)
        waiting = await gateway.status(id)
        assert (waiting.waiting, waiting.frames_said, waiting.state) == (True, 64, ReplayState.RUNNING)
        gateway.kit.bus.lags["TICKS"] = 100
        status = await gateway.ended(id)
    assert (status.ticks_said, status.waiting) == (200, False)


async def test_frames_are_said_again_until_the_bus_has_them_and_only_once(tmp_path: Path) -> None:
    clock = StoppedClock()
    with running_gateway(clock, simulate=False, frame_rows=10) as gateway:
        gateway.kit.bus.away = True
        id = (await gateway.begin(text_file(tmp_path, "a.csv", BOTH, *(tick(n, n + 1) for n in range(50))), "max")).id
        gateway.kit.bus.away = False
        clock.go.set()
        status = await gateway.ended(id)
        prices = sorted(price for frame in gateway.frames() for price in frame.price.tolist())
    assert status.state is ReplayState.DONE
    assert prices == list(range(1, 51))


async def test_a_replay_fails_and_says_so_when_the_bus_stays_away(tmp_path: Path) -> None:
    with running_gateway(simulate=False) as gateway:
        gateway.kit.bus.away = True
        status = await gateway.replayed(text_file(tmp_path, "a.csv", BOTH, tick(0)), "max")
    assert status.state is ReplayState.FAILED
    assert "the bus stayed away" in (status.error or "")


async def test_a_file_that_breaks_half_way_fails_the_replay_and_what_was_said_is_ended(tmp_path: Path) -> None:
    path = cut_file(raw_file(tmp_path, *[TRADE] * 100_000), 0.9)
    with running_gateway(simulate=False) as gateway:
        status = await gateway.replayed(path, "max")
        last = gateway.frames()[-1]
    assert status.state is ReplayState.FAILED
    assert "is damaged" in (status.error or "")
    assert status.lines == status.used_ticks == status.ticks_said > 0
    assert last.ended


async def test_a_market_is_replayed_once_at_a_time(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.csv", BOTH, tick(0), tick(3_600_000))
    clock = StoppedClock()
    with running_gateway(clock, simulate=False) as gateway:
        first = await gateway.begin(path)
        with pytest.raises(Conflict) as caught:
            await gateway.begin(path)
        assert first.id in caught.value.detail
        other = await gateway.begin(path, venue="elsewhere")
        clock.go.set()
        assert (await gateway.ended(first.id)).state is ReplayState.DONE
        assert (await gateway.ended(other.id)).state is ReplayState.DONE
        assert (await gateway.replayed(path, "max")).state is ReplayState.DONE


async def test_a_cancelled_replay_ends_and_frees_its_market(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.csv", BOTH, tick(0), tick(3_600_000))
    with running_gateway(StoppedClock(), simulate=False) as gateway:
        id = (await gateway.begin(path)).id
        await eventually(lambda: len(gateway.frames()) == 1)
        answer = await gateway.request("DELETE", f"/replays/{id}")
        assert answer.json()["state"] == "CANCELLED"
        assert gateway.frames()[-1].ended
        assert (await gateway.request("DELETE", f"/replays/{id}")).json()["state"] == "CANCELLED"
        again = await gateway.begin(path)
        await gateway.service.closes()
        assert (await gateway.status(again.id)).state is ReplayState.CANCELLED


async def test_a_replay_cancelled_before_it_has_begun_frees_its_market_too(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.csv", BOTH, tick(0))
    with running_gateway(simulate=False) as gateway:
        id = (await gateway.begin(path)).id
        cancel = next(row for row in gateway.service.serves if row.method == "DELETE")
        assert (await cancel.handler(id)).state is ReplayState.CANCELLED
        assert (await gateway.replayed(path)).state is ReplayState.DONE


async def test_at_a_crawl_the_far_end_of_a_file_is_not_due_early(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.csv", BOTH, tick(0), tick(86_400_000))
    clock = StoppedClock()
    with running_gateway(clock, simulate=False) as gateway:
        await gateway.begin(path, 1e-6)
        await eventually(lambda: len(gateway.frames()) == 1)
        clock.advance(86_400 * 365)
        await gateway.service.closes()
        assert [len(frame) for frame in gateway.frames()] == [1, 0]


async def test_each_venue_of_a_file_gets_its_own_frames(tmp_path: Path) -> None:
    lines = [f"X,{START_MS},{n},1,{'kraken' if n % 2 else 'coinbase'}" for n in range(1, 7)]
    with running_gateway(simulate=False) as gateway:
        status = await gateway.replayed(text_file(tmp_path, "a.csv", TICKS + ",venue", *lines), "max")
        assert [price for frame in gateway.frames("kraken") for price in frame.price] == [1, 3, 5]
        assert [price for frame in gateway.frames("coinbase") for price in frame.price] == [2, 4, 6]
        assert [frame.ended for frame in gateway.frames("kraken")] == [False, True]
    assert status.markets == ("kraken:X", "coinbase:X")


async def test_a_frame_names_the_symbols_it_carries(tmp_path: Path) -> None:
    lines = [tick(n, n + 1, "XYZ"[n % 3]) for n in range(9)]
    with running_gateway(simulate=False) as gateway:
        await gateway.replayed(text_file(tmp_path, "a.csv", BOTH, *lines), "max")
        frame = gateway.frames()[0]
    assert [frame.symbols[code] for code in frame.codes] == list("XYZXYZXYZ")


def statuses(gateway: RunningGateway, venue: str) -> list[tuple[FeedStatus, str]]:
    feeds: list[Feed] = gateway.kit.bus.heard(FEED)
    return [(feed.status, feed.why) for feed in feeds if feed.venue == venue]


async def test_a_replay_suspends_the_simulated_symbol_and_gives_it_back(tmp_path: Path) -> None:
    clock = StoppedClock()
    path = text_file(tmp_path, "a.csv", BOTH, tick(0, symbol="AAPL"), tick(1000, symbol="AAPL"))
    with running_gateway(clock) as gateway:
        await gateway.step(20)
        id = (await gateway.begin(path)).id
        await eventually(lambda: bool(gateway.frames("replay")))
        await gateway.step(20)
        count = len([quote for quote in gateway.kit.bus.heard(QUOTE) if quote.symbol == "AAPL"])
        assert (await gateway.request("GET", "/ticker/AAPL")).json()["venue"] == "replay"
        await gateway.step(20)
        assert len([quote for quote in gateway.kit.bus.heard(QUOTE) if quote.symbol == "AAPL"]) == count
        clock.go.set()
        await gateway.ended(id)
        await gateway.step()
        aapl = [feed for feed in gateway.kit.bus.heard(FEED) if (feed.venue, feed.symbol) == ("sim", "AAPL")]
    assert [feed.status.value for feed in aapl] == ["STALE", "LIVE", "DOWN", "STALE", "LIVE"]
    assert aapl[2].why == "replay"
    assert statuses(gateway, "replay") == [
        (FeedStatus.STALE, "nothing heard yet"),
        (FeedStatus.LIVE, ""),
        (FeedStatus.DOWN, "replay ended"),
    ]


async def test_a_file_cannot_be_replayed_as_the_simulated_venue(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.csv", BOTH, tick(0))
    with running_gateway(FakeClock()) as gateway, pytest.raises(Refused) as caught:
        await gateway.begin(path, venue="sim")
    assert caught.value.field == "venue"
    with running_gateway(simulate=False) as gateway:
        assert (await gateway.replayed(path, venue="sim")).state is ReplayState.DONE
