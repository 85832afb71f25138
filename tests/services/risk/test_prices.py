"""What is said of prices and times: sessions, references, collars, and an account's own orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.core.exposure.resting import Resting
from services.risk.core.gatekeeper import Gatekeeper, World
from services.risk.core.market import MOVES_MAX, Market, Terms, worst_price
from shared.contract import keys
from shared.contract.errors import Refused
from shared.contract.orders import OrderStatus
from shared.contract.risk import Outcome, RuleResult
from tests.services.risk.conftest import (
    ACCOUNTS,
    INSTRUMENTS,
    NOW_NS,
    Desk,
    check,
    event,
    limits,
    order,
    quote,
    settings,
)

D = Decimal
S = OrderStatus
SECOND_NS = 1_000_000_000
MARKET = quote()


def failed(desk: Desk, *args: str, **words: object) -> RuleResult:
    (found,) = [rule for rule in desk.judge(*args, **words).rules if rule.outcome is Outcome.FAIL]
    return found


class Closed:
    """A market that opens a minute from now."""

    def is_open(self, at_ns: int) -> bool:
        return at_ns >= NOW_NS + 60 * SECOND_NS

    def session_end(self, at_ns: int) -> int:
        return at_ns

    def next_open(self, at_ns: int) -> int:
        return NOW_NS + 60 * SECOND_NS


def test_nothing_is_traded_outside_its_session_not_even_an_exit(desk: Desk) -> None:
    desk.keeper = Gatekeeper(settings(), World(INSTRUMENTS, ACCOUNTS, sessions=lambda _: Closed()), desk.market)
    desk.holds("5")

    found = failed(desk, "SELL", "5")

    assert (found.id, found.code, found.value, found.limit, found.scope) == (
        "R02",
        "RISK_SESSION_CLOSED",
        "closed",
        "open",
        "24/7",
    )
    assert desk.judge("SELL", "5").reason == (
        "BTCUSDT is not traded now: calendar 24/7 is closed, and opens at 2023-11-14T22:14:20Z"
    )
    desk.market.quote(quote(receive_ns=NOW_NS + 60 * SECOND_NS))
    assert desk.judge(now_ns=NOW_NS + 60 * SECOND_NS).approved


def test_an_order_until_a_stated_time_needs_one_that_lies_ahead(desk: Desk) -> None:
    assert desk.judge(time_in_force="GTD", expire_ns=NOW_NS + 1).approved
    assert failed(desk, time_in_force="GTD", expire_ns=NOW_NS).code == "RISK_EXPIRED"
    assert failed(desk, time_in_force="GTD").code == "RISK_EXPIRED"
    day = desk.judge(time_in_force="DAY", expire_ns=NOW_NS)
    assert (day.code, day.reason) == ("RISK_EXPIRED", "the day it is for is over; send it again")


def test_venues_that_contradict_each_other_are_both_disbelieved() -> None:
    desk = Desk(divergence_fraction_max=D("0.01"))
    desk.market.quote(quote(venue="binance", bid="99.5", ask="100.4"))
    assert desk.judge().approved

    desk.market.quote(quote(venue="binance", bid="101", ask="102"))
    found = failed(desk)
    assert (found.id, found.code, found.value, found.limit) == ("R05", "RISK_REFERENCE_DIVERGES", "0.020101", "0.01")

    later_ns = NOW_NS + 4 * SECOND_NS
    desk.market.quote(quote(venue="binance", bid="101", ask="102", receive_ns=later_ns))
    assert desk.judge(now_ns=later_ns).approved, "the other one is too old to contradict"


@pytest.mark.parametrize(
    ("side", "inside", "outside", "value"),
    [("BUY", "110", "110.01", "0.1001"), ("SELL", "89.1", "89.09", "0.10010102")],
)
def test_a_price_may_lie_only_so_far_beyond_the_far_touch(side: str, inside: str, outside: str, value: str) -> None:
    desk = Desk(limits=limits(collar_aggressive_fraction_max=D("0.1")))

    assert desk.judge(side, price=inside).approved
    found = failed(desk, side, price=outside)
    assert (found.id, found.code, found.value, found.limit, found.scope) == (
        "R06",
        "RISK_COLLAR_AGGRESSIVE",
        value,
        "0.1",
        "account.default",
    )


@pytest.mark.parametrize(("side", "inside", "outside"), [("BUY", "49.5", "49.49"), ("SELL", "150", "150.01")])
def test_a_price_may_lie_only_so_far_behind_the_near_touch(side: str, inside: str, outside: str) -> None:
    desk = Desk(limits=limits(collar_passive_fraction_max=D("0.5")))

    assert desk.judge(side, price=inside).approved
    assert failed(desk, side, price=outside).code == "RISK_COLLAR_PASSIVE"


def test_where_one_side_of_the_market_is_missing_the_other_is_the_collars_touch() -> None:
    desk = Desk(limits=limits(collar_aggressive_fraction_max=D("0.1")))
    desk.market.quote(quote(ask=None))

    assert desk.judge("BUY", price="108.9").approved
    assert failed(desk, "BUY", price="108.91").code == "RISK_COLLAR_AGGRESSIVE"


def test_a_stop_with_a_limit_is_held_to_its_stop_and_may_wait_anywhere() -> None:
    desk = Desk(limits=limits(collar_aggressive_fraction_max=D("0.1"), collar_passive_fraction_max=D(0)))
    stop = {"order_type": "STOP_LIMIT", "stop_price": "200"}

    assert desk.judge("BUY", price="220", **stop).approved
    assert failed(desk, "BUY", price="220.01", **stop).code == "RISK_COLLAR_AGGRESSIVE"


def test_a_post_only_order_that_would_trade_at_once_is_denied(desk: Desk) -> None:
    assert desk.judge("BUY", price="99.99", post_only=True).approved
    found = failed(desk, "BUY", price="100", post_only=True)
    assert (found.id, found.code, found.value, found.limit) == ("R06", "RISK_POST_ONLY", "100", "short of 100")
    assert failed(desk, "SELL", price="99", post_only=True).code == "RISK_POST_ONLY"


def test_a_post_only_order_that_would_trade_at_once_is_denied_even_if_it_only_reduces(desk: Desk) -> None:
    desk.holds("5")
    assert desk.judge("SELL", "5", price="100", post_only=True).approved
    found = failed(desk, "SELL", "5", price="99", post_only=True)
    assert (found.code, found.value, found.limit) == ("RISK_POST_ONLY", "99", "short of 99")


def test_a_quote_from_the_future_is_not_believed(desk: Desk) -> None:
    desk.market.quote(quote(receive_ns=NOW_NS + 3 * SECOND_NS))
    assert desk.judge().approved
    desk.market.quote(quote(receive_ns=NOW_NS + 3 * SECOND_NS + 1))
    assert failed(desk).value == "AHEAD"


def off(desk: Desk, order_id: str, price: str = "150", now_ns: int = NOW_NS, **words: Any) -> str:
    """An order far beyond the far touch, with the code it is denied under."""
    return desk.reserve(order_id, "BUY", "1", price, now_ns=now_ns, strategy="trend", **words).code


def beyond_the_collar() -> Desk:
    scopes = limits(collar_aggressive_fraction_max=D("0.1"))
    return Desk(limits=scopes, collar_hits_max=3, collar_hits_window_s=10)


def test_prices_beyond_the_collar_disable_the_strategy_until_a_person_enables_it() -> None:
    desk = beyond_the_collar()
    assert [off(desk, order_id) for order_id in "abc"] == ["RISK_COLLAR_AGGRESSIVE"] * 3

    found = failed(desk, strategy="trend")
    assert (found.id, found.code, found.value, found.scope) == (
        "R06",
        "RISK_COLLAR_REPEATED",
        "disabled",
        "strategy.trend",
    )
    assert desk.judge(strategy="other").approved
    assert desk.judge(symbol="AAPL", strategy="trend").approved
    (change,) = desk.controls.changes
    assert (change.key, change.alert.code) == (
        keys.disabled("strategy.trend", "BTCUSDT"),
        "RISK_COLLAR_REPEATED",
    )

    later_ns = NOW_NS + 3600 * SECOND_NS
    desk.market.quote(quote(receive_ns=later_ns))
    assert failed(desk, strategy="trend", now_ns=later_ns).code == "RISK_COLLAR_REPEATED"
    with pytest.raises(Refused):
        desk.controls.flow.enable("strategy.trend", "BTCUSDT", "trend", "again", later_ns)
    desk.controls.flow.enable("strategy.trend", "BTCUSDT", "grace", "looked at it", later_ns)
    assert desk.judge(strategy="trend", now_ns=later_ns).approved


def test_a_price_beyond_the_collar_counts_once_for_a_while_and_only_of_what_is_to_be_sent() -> None:
    desk = beyond_the_collar()
    for _ in range(5):
        off(desk, "a")
        desk.judge("BUY", "1", "150", strategy="trend")
    later_ns = NOW_NS + 10 * SECOND_NS
    desk.market.quote(quote(receive_ns=later_ns))
    assert [off(desk, order_id, now_ns=later_ns) for order_id in "bc"] == ["RISK_COLLAR_AGGRESSIVE"] * 2
    assert desk.judge(strategy="trend", now_ns=later_ns).approved
    off(desk, "c", "160", later_ns)
    assert desk.judge(strategy="trend", now_ns=later_ns).code == "RISK_COLLAR_REPEATED"


# Stops.


@pytest.mark.parametrize(
    ("terms", "worst"),
    [
        (Terms("BUY", "LIMIT", D(90)), 90),
        (Terms("BUY", "MARKET", None), 102),
        (Terms("BUY", "STOP", None, D(150)), 153),
        (Terms("BUY", "STOP", None, D(50)), 102),
        (Terms("BUY", "STOP_LIMIT", D(160), D(150)), 160),
        (Terms("BUY", "TRAILING_STOP", None, None, "50"), 153),
        (Terms("BUY", "TRAILING_STOP", None, None, "10%"), D("112.2")),
        (Terms("BUY", "TRAILING_STOP", None, D(120), "10%"), D("122.4")),
        (Terms("SELL", "LIMIT", D(90)), 99),
        (Terms("SELL", "LIMIT", D(110)), 110),
        (Terms("SELL", "MARKET", None), 100),
        (Terms("SELL", "STOP", None, D(50)), 100),
        (Terms("SELL", "STOP", None, D(150)), 150),
        (Terms("SELL", "STOP_LIMIT", D(49), D(50)), 99),
        (Terms("SELL", "STOP_LIMIT", D(140), D(150)), 150),
        (Terms("SELL", "TRAILING_STOP", None, D(95), "5"), 100),
    ],
)
def test_an_order_is_taken_to_fill_at_its_worst(terms: Terms, worst: Decimal) -> None:
    assert worst_price(terms, MARKET, D("0.02")) == worst


@pytest.mark.parametrize("order_type", ["MARKET", "STOP", "TRAILING_STOP"])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_what_needs_a_market_has_no_price_without_one(side: str, order_type: str) -> None:
    terms = Terms(side, order_type, None, D(100) if order_type == "STOP" else None, "5")

    assert worst_price(terms, None, D("0.02")) is None


def test_a_stop_between_ticks_is_denied_but_one_that_trails_may_be(desk: Desk) -> None:
    assert failed(desk, "BUY", price=None, order_type="STOP", stop_price="150.001").code == "RISK_PRICE_TICK"
    assert desk.judge("BUY", price=None, order_type="TRAILING_STOP", stop_price="150.001", trail="5%").approved


# The account's own orders.


@pytest.mark.parametrize(
    ("resting", "newest"),
    [
        (("SELL", "101"), ("BUY", "101")),
        (("SELL", "101"), ("BUY", "105")),
        (("SELL", "101"), ("BUY", None)),
        (("BUY", "98"), ("SELL", "98")),
        (("BUY", "98"), ("SELL", None)),
    ],
)
def test_an_order_that_would_trade_with_one_of_the_same_account_is_denied(
    desk: Desk, resting: tuple[str, str], newest: tuple[str, str | None]
) -> None:
    assert desk.reserve("own", resting[0], "1", price=resting[1]).approved

    found = failed(desk, newest[0], "1", price=newest[1])

    assert (found.id, found.code, found.limit, found.scope) == ("R16", "RISK_SELF_TRADE", resting[1], "default")
    assert "own" in desk.judge(newest[0], "1", price=newest[1]).reason
    assert desk.judge(newest[0], "1", price=newest[1], symbol="AAPL").approved


@pytest.mark.parametrize(
    "words",
    [
        {"price": "100.99"},
        {"price": None, "order_type": "STOP", "stop_price": "150"},
        {"price": "160", "order_type": "STOP_LIMIT", "stop_price": "150"},
    ],
)
def test_an_order_that_does_not_meet_its_own_passes(desk: Desk, words: dict[str, str]) -> None:
    assert desk.reserve("own", "SELL", "1", price="101").approved

    assert desk.judge("BUY", "1", **words).approved


def test_a_market_order_reaches_only_as_far_as_its_slippage(desk: Desk) -> None:
    assert desk.reserve("far", "SELL", "1", price="102.01").approved
    assert desk.judge("BUY", "1", price=None).approved

    assert desk.reserve("near", "SELL", "1", price="102").approved
    assert failed(desk, "BUY", "1", price=None).code == "RISK_SELF_TRADE"


@pytest.mark.parametrize("words", [{"time_in_force": "IOC"}, {"order_type": "STOP_LIMIT", "stop_price": "90"}])
def test_what_does_not_rest_meets_nobody(desk: Desk, words: dict[str, str]) -> None:
    assert desk.reserve("own", "SELL", "1", price="99", **words).approved

    assert desk.judge("BUY", "1", price="100").approved


def test_a_stop_that_was_triggered_rests(desk: Desk) -> None:
    waiting = check("SELL", "1", "101", order_id="own", order_type="STOP_LIMIT", stop_price="90")
    desk.hear(event(order(waiting, S.ACCEPTED, stop_price="90")))
    assert desk.judge("BUY", "1", price="101").approved

    desk.hear(event(order(waiting, S.ROUTED, version=2, stop_price="90", triggered_ns=NOW_NS)))
    assert failed(desk, "BUY", "1", price="101").code == "RISK_SELF_TRADE"


def test_an_order_that_is_over_meets_nobody(desk: Desk) -> None:
    assert desk.reserve("own", "SELL", "1", price="101").approved
    desk.hear(event(order(check("SELL", "1", "101", order_id="own"), S.CANCELED, version=2)))

    assert desk.judge("BUY", "1", price="101").approved


def test_another_accounts_orders_are_not_ones_own() -> None:
    desk = Desk(limits=limits() | {"account.other": limits()["account.default"]})
    assert desk.reserve("theirs", "SELL", "1", price="101", account="other").approved

    assert desk.judge("BUY", "1", price="101").approved


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 5)), max_size=200), st.sampled_from([1, -1]))
def test_the_best_resting_price_is_the_best_of_those_that_rest(steps: list[tuple[bool, int, int]], sign: int) -> None:
    resting = Resting(sign)
    live: dict[str, Decimal] = {}
    for put, number, price in steps:
        order_id = f"o{number}"
        if put:
            resting.put(order_id, D(price))
            live[order_id] = D(price)
        else:
            resting.drop(order_id)
            live.pop(order_id, None)
        best = resting.best()
        assert (best[0] if best else None) == ((min if sign == 1 else max)(live.values()) if live else None)


def test_whoever_looks_rarely_still_learns_of_every_move() -> None:
    market = Market()
    market.quote(quote("AAPL"))
    seen = market.moves
    for price in range(MOVES_MAX + 10):
        market.quote(quote(bid=str(price + 1), ask=str(price + 2)))

    assert market.moved_since(seen) is None
    assert market.moved_since(market.moves) == []
    assert set(market.moved_since(market.moves - 3) or ()) == {"BTCUSDT"}
