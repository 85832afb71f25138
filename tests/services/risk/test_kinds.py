"""Kinds of orders: exits, reduce_only, groups, and new terms for an order that is open."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from shared.contract.market import Feed, FeedStatus
from shared.contract.orders import Order, OrderStatus, Replacement
from shared.contract.risk import Limits, Outcome, TradingState
from tests.services.risk.conftest import NOW_NS, SCOPES, Desk, check, event, order, quote

D = Decimal
S = OrderStatus


# Exits.


def test_an_exit_passes_limits_that_new_risk_does_not() -> None:
    desk = Desk(limits={"account.default": Limits()})
    desk.holds("5")

    verdict = desk.judge("SELL", "5")

    assert verdict.approved
    assert {rule.outcome for rule in verdict.rules if rule.code == "RISK_GROSS_EXPOSURE"} == {Outcome.WARN}
    assert not desk.judge("SELL", "5.001").approved
    assert not desk.judge("BUY", "1").approved


@pytest.mark.parametrize(
    "trouble", ["nobody quotes", "old quote", "feed down", "blocked", "too many open", "unhealthy"]
)
def test_an_exit_passes(trouble: str) -> None:
    desk = Desk(
        limits=SCOPES | {"symbol.BTCUSDT": Limits(open_orders_max=D(0))} if trouble == "too many open" else SCOPES
    )
    desk.holds("5", last_price=D(90))
    match trouble:
        case "nobody quotes":
            desk.market.quote(quote(bid=None, ask=None))
        case "old quote":
            desk.market.quote(quote(receive_ns=NOW_NS - 60_000_000_000))
        case "feed down":
            desk.market.feed(Feed(venue="sim", symbol="BTCUSDT", status=FeedStatus.DOWN, since_ns=NOW_NS))
        case "blocked":
            desk.controls.gates.block("BTCUSDT", "ann", "news", NOW_NS)
        case "unhealthy":
            desk.controls.health.heard(NOW_NS - 60_000_000_000, NOW_NS)
        case _:
            pass

    assert not desk.judge("BUY", "1").approved
    verdict = desk.reserve("exit", "SELL", "5", price=None)
    assert verdict.approved, verdict.reason
    assert desk.keeper.exposures.of("default").line("BTCUSDT").sells == 5


@pytest.mark.parametrize("trouble", ["killed", "halted", "bad form", "own order"])
def test_an_exit_does_not_pass(desk: Desk, trouble: str) -> None:
    desk.holds("5")
    words: dict[str, Any] = {}
    match trouble:
        case "killed":
            desk.kill("firm")
        case "halted":
            desk.controls.gates.put_state("firm", TradingState.HALTED, "ann", "drill", NOW_NS)
        case "bad form":
            words = {"price": "99.001"}
        case _:
            assert desk.reserve("own", "BUY", "1", price="99").approved
            words = {"price": "99"}

    assert not desk.judge("SELL", "5", **words).approved


def test_the_same_exit_twice_is_a_duplicate() -> None:
    desk = Desk(duplicate_window_s=1)
    desk.holds("5")
    assert desk.reserve("a", "SELL", "2").approved

    assert desk.judge("SELL", "2", order_id="b").code == "RISK_DUPLICATE"


def test_an_exit_counts_what_is_open_already(desk: Desk) -> None:
    desk.cash("0")
    desk.holds("5")
    assert desk.reserve("a", "SELL", "3").approved

    assert desk.judge("SELL", "2").approved
    assert desk.judge("SELL", "3").code == "RISK_BUYING_POWER"


# reduce_only.


def test_a_reduce_only_order_never_opens_and_never_goes_through_zero(desk: Desk) -> None:
    assert desk.judge("SELL", "1", reduce_only=True).code == "RISK_REDUCE_ONLY"
    desk.holds("5")
    assert desk.judge("SELL", "5", reduce_only=True).approved
    assert desk.judge("BUY", "1", reduce_only=True).code == "RISK_REDUCE_ONLY"

    verdict = desk.judge("SELL", "5.001", reduce_only=True)
    (found,) = [rule for rule in verdict.rules if rule.outcome is Outcome.FAIL]
    assert (found.code, found.value, found.limit, found.scope) == ("RISK_REDUCE_ONLY", "5.001", "5", "account.default")

    assert desk.reserve("a", "SELL", "3", reduce_only=True).approved
    assert desk.judge("SELL", "3", reduce_only=True).code == "RISK_REDUCE_ONLY"


# REDUCING, by scope.


@pytest.mark.parametrize("scope", ["firm", "account.default", "symbol.BTCUSDT"])
def test_a_scope_that_is_reducing_shrinks_what_the_account_holds(desk: Desk, scope: str) -> None:
    desk.holds("5")
    desk.controls.gates.put_state(scope, TradingState.REDUCING, "ann", "drill", NOW_NS)

    assert desk.judge("SELL", "5").approved
    verdict = desk.judge("SELL", "6")
    (found,) = [rule for rule in verdict.rules if rule.id == "R18"]
    assert (found.code, found.value, found.limit, found.scope) == ("RISK_TRADING_STATE", "6", "5", scope)


def test_a_strategy_that_is_reducing_shrinks_its_own_share(desk: Desk) -> None:
    desk.holds("5", strategy="trend")
    desk.controls.gates.put_state("strategy.trend", TradingState.REDUCING, "ann", "drill", NOW_NS)

    assert desk.judge("SELL", "5", strategy="trend").approved
    assert desk.judge("SELL", "6", strategy="trend").code == "RISK_TRADING_STATE"
    assert desk.judge("BUY", "1", strategy="trend").code == "RISK_TRADING_STATE"
    assert desk.judge("BUY", "1").approved


# Groups.


def line(desk: Desk) -> Any:
    return desk.keeper.exposures.of("default").line("BTCUSDT")


def test_of_one_group_only_the_largest_counts(desk: Desk) -> None:
    desk.holds("5")
    assert desk.reserve("stop", "SELL", "5", price=None, order_type="STOP", stop_price="90", group="g").approved
    assert desk.reserve("target", "SELL", "5", price="120", group="g", reduce_only=True).approved

    assert (line(desk).sells, line(desk).orders) == (5, 2)
    assert desk.judge("SELL", "5", reduce_only=True).code == "RISK_REDUCE_ONLY"


def test_what_one_of_a_group_fills_leaves_the_others_counted(desk: Desk) -> None:
    desk.cash("100000")
    for order_id, price in (("a", "98"), ("b", "97")):
        assert desk.reserve(order_id, "BUY", "4", price=price, group="g").approved
    assert (line(desk).buys, line(desk).buy_notional) == (4, 392)

    desk.hear(event(order(check("BUY", "4", "98", order_id="a"), S.CANCELED, version=2, group="g")))
    assert (line(desk).buys, line(desk).buy_notional) == (4, 388)

    desk.hear(event(order(check("BUY", "4", "97", order_id="b"), S.CANCELED, version=2, group="g")))
    assert (line(desk).buys, line(desk).buy_notional, line(desk).orders) == (0, 0, 0)


def test_a_larger_order_of_a_group_adds_only_what_it_is_larger(desk: Desk) -> None:
    desk.holds("12")
    assert desk.reserve("a", "BUY", "5", price="98", group="g").approved

    assert desk.judge("BUY", "8", price="97", group="g").approved
    assert desk.judge("BUY", "8.001", price="97", group="g").code == "RISK_POSITION_LIMIT"
    assert desk.judge("BUY", "8", price="97").code == "RISK_POSITION_LIMIT"


# Replacing.


def replace(desk: Desk, quantity: str, price: str = "100", filled: str = "0", reserve: bool = True) -> Any:
    wanted = check("BUY", quantity, price, order_id="a", replaces=True, filled_quantity=filled, reserve=reserve)
    verdict = desk.keeper.judge(wanted, NOW_NS)
    return desk.keeper.reserve(wanted, verdict, NOW_NS, "life") if verdict.approved and reserve else verdict


def standing(quantity: str, price: str, version: int, **words: Any) -> Order:
    return order(check("BUY", quantity, price, order_id="a"), S.WORKING, version=version, **words)


def test_new_terms_are_judged_with_the_old_ones_taken_out(desk: Desk) -> None:
    desk.holds("10")
    assert desk.reserve("a", "BUY", "8").approved

    assert replace(desk, "10", reserve=False).approved
    assert line(desk).buys == 8, "judging sets nothing aside"
    desk.reserve("b", "BUY", "2")
    assert replace(desk, "9").code == "RISK_POSITION_LIMIT"
    assert line(desk).buys == 10


def test_what_has_filled_and_was_not_heard_of_counts_as_still_to_fill(desk: Desk) -> None:
    desk.holds("11")
    assert desk.reserve("a", "BUY", "8").approved

    assert replace(desk, "10", filled="1", reserve=False).code == "RISK_POSITION_LIMIT"
    assert replace(desk, "9", filled="1").approved
    assert line(desk).buys == 9


def test_until_the_event_says_what_stands_the_larger_terms_are_held(desk: Desk) -> None:
    desk.reserve("a", "BUY", "8", price="90")
    desk.hear(event(standing("8", "90", 1)))

    verdict = replace(desk, "4", price="95")
    assert (verdict.reservation.quantity, verdict.reservation.price) == (8, 95)
    assert (line(desk).buys, line(desk).buy_notional) == (8, 760)

    desk.hear(
        event(standing("8", "90", 2, replacing=Replacement(number=1, price=D(95), quantity=D(4)), replacements=1))
    )
    assert (line(desk).buys, line(desk).buy_notional) == (8, 760), "under way"

    desk.hear(event(standing("4", "95", 3, replacements=1)))
    assert (line(desk).buys, line(desk).buy_notional) == (4, 380), "confirmed"


def test_terms_that_the_venue_refused_are_let_go(desk: Desk) -> None:
    desk.reserve("a", "BUY", "4", price="90")
    desk.hear(event(standing("4", "90", 1)))
    assert replace(desk, "8", price="95").approved

    desk.hear(
        event(standing("4", "90", 2, replacing=Replacement(number=1, price=D(95), quantity=D(8)), replacements=1))
    )
    assert line(desk).buys == 8
    desk.hear(event(standing("4", "90", 3, replacements=1)))

    assert (line(desk).buys, line(desk).buy_notional) == (4, 360)


def test_an_event_from_before_the_new_terms_takes_nothing_of_them_back(desk: Desk) -> None:
    desk.reserve("a", "BUY", "4", price="90")
    assert replace(desk, "8", price="95").approved

    desk.hear(event(standing("4", "90", 1)))
    desk.hear(event(standing("4", "90", 2, filled="1"), position=("1", 1)))

    assert (line(desk).buys, line(desk).quantity) == (7, 1)


def test_new_terms_that_were_never_committed_lapse(desk: Desk) -> None:
    desk.reserve("a", "BUY", "4", price="90")
    desk.hear(event(standing("4", "90", 1)))
    assert replace(desk, "8", price="95").approved
    follower = desk.keeper.follower

    (lapsed,) = follower.lapsed(NOW_NS + 31_000_000_000, 30)
    assert follower.let_go(lapsed)
    desk.hear(event(standing("4", "90", 2)))

    assert (line(desk).buys, line(desk).buy_notional) == (4, 360)
    assert follower.lapsed(NOW_NS + 31_000_000_000, 30) == []


def test_what_an_order_has_filled_is_no_part_of_what_its_new_terms_add(desk: Desk) -> None:
    desk.holds("10")
    desk.reserve("a", "BUY", "8")
    desk.hear(event(standing("8", "100", 1, filled="6")))

    assert replace(desk, "10", filled="6").reservation.quantity == 4
    assert not replace(desk, "6", filled="6").approved, "nothing would be left of it"


def test_nothing_replaces_an_order_that_is_not_there(desk: Desk) -> None:
    assert replace(desk, "1").code == "RISK_NOTHING_TO_REPLACE"
