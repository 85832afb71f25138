"""What every live feed shares: waiting, budgets, frames, and settings."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
import structlog

from services.gateway.core.audience import Audience
from services.gateway.core.board import Board
from services.gateway.feeds.flight import IN_FLIGHT_MAX
from services.gateway.feeds.live import line as lines
from services.gateway.feeds.live import voice as voices
from services.gateway.feeds.live.dialect import Ask
from services.gateway.feeds.live.line import Line, Pace
from services.gateway.feeds.live.rest import Backoff, Rest
from services.gateway.feeds.live.voice import Measure, Voice
from services.gateway.feeds.live.words import as_columns, as_quote
from services.gateway.feeds.outlet import Outlet
from services.gateway.feeds.venues.binance import Binance
from services.gateway.service import wire
from services.gateway.settings import Settings
from shared.contract.errors import Unavailable
from shared.contract.feeds import Batch, Top, Topic, Trade
from shared.contract.market import FeedStatus
from shared.contract.subjects import FEED
from shared.kit.clock import Clock, SystemClock
from shared.kit.fakes import FakeBus, FakeClock, fake_kit
from shared.kit.frames import decode_frame
from shared.kit.meter import Meter
from shared.kit.settings import SettingsError, Suite, load
from tests.conftest import Closer
from tests.mock_venues.binance import BinanceTongue
from tests.mock_venues.server import MockVenue
from tests.services.gateway.live.running import LiveFeed, until

SECOND = 1_000_000_000


def trade(number: int, symbol: str = "BTCUSDT") -> Trade:
    return Trade(0, symbol, 7, 8, 1.5, 0.5, 1, str(number), number)


def top(bid: str, ask: str) -> Top:
    return Top(0, "BTCUSDT", 7, 8, bid, "1", ask, "2", 5)


class TestWaiting:
    def test_it_waits_twice_as_long_each_time_up_to_a_limit_and_never_quite_as_long_as_others(self) -> None:
        backoff = Backoff(random.Random(1), 0.25, 4)
        waits = [backoff.next_s() for _ in range(8)]
        limits = [0.25, 0.5, 1, 2, 4, 4, 4, 4]
        assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, limits, strict=True))
        assert len(set(waits)) == 8

    def test_what_went_well_begins_anew(self) -> None:
        backoff = Backoff(random.Random(1), 0.25, 4)
        for _ in range(5):
            backoff.next_s()
        backoff.well()
        assert backoff.next_s() <= 0.25

    def test_many_failures_do_not_overflow(self) -> None:
        backoff = Backoff(random.Random(1), 0.25, 30)
        assert all(backoff.next_s() <= 30 for _ in range(5000))


class SilentBus(FakeBus):
    """JetStream that never answers."""

    asked = 0

    async def say(self, *words: Any, **more: Any) -> None:
        self.asked += 1
        await asyncio.Event().wait()


class Owner:
    """Whose line it is."""

    def __init__(self) -> None:
        self.downs = 0

    def heard(self, batch: Batch) -> None: ...

    def line_up(self, line: Line, topics: Sequence[Topic]) -> None: ...

    def line_down(self, line: Line, why: str) -> None:
        self.downs += 1

    def line_failed(self, error: Exception) -> None:
        raise error


async def test_a_venue_that_leaves_us_waiting_is_tried_less_and_less_often(
    closing: Closer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the connecting itself took."""
    monkeypatch.setattr(lines, "CONNECT_S", 0.01)
    monkeypatch.setattr(lines, "WELL_S", 0.001)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    closing(silent.wait_closed)
    port = silent.sockets[0].getsockname()[1]
    clock, owner = WaitingClock(), Owner()
    backoff = Backoff(random.Random(1), 1, 64)
    line = Line(f"ws://127.0.0.1:{port}", Binance(), owner, backoff, clock, Pace(), None)
    async with aiohttp.ClientSession() as session:
        running = asyncio.create_task(line.run(session))
        await until(lambda: owner.downs >= 5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    silent.close()
    assert all(wait >= limit / 2 for wait, limit in zip(clock.waits, (1, 2, 4, 8), strict=False))


class WaitingClock(SystemClock):
    """The real one, which notes for how long it was to be waited, and waits for nothing."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


class TestOutlet:
    async def test_what_is_found_at_the_last_moment_is_said_before_what_is_said_anew(self) -> None:
        bus, clock = FakeBus(), FakeClock()
        board = Board(stale_after_ns=SECOND, markets_max=10)
        outlet = Outlet(bus, clock, Meter("gateway"), board, Audience())
        await outlet.open("binance", "BTCUSDT")
        board.doubt("binance", "BTCUSDT", FeedStatus.GAP, "trade 7 is missing", clock.now_ns(), once=True)
        await outlet.tell_anew(board.judge(clock.now_ns()), [])
        told = [feed.status for feed in bus.heard(FEED)]
        assert told[-3:] == [FeedStatus.GAP, FeedStatus.STALE, FeedStatus.STALE]


class TestRest:
    async def test_what_does_not_fit_into_the_budget_waits(self, closing: Closer) -> None:
        venue = await MockVenue(BinanceTongue()).start()
        closing(venue.close)
        clock, begun_ns = FakeClock(), FakeClock().now_ns()
        async with aiohttp.ClientSession() as session:
            rest = Rest(session, 600, clock, 5)
            ask = Ask(f"{venue.endpoints.rest}/exchangeInfo", 50)
            waited = []
            for _ in range(5):
                await rest.get(ask)
                waited.append((clock.now_ns() - begun_ns) / SECOND)
        assert waited[:2] == [0, 0]
        assert [round(later - earlier) for earlier, later in pairwise(waited[1:])] == [5, 5, 5]

    async def test_one_that_weighs_more_than_the_burst_is_let_in_alone(self, closing: Closer) -> None:
        venue = await MockVenue(BinanceTongue()).start()
        closing(venue.close)
        async with aiohttp.ClientSession() as session:
            rest = Rest(session, 60, FakeClock(), 5)
            assert await rest.get(Ask(f"{venue.endpoints.rest}/exchangeInfo", 20))

    @pytest.mark.parametrize(("told", "wait_s"), [("7", 7), (None, 2), ("soon", 2), ("1e9", 3600), ("-5", 1)])
    async def test_a_venue_says_how_long_to_wait(self, closing: Closer, told: str | None, wait_s: float) -> None:
        venue = await MockVenue(BinanceTongue()).start()
        closing(venue.close)
        venue.limit(status=418, retry_after=told)
        clock = FakeClock()
        async with aiohttp.ClientSession() as session:
            rest = Rest(session, 6000, clock, 5)
            ask = Ask(f"{venue.endpoints.rest}/exchangeInfo")
            with pytest.raises(Unavailable, match="asks us to wait") as refused:
                await rest.get(ask)
            assert refused.value.retry_after_s == wait_s
            begun_ns = clock.now_ns()
            await rest.get(ask)
        assert clock.now_ns() - begun_ns == wait_s * SECOND

    async def test_an_answer_that_is_no_answer_is_named(self, closing: Closer) -> None:
        venue = await MockVenue(BinanceTongue()).start()
        closing(venue.close)
        async with aiohttp.ClientSession() as session:
            rest = Rest(session, 6000, FakeClock(), 5)
            with pytest.raises(Unavailable, match="answered 404"):
                await rest.get(Ask(f"{venue.endpoints.rest}/nothing"))
            await venue.close()
            with pytest.raises(Unavailable, match="no answer from the venue"):
                await rest.get(Ask(f"{venue.endpoints.rest}/exchangeInfo"))


class TestVoice:
    def voice(self, bus: FakeBus, measure: Measure, meter: Meter, clock: Clock | None = None) -> Voice:
        board, clock = Board(stale_after_ns=SECOND, markets_max=10), clock or SystemClock()
        outlet = Outlet(bus, clock, meter, board, Audience())
        return Voice("binance", measure, outlet, clock, meter, structlog.get_logger())

    async def test_a_frame_has_at_most_so_many_rows_and_every_trade_is_said_in_order(self) -> None:
        bus = FakeBus()
        voice = self.voice(bus, Measure(frame_rows=4), Meter("gateway"))
        voice.say([trade(number, "BTCUSDT" if number % 2 else "ETHUSDT") for number in range(10)])
        await voice.close()
        frames = [decode_frame(frame.payload, "binance") for _, frame in bus.said]  # type: ignore[attr-defined]
        assert [len(frame) for frame in frames] == [4, 4, 2]
        assert [id for frame in frames for id in frame.trade_id] == [str(number) for number in range(10)]
        symbols = [frame.symbols[code] for frame in frames for code in frame.codes]
        assert symbols == ["ETHUSDT", "BTCUSDT"] * 5

    async def test_the_oldest_ticks_are_dropped_and_counted_when_too_many_wait(self) -> None:
        bus, meter = FakeBus(), Meter("gateway")
        voice = self.voice(bus, Measure(ticks_waiting_max=3), meter)
        voice.say([trade(number) for number in range(5)])
        await voice.close()
        [(_, frame)] = bus.said
        assert list(decode_frame(frame.payload, "binance").trade_id) == ["2", "3", "4"]  # type: ignore[attr-defined]
        assert meter.totals["live_ticks_dropped"] == 2

    async def test_ticks_that_cannot_be_stored_for_too_long_are_dropped_and_counted(self) -> None:
        bus, meter, clock = FakeBus(), Meter("gateway"), FakeClock()
        begun_ns = clock.now_ns()
        voice = self.voice(bus, Measure(), meter, clock)
        bus.away = True
        voice.say([trade(number) for number in range(5)])
        await until(lambda: meter.totals.get("live_ticks_dropped") == 5)
        assert (clock.now_ns() - begun_ns) / SECOND == pytest.approx(29)
        bus.away = False
        voice.say([trade(5)])
        await voice.close()
        [(_, frame)] = bus.said
        assert list(decode_frame(frame.payload, "binance").trade_id) == ["5"]  # type: ignore[attr-defined]

    async def test_of_quotes_only_the_newest_is_said(self) -> None:
        bus, clock = FakeBus(), FakeClock()
        voice = self.voice(bus, Measure(quote_gap_s=0.05), Meter("gateway"), clock)
        voice.tell({"BTCUSDT": top("1", "9")})
        await until(lambda: len(bus.said) == 1)
        voice.tell({"BTCUSDT": top("2", "9")})
        voice.tell({"BTCUSDT": top("3", "9")})
        # Its time has come when the voice looks again.
        clock.advance(1)
        await until(lambda: len(bus.said) == 2)
        assert [quote.bid for _, quote in bus.said] == [Decimal(1), Decimal(3)]  # type: ignore[attr-defined]
        await voice.close()

    async def test_a_quote_that_is_forgotten_while_it_waits_is_not_said(self) -> None:
        bus, clock = FakeBus(), FakeClock()
        voice = self.voice(bus, Measure(quote_gap_s=0.001), Meter("gateway"), clock)
        voice.tell({"BTCUSDT": top("1", "9")})
        await until(lambda: len(bus.said) == 1)
        voice.tell({"BTCUSDT": top("2", "9")})
        voice.forget("BTCUSDT")
        clock.advance(1)
        voice.tell({"ETHUSDT": replace(top("3", "9"), symbol="ETHUSDT")})
        await until(lambda: len(bus.said) == 2)
        assert [quote.bid for _, quote in bus.said] == [Decimal(1), Decimal(3)]  # type: ignore[attr-defined]
        await voice.close()

    async def test_what_is_still_on_its_way_at_the_end_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(voices, "CLOSE_S", 0.01)
        bus, meter = SilentBus(), Meter("gateway")
        voice = self.voice(bus, Measure(frame_rows=1), meter)
        voice.say([trade(number) for number in range(IN_FLIGHT_MAX + 4)])
        await until(lambda: bus.asked == IN_FLIGHT_MAX)
        await voice.close()
        assert meter.totals["live_ticks_dropped"] == IN_FLIGHT_MAX + 4

    async def test_a_quote_that_cannot_be_read_is_counted_and_the_others_are_said(self) -> None:
        bus, meter = FakeBus(), Meter("gateway")
        voice = self.voice(bus, Measure(quote_gap_s=0), meter)
        voice.tell({"A": top("x", "1"), "B": top("-1", "1"), "C": top("1", "2")})
        await until(lambda: len(bus.said) == 1)
        assert meter.totals["feed_garbage"] == 2
        await voice.close()


def test_a_side_without_orders_is_absent() -> None:
    quote = as_quote("binance", top("0.00000000", ""))
    assert (quote.bid, quote.ask) == (None, None)


def test_columns_say_what_the_trades_do() -> None:
    columns = as_columns("binance", [trade(1), trade(2, "ETHUSDT")])
    assert (list(columns.codes), list(columns.symbols)) == ([0, 1], ["BTCUSDT", "ETHUSDT"])
    assert (list(columns.price), list(columns.quantity), list(columns.side)) == ([1.5, 1.5], [0.5, 0.5], [1, 1])
    assert (list(columns.event_ns), list(columns.receive_ns), list(columns.sequence)) == ([7, 7], [8, 8], [1, 2])


class TestSettings:
    def test_a_venue_that_is_not_known_is_named_with_those_that_are(self) -> None:
        settings = Settings.model_validate({"feeds": {"binanse": {"symbols": ["BTCUSDT"]}}})
        with pytest.raises(SettingsError, match=r"gateway: feeds: binanse .* known: .*binance"):
            wire(fake_kit(), settings)

    @pytest.mark.parametrize(
        "words",
        [
            {"symbols": ["$"]},
            {"channels": []},
            {"channels": ["CANDLES"]},
            {"stream_url": "http://here"},
            {"rest_url": "http://here/"},
            {"simbols": []},
        ],
    )
    def test_what_is_wrong_with_a_venue_is_said(self, words: object, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEWAY_FEEDS", str({"binance": words}))
        with pytest.raises(SettingsError, match=r"gateway: feeds\.binance\.[a-z]+"):
            load(Settings, "gateway", Suite())

    def test_symbols_and_channels_are_taken_in_any_spelling(self) -> None:
        settings = Settings.model_validate({"feeds": {"Binance": {"symbols": ["btc/usdt"], "channels": ["trades"]}}})
        assert settings.feeds["binance"].symbols == ("BTCUSDT",)
        assert settings.feeds["binance"].channels == ("TRADES",)


async def test_a_feed_that_ends_says_so(closing: Closer) -> None:
    venue = await MockVenue(BinanceTongue()).start()
    closing(venue.close)
    live = LiveFeed(Binance(venue.endpoints))
    live.want("BTCUSDT")
    await until(lambda: len(venue.topics) == 3)
    await live.close()
    assert live.told("BTCUSDT")[-1] is FeedStatus.DOWN
    assert live.whys("BTCUSDT", FeedStatus.DOWN)[-1] == "the gateway ends"
