"""What is known of every market, and how far it can be trusted."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from services.gateway.core.board import Board
from services.gateway.core.day import Day, traded
from shared.contract.errors import Conflict, NotFound
from shared.contract.market import FeedStatus, Quote
from shared.contract.ticks import TickColumns

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS


def board(markets_max: int = 10) -> Board:
    return Board(stale_after_ns=5 * SECOND_NS, markets_max=markets_max)


def quote(bid: str = "100", ask: str = "101", at_ns: int = 1) -> Quote:
    return Quote(
        venue="sim",
        symbol="AAPL",
        event_ns=at_ns,
        receive_ns=at_ns,
        bid=Decimal(bid),
        bid_quantity=Decimal(1),
        ask=Decimal(ask),
        ask_quantity=Decimal(1),
    )


def ticks(prices: list[float], event_ns: list[int], symbol: str = "AAPL") -> TickColumns:
    n = len(prices)
    return TickColumns(
        venue="sim",
        symbols=[symbol],
        codes=np.zeros(n, np.int32),
        event_ns=np.array(event_ns, np.int64),
        receive_ns=np.array(event_ns, np.int64),
        price=np.array(prices, np.float64),
        quantity=np.ones(n, np.float64),
        side=np.zeros(n, np.int8),
        trade_id=["1"] * n,
        sequence=np.arange(n, dtype=np.int64),
    )


def test_a_feed_is_stale_until_it_says_something_then_live_then_stale_again() -> None:
    known = board()
    known.open("sim", "AAPL", 0)
    known.note_quote(quote(), 1 * SECOND_NS)
    known.judge(6 * SECOND_NS)
    known.judge(6 * SECOND_NS + 1)
    assert [feed.status for feed in known.changed()] == [FeedStatus.STALE, FeedStatus.LIVE, FeedStatus.STALE]
    assert known.changed() == []


def test_a_crossed_quote_is_told_and_so_is_its_end() -> None:
    known = board()
    known.open("sim", "AAPL", 0)
    known.note_quote(quote(), 1)
    known.changed()
    known.note_quote(quote(bid="101"), 2)
    known.note_quote(quote(), 3)
    assert [(feed.status, feed.since_ns) for feed in known.changed()] == [
        (FeedStatus.CROSSED, 2),
        (FeedStatus.LIVE, 3),
    ]


def test_a_closed_feed_is_down_and_says_why_whatever_the_time() -> None:
    known = board()
    known.open("sim", "AAPL", 0)
    known.close("sim", "AAPL", "replay", 7)
    (feed,) = known.judge(HOUR_NS)
    assert (feed.status, feed.why, feed.since_ns) == (FeedStatus.DOWN, "replay", 7)


def test_only_quotes_of_live_feeds_are_said_again_and_with_a_fresh_receive_time() -> None:
    known = board()
    known.open("sim", "AAPL", 0)
    known.note_quote(quote(at_ns=10), 10)
    (again,) = known.live_quotes(20)
    assert (again.event_ns, again.receive_ns) == (10, 20)
    known.close("sim", "AAPL", "replay", 30)
    assert known.live_quotes(100) == []


def test_a_ticker_is_null_where_nothing_is_known_and_text_elsewhere() -> None:
    known = board()
    known.open("sim", "AAPL", 0)
    empty = known.ticker("AAPL")
    assert (empty.last_price, empty.bid, empty.volume_24h, empty.change_24h, empty.timestamp) == (None,) * 5

    known.note_quote(quote("219.50", "219.52", at_ns=5), 5)
    known.note_ticks(ticks([200.0, 220.0], [SECOND_NS, 2 * SECOND_NS]), 5)
    ticker = known.ticker("AAPL")
    assert (ticker.last_price, ticker.bid, ticker.ask) == ("220", "219.50", "219.52")
    assert (ticker.volume_24h, ticker.change_24h) == ("2", "10.0000")
    assert ticker.timestamp == "1970-01-01T00:00:02Z"


def test_an_unknown_symbol_is_not_found() -> None:
    with pytest.raises(NotFound):
        board().ticker("NOPE")


def test_a_running_market_is_preferred_to_one_that_is_down() -> None:
    known = board()
    known.open("sim", "AAPL", 0)
    known.open("lean", "AAPL", 0)
    known.close("sim", "AAPL", "replay", 1)
    assert known.ticker("AAPL").venue == "lean"


def test_markets_that_ended_are_forgotten_when_room_is_needed() -> None:
    known = board(markets_max=2)
    known.open("lean", "A", 0)
    known.open("lean", "B", 0)
    known.close("lean", "A", "replay ended", 1)
    known.open("lean", "C", 2)
    assert known.symbols() == ["B", "C"]
    with pytest.raises(Conflict):
        known.open("lean", "D", 3)


def test_volume_and_change_cover_the_last_24_hours_of_event_time() -> None:
    day = Day()
    for hour in range(30):
        column = ticks([100.0 + hour], [hour * HOUR_NS])
        [one] = traded(column)
        day.add(one)
    assert day.volume == 24
    assert day.minutes[0].first == 106
    assert day.last == 129
    assert len(day.minutes) == 24


def test_a_late_trade_adds_volume_but_is_not_the_last_price() -> None:
    day = Day()
    for price, hour in ((100.0, 1), (110.0, 3), (90.0, 2)):
        column = ticks([price], [hour * HOUR_NS])
        [one] = traded(column)
        day.add(one)
    assert (day.last, day.volume, day.change_percent) == (110.0, 3.0, pytest.approx(10.0))


def told(known: Board) -> list[tuple[FeedStatus, str]]:
    return [(feed.status, feed.why) for feed in known.changed()]


def test_what_a_source_doubts_stands_until_it_no_longer_does() -> None:
    known = board()
    known.open("sim", "AAPL", 1)
    known.note_quote(quote(), 1)
    known.changed()
    known.doubt("sim", "AAPL", FeedStatus.GAP, "change 7 is missing", 2)
    known.doubt("sim", "AAPL", FeedStatus.RESYNC, "a whole book is asked for", 2)
    known.note_quote(quote(), 3)
    known.judge(60 * SECOND_NS)
    assert told(known) == [(FeedStatus.GAP, "change 7 is missing"), (FeedStatus.RESYNC, "a whole book is asked for")]
    assert known.live_quotes(3) == []
    known.note_quote(quote(), 60 * SECOND_NS)
    known.doubt("sim", "AAPL", None, "", 60 * SECOND_NS)
    assert told(known) == [(FeedStatus.LIVE, "")]


def test_a_gap_that_cannot_be_made_good_is_told_and_over() -> None:
    known = board()
    known.open("sim", "AAPL", 1)
    known.note_quote(quote(), 1)
    known.changed()
    known.doubt("sim", "AAPL", FeedStatus.GAP, "trade 7 is missing", 2, once=True)
    assert told(known) == [(FeedStatus.GAP, "trade 7 is missing"), (FeedStatus.LIVE, "")]


def test_a_market_whose_source_is_cut_off_is_down_until_it_is_opened_again() -> None:
    known = board()
    known.open("sim", "AAPL", 1, cut_off="not connected yet")
    known.note_quote(quote(), 2)
    assert known.market("AAPL").feed.status is FeedStatus.DOWN
    known.open("sim", "AAPL", 3, again=True)
    known.note_heard("sim", ["AAPL", "SPY"], 4)
    assert known.market("AAPL").feed.status is FeedStatus.LIVE


def test_what_a_source_that_has_ended_doubts_is_nothing() -> None:
    known = board()
    known.open("sim", "AAPL", 1)
    known.close("sim", "AAPL", "over", 2)
    known.doubt("sim", "AAPL", None, "", 3)
    known.doubt("sim", "SPY", FeedStatus.GAP, "", 3)
    assert known.market("AAPL").feed.status is FeedStatus.DOWN
