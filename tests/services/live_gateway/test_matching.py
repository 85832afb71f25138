"""The paper venue, case by case."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.orders import CancelOrder, OrderStatus
from shared.contract.ticks import TickColumns
from shared.contract.venue import VenueOrder
from tests.services.live_gateway.conftest import NOW_NS, SECOND_NS, D, Desk, quote, route, said, tick

GONE = "CANCELED"


def test_a_market_order_takes_what_is_displayed_at_the_touch(desk: Desk) -> None:
    assert desk.submit("a", "BUY", "5", None) == [("a", "FILLED", "5", "101")]
    assert desk.submit("b", "SELL", "5", None) == [("b", "FILLED", "5", "99")]


def test_the_rest_of_a_market_order_waits_for_the_next_display(desk: Desk) -> None:
    assert desk.submit("a", "BUY", "25", None) == [("a", "PARTIALLY_FILLED", "10", "101")]

    assert desk.quote(ask="101", ask_quantity="10") == [], "the same display is not consumed again"
    assert desk.quote(ask="101", ask_quantity="12") == [("a", "PARTIALLY_FILLED", "2", "101")]
    assert desk.quote(ask="102", ask_quantity="20") == [("a", "FILLED", "13", "102")]


def test_what_left_the_display_is_not_held_against_us(desk: Desk) -> None:
    desk.submit("a", "BUY", "10", None)
    desk.quote(ask_quantity="4")

    desk.quote(ask_quantity="10")

    assert desk.submit("b", "BUY", "10", None) == [("b", "PARTIALLY_FILLED", "6", "101")]


def test_the_same_display_is_consumed_once_though_two_venues_speak_in_turn(desk: Desk) -> None:
    assert desk.submit("a", "BUY", "30", None) == [("a", "PARTIALLY_FILLED", "10", "101")]
    assert desk.quote(ask="101.5", ask_quantity="1", venue="other") == [("a", "PARTIALLY_FILLED", "1", "101.5")]

    assert desk.quote() == []
    assert desk.quote(ask="101.5", ask_quantity="1", venue="other") == []


def test_only_whole_lots_are_filled(desk: Desk) -> None:
    desk.quote(ask_quantity="1.0005")

    assert desk.submit("a", "BUY", "5", None) == [("a", "PARTIALLY_FILLED", "1", "101")]


def test_a_market_order_without_a_quote_waits_and_is_then_cancelled() -> None:
    desk = Desk()
    assert desk.submit("a", "BUY", "5", None) == [("a", "WORKING", "", "")]

    assert desk.venue.expire(NOW_NS + 5 * SECOND_NS - 1) == []
    (late,) = desk.venue.expire(NOW_NS + 5 * SECOND_NS)
    assert late.report.status is OrderStatus.CANCELED
    assert late.report.reason == "nothing to trade with within 5 s"
    assert desk.quote() == []


def test_a_waiting_market_order_fills_at_the_first_quote() -> None:
    desk = Desk()
    desk.submit("a", "SELL", "5", None)

    assert desk.quote() == [("a", "FILLED", "5", "99")]


def test_a_marketable_limit_order_fills_at_the_touch_and_rests_with_what_is_left(desk: Desk) -> None:
    assert desk.submit("a", "BUY", "15", "105") == [("a", "PARTIALLY_FILLED", "10", "101")]

    assert desk.quote() == []
    assert desk.quote(ask="102", ask_quantity="2") == [("a", "PARTIALLY_FILLED", "2", "105")]
    assert desk.trade("105.01", "50") == []
    assert desk.trade("104", "50") == [("a", "FILLED", "3", "105")]


def test_a_limit_order_short_of_the_market_rests(desk: Desk) -> None:
    assert desk.submit("a", "BUY", "5", "100") == [("a", "WORKING", "", "")]
    assert desk.submit("b", "SELL", "5", "100.5") == [("b", "WORKING", "", "")]


@pytest.mark.parametrize("price", [None, "101"])
def test_an_ioc_order_takes_what_there_is_and_is_gone(desk: Desk, price: str | None) -> None:
    assert desk.submit("a", "BUY", "15", price, time_in_force="IOC") == [
        ("a", "PARTIALLY_FILLED", "10", "101"),
        ("a", GONE, "", ""),
    ]
    assert desk.submit("b", "BUY", "1", "100", time_in_force="IOC") == [("b", GONE, "", "")]


@pytest.mark.parametrize("price", [None, "101"])
def test_a_fok_order_fills_wholly_or_not_at_all(desk: Desk, price: str | None) -> None:
    assert desk.submit("a", "BUY", "10.001", price, time_in_force="FOK") == [("a", GONE, "", "")]
    assert desk.submit("b", "BUY", "10", price, time_in_force="FOK") == [("b", "FILLED", "10", "101")]
    assert desk.submit("c", "BUY", "1", price, time_in_force="FOK") == [("c", GONE, "", "")]


def test_a_fok_order_without_a_quote_is_gone() -> None:
    assert Desk().submit("a", "BUY", "1", None, time_in_force="FOK") == [("a", GONE, "", "")]


def test_trades_at_its_price_serve_the_queue_before_a_resting_order(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "99")
    assert desk.queue("a") == 10

    assert desk.trade("99", "7") == []
    assert desk.queue("a") == 3
    assert desk.trade("99", "5") == [("a", "PARTIALLY_FILLED", "2", "99")]
    assert desk.trade("99", "9") == [("a", "FILLED", "3", "99")]


def test_a_sell_rests_in_its_queue_as_a_buy_does(desk: Desk) -> None:
    desk.submit("a", "SELL", "5", "101")

    assert desk.trade("101", "12", "buy") == [("a", "PARTIALLY_FILLED", "2", "101")]
    assert desk.trade("101.01", "1") == [("a", "PARTIALLY_FILLED", "1", "101")]
    assert desk.quote(bid="101", bid_quantity="1", ask="102") == [("a", "PARTIALLY_FILLED", "1", "101")]
    assert desk.trade("100.99", "50") == []


def test_orders_of_ours_at_one_price_share_a_trade_by_arrival(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "99")
    desk.submit("b", "BUY", "5", "99")

    assert desk.trade("99", "17") == [("a", "FILLED", "5", "99"), ("b", "PARTIALLY_FILLED", "2", "99")]


def test_the_queue_never_holds_more_than_is_displayed(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "99")

    desk.quote(bid_quantity="4")
    assert desk.queue("a") == 4
    desk.quote(bid_quantity="40")
    assert desk.queue("a") == 4


def test_an_order_behind_the_best_price_queues_when_its_price_becomes_the_best(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "98")
    assert desk.queue("a") is None
    assert desk.trade("98", "50") == []

    desk.quote(bid="98", bid_quantity="6")
    assert desk.queue("a") == 6
    assert desk.trade("98", "7") == [("a", "PARTIALLY_FILLED", "1", "98")]


def test_an_order_better_than_the_market_stands_first(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "100")

    assert desk.queue("a") == 0
    assert desk.trade("100", "2") == [("a", "PARTIALLY_FILLED", "2", "100")]


def test_a_trade_through_its_price_fills_a_resting_order_at_its_limit_up_to_that_volume(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "98")

    assert desk.trade("97", "3") == [("a", "PARTIALLY_FILLED", "3", "98")]


def test_a_trade_goes_to_the_best_price_first_and_only_once(desk: Desk) -> None:
    desk.submit("low", "BUY", "5", "98")
    desk.submit("high", "BUY", "5", "98.5")

    assert desk.trade("97", "7") == [("high", "FILLED", "5", "98.5"), ("low", "PARTIALLY_FILLED", "2", "98")]


def test_a_quote_through_its_price_fills_a_resting_order_up_to_what_is_displayed(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "100")

    assert desk.quote(ask="99.5", ask_quantity="3", bid="99") == [("a", "PARTIALLY_FILLED", "3", "100")]
    assert desk.quote(ask="99.5", ask_quantity="3", bid="99") == []


def test_a_crossed_quote_fills_nothing(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "100")

    assert desk.quote(bid="102", ask="99") == []
    assert desk.submit("b", "BUY", "5", None) == [("b", "WORKING", "", "")]
    assert desk.quote() == [("b", "FILLED", "5", "101")]


def test_fees_are_those_of_maker_and_taker_to_eight_decimals(desk: Desk) -> None:
    (taken,) = desk.accept(route("a", "BUY", "0.333", None))
    desk.submit("b", "BUY", "1", "100")
    (made,) = desk.venue.tick(tick("99.99", "1"), NOW_NS)

    assert taken.report.fill is not None
    assert (taken.report.fill.fee, taken.report.fill.maker) == (D("0.01681650"), False)
    assert made.report.fill is not None
    assert (made.report.fill.fee, made.report.fill.maker) == (D("0.02"), True)


def test_every_report_and_every_fill_is_numbered(desk: Desk) -> None:
    changes = desk.accept(route("a", "BUY", "15", "101"))
    changes += desk.venue.tick(tick("100", "2"), NOW_NS)
    changes += desk.venue.tick(tick("100", "3"), NOW_NS)

    assert [change.report.sequence for change in changes] == [1, 2, 3]
    assert [change.report.fill and change.report.fill.execution_id for change in changes] == ["a-1", "a-2", "a-3"]
    assert [change.report.cumulative_quantity for change in changes] == [10, 12, 15]


def test_a_cancelled_order_is_gone(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "99")

    assert desk.cancel("a") == [("a", GONE, "", "")]
    assert desk.trade("90", "100") == []
    assert desk.venue.resting == set()


def test_a_cancel_of_an_unknown_order_is_rejected_and_remembered(desk: Desk) -> None:
    (rejected,) = desk.venue.never_came(CancelOrder(account="default", order_id="x"), NOW_NS)
    assert desk.venue.join([rejected], NOW_NS) == []

    assert (rejected.report.status, rejected.report.reason) == (OrderStatus.REJECTED, "unknown order")
    assert desk.venue.known("x") == rejected


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"symbol": "DOGE"}, "unknown symbol DOGE"),
        ({"quantity": "1.0005"}, "quantity 1.0005 is not a multiple of 0.001"),
        ({"price": "1.001"}, "price 1.001 is not a multiple of 0.01"),
    ],
)
def test_what_the_venue_cannot_work_is_rejected_with_the_reason(desk: Desk, words: dict[str, str], reason: str) -> None:
    (change,) = desk.accept(route(**words))

    assert (change.report.status, change.report.reason) == (OrderStatus.REJECTED, reason)


def test_a_quote_of_another_symbol_moves_nothing(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "100")

    assert desk.quote(ask="90", symbol="ETHUSDT") == []
    assert desk.quote(ask="90", symbol="DOGE") == []
    assert desk.trade("90", "9", symbol="ETHUSDT") == []


def test_resting_orders_come_back_with_their_place_in_the_queue(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "99")
    desk.trade("99", "7")
    (moved,) = desk.venue.queues_moved()
    assert desk.venue.queues_moved() == []

    desk.venue.restore([VenueOrder.decode(moved.encode())])

    assert desk.trade("99", "4") == [("a", "PARTIALLY_FILLED", "1", "99")]


def columns(rows: list[tuple[str, float, float]]) -> TickColumns:
    symbols = sorted({symbol for symbol, _, _ in rows})
    count = len(rows)
    return TickColumns(
        venue="sim",
        symbols=symbols,
        codes=np.array([symbols.index(symbol) for symbol, _, _ in rows], dtype=np.int32),
        event_ns=np.zeros(count, dtype=np.int64),
        receive_ns=np.zeros(count, dtype=np.int64),
        price=np.array([price for _, price, _ in rows], dtype=np.float64),
        quantity=np.array([quantity for _, _, quantity in rows], dtype=np.float64),
        side=np.zeros(count, dtype=np.int8),
        trade_id=[""] * count,
        sequence=np.zeros(count, dtype=np.int64),
    )


def test_the_trades_of_a_frame_fill_in_their_order_and_only_their_symbols(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "98.1")
    desk.submit("e", "SELL", "1", "2000.5", symbol="ETHUSDT")

    rows = [("BTCUSDT", 100.0, 9.0), ("BTCUSDT", 98.05, 2.0), ("ETHUSDT", 2000.75, 0.1), ("BTCUSDT", 97.0, 9.0)]
    assert said(desk.venue.frame(columns(rows), NOW_NS)) == [
        ("a", "PARTIALLY_FILLED", "2", "98.1"),
        ("e", "PARTIALLY_FILLED", "0.1", "2000.5"),
        ("a", "FILLED", "3", "98.1"),
    ]
    assert desk.venue.resting == {"ETHUSDT"}


PRICES = st.integers(95, 105).map(str)
QUANTITIES = st.integers(1, 20).map(str)
EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"),
            st.sampled_from(["BUY", "SELL"]),
            QUANTITIES,
            st.one_of(st.none(), PRICES),
            st.sampled_from(["GTC", "DAY", "IOC", "FOK"]),
        ),
        st.tuples(st.just("quote"), PRICES, QUANTITIES, PRICES, QUANTITIES, st.sampled_from(["sim", "other"])),
        st.tuples(st.just("trade"), PRICES, QUANTITIES, st.sampled_from(["buy", "sell", ""])),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("restart")),
    ),
    max_size=60,
)


class Auditor:
    """Sees every report, and adds up what the market gave."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.orders: dict[str, list[VenueOrder]] = {}

    def see(self, changes: list[VenueOrder]) -> Decimal:
        total = D(0)
        for change in changes:
            earlier = self.orders.setdefault(change.order_id, [])
            assert change.report.sequence == len(earlier) + 1
            assert not earlier or earlier[-1].is_open, "nothing is said of an order that is over"
            earlier.append(change)
            if change.report.fill is not None:
                total += change.report.fill.quantity
                self.check_price(change)
        return total

    @staticmethod
    def check_price(change: VenueOrder) -> None:
        limit = change.order.price
        assert change.report.fill is not None
        if limit is not None:
            price = change.report.fill.price
            assert price <= limit if change.is_buy else price >= limit

    def submit(self, side: str, quantity: str, price: str | None, time_in_force: str) -> None:
        order_id = f"o{len(self.orders)}"
        wanted = route(order_id, side, quantity, price, time_in_force=time_in_force)
        self.see(self.desk.accept(wanted))
        last = self.orders[order_id][-1]
        if time_in_force in ("IOC", "FOK"):
            assert not last.is_open
        if time_in_force == "FOK":
            assert last.report.cumulative_quantity in (0, D(quantity))

    def quote(self, bid: str, bid_quantity: str, ask: str, ask_quantity: str, venue: str) -> None:
        shown = quote(bid, bid_quantity, ask, ask_quantity, venue=venue)
        given = self.see(self.desk.venue.quote(shown, NOW_NS))
        assert given <= (0 if shown.crossed else D(bid_quantity) + D(ask_quantity))
        assert self.see(self.desk.venue.quote(shown, NOW_NS)) == 0, "a display is consumed once"

    def trade(self, price: str, quantity: str, side: str) -> None:
        assert self.see(self.desk.venue.tick(tick(price, quantity, side), NOW_NS)) <= D(quantity)

    def cancel(self, at: int) -> None:
        live = [order_id for order_id, changes in self.orders.items() if changes[-1].is_open]
        if live:
            cancel = CancelOrder(account="default", order_id=live[at % len(live)])
            self.see(self.desk.venue.cancel(cancel, NOW_NS))

    def restart(self) -> None:
        kept = [changes[-1] for changes in self.orders.values() if changes[-1].is_open]
        self.desk.venue.restore([VenueOrder.decode(order.encode()) for order in kept])


@given(EVENTS)
def test_no_more_is_filled_than_was_ordered_displayed_or_traded(events: list[tuple[object, ...]]) -> None:
    auditor = Auditor()
    for name, *words in events:
        getattr(auditor, str(name))(*words)

    for changes in auditor.orders.values():
        fills = [change.report.fill for change in changes if change.report.fill is not None]
        total = sum((fill.quantity for fill in fills), D(0))
        last = changes[-1]
        assert total == last.report.cumulative_quantity <= last.order.quantity
        assert (last.report.status is OrderStatus.FILLED) == (total == last.order.quantity)
        assert len({fill.execution_id for fill in fills}) == len(fills)
    open_now = [changes[-1].order_id for changes in auditor.orders.values() if changes[-1].is_open]
    assert auditor.desk.venue.open_count() == len(open_now)
