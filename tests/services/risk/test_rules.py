"""Every rule, by its code."""

from __future__ import annotations

from decimal import Decimal
from decimal import Decimal as D

import pytest

from services.risk.core.findings import too_slow
from shared.contract.market import Feed, FeedStatus
from shared.contract.risk import Outcome, RiskCheck, RiskLevel, TradingState, Verdict
from tests.services.risk.conftest import NOW_NS, Desk, check, quote

SECOND_NS = 1_000_000_000


def put_state(desk: Desk, state: TradingState, scope: str = "default") -> None:
    desk.controls.gates.put_state(scope, state, "ann", "drill", NOW_NS)


def test_an_order_within_every_limit_is_approved_and_lists_every_rule(desk: Desk) -> None:
    verdict = desk.judge()

    assert verdict.approved
    assert verdict.code == ""
    assert {rule.code for rule in verdict.rules} == {
        "RISK_KILLED",
        "RISK_TRADING_STATE",
        "RISK_BAD_NUMBER",
        "RISK_UNKNOWN_SYMBOL",
        "RISK_PRICE_TICK",
        "RISK_LOT",
        "RISK_QUANTITY_RANGE",
        "RISK_NOTIONAL_MIN",
        "RISK_SYMBOL_BLOCKED",
        "RISK_STALE_REFERENCE",
        "RISK_NO_LIMITS",
        "RISK_ORDER_QUANTITY",
        "RISK_ORDER_NOTIONAL",
        "RISK_POSITION_LIMIT",
        "RISK_BUYING_POWER",
        "RISK_SESSION_CLOSED",
        "RISK_NOT_PERMITTED",
        "RISK_UNHEALTHY",
        "RISK_COLLAR_AGGRESSIVE",
        "RISK_COLLAR_PASSIVE",
        "RISK_GROSS_EXPOSURE",
        "RISK_NET_EXPOSURE",
        "RISK_CONCENTRATION",
        "RISK_LEVERAGE",
        "RISK_OPEN_ORDERS",
        "RISK_OPEN_NOTIONAL",
        "RISK_MESSAGE_RATE",
        "RISK_ORDERS_PER_TRADE",
        "RISK_DUPLICATE",
        "RISK_REPEATED_EXECUTION",
        "RISK_SELF_TRADE",
        "RISK_LOSS_LIMIT",
        "RISK_DRAWDOWN_LIMIT",
    }
    assert all(rule.outcome is Outcome.PASS for rule in verdict.rules)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1", "0"])
def test_a_bad_number_is_denied_before_it_is_compared_with_anything(desk: Desk, number: str) -> None:
    bad = RiskCheck.model_construct(**(check().model_dump() | {"quantity": Decimal(number)}))

    verdict = desk.keeper.judge(bad, NOW_NS)

    assert verdict.code == "RISK_BAD_NUMBER"
    assert [rule.id for rule in verdict.rules] == ["R19", "R18", "R01"]


def test_an_unlisted_symbol_is_denied(desk: Desk) -> None:
    assert desk.judge(symbol="DOGE").code == "RISK_UNKNOWN_SYMBOL"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"price": "100.001"}, "RISK_PRICE_TICK"),
        ({"quantity": "1.0005"}, "RISK_LOT"),
        ({"quantity": "5000"}, "RISK_QUANTITY_RANGE"),
        ({"quantity": "0.001"}, "RISK_NOTIONAL_MIN"),
        ({"quantity": "11"}, "RISK_ORDER_QUANTITY"),
        ({"quantity": "10", "price": "201"}, "RISK_ORDER_NOTIONAL"),
    ],
)
def test_an_order_of_the_wrong_measure_is_denied(desk: Desk, words: dict[str, str], code: str) -> None:
    assert desk.judge(**words).code == code


def test_a_number_too_fine_for_its_step_is_denied_and_breaks_nothing(desk: Desk) -> None:
    assert desk.judge(quantity="1", price="100000000000000000000").code == "RISK_ORDER_NOTIONAL"
    assert desk.judge(quantity="100000000000000000000").code == "RISK_QUANTITY_RANGE"


def test_an_order_is_denied_without_a_quote(desk: Desk) -> None:
    desk.market.quote(quote(bid=None, ask=None))

    assert desk.judge().code == "RISK_STALE_REFERENCE"


def test_an_order_is_denied_against_an_old_quote(desk: Desk) -> None:
    assert desk.judge(now_ns=NOW_NS + 3 * SECOND_NS).approved

    verdict = desk.judge(now_ns=NOW_NS + 3 * SECOND_NS + 1)

    assert verdict.code == "RISK_STALE_REFERENCE"


def test_an_order_is_denied_against_a_crossed_quote(desk: Desk) -> None:
    desk.market.quote(quote(bid="101", ask="100"))

    assert desk.judge().code == "RISK_STALE_REFERENCE"


@pytest.mark.parametrize("status", [status for status in FeedStatus if status is not FeedStatus.LIVE])
def test_an_order_is_denied_while_its_feed_is_not_live(desk: Desk, status: FeedStatus) -> None:
    desk.market.feed(Feed(venue="sim", symbol="BTCUSDT", status=status, since_ns=NOW_NS))
    assert desk.judge().code == "RISK_STALE_REFERENCE"

    desk.market.feed(Feed(venue="sim", symbol="BTCUSDT", status=FeedStatus.LIVE, since_ns=NOW_NS))
    assert desk.judge().approved


def test_a_market_order_is_denied_when_there_is_nobody_to_trade_with(desk: Desk) -> None:
    desk.market.quote(quote(ask=None))

    assert desk.judge("BUY", price=None).code == "RISK_STALE_REFERENCE"
    assert desk.judge("SELL", price=None).approved


def test_a_market_buy_is_taken_to_fill_above_the_ask(desk: Desk) -> None:
    rules = {rule.code: rule for rule in desk.judge("BUY", "10", price=None).rules}

    assert rules["RISK_ORDER_NOTIONAL"].value == "1020"


def test_a_market_sell_is_never_valued_below_the_market(desk: Desk) -> None:
    rules = {rule.code: rule for rule in desk.judge("SELL", "10", price=None).rules}
    low = {rule.code: rule for rule in desk.judge("SELL", "10", price="1").rules}

    assert rules["RISK_ORDER_NOTIONAL"].value == "1000"
    assert low["RISK_ORDER_NOTIONAL"].value == "990"


def test_the_worst_case_position_counts_what_is_held_and_what_is_open(desk: Desk) -> None:
    desk.holds("5")
    assert desk.reserve("a", "BUY", "10").approved

    assert desk.judge("BUY", "5").approved
    assert desk.judge("BUY", "5.001").code == "RISK_POSITION_LIMIT"
    assert desk.reserve("b", "SELL", "10", price="101").approved
    assert desk.judge("SELL", "10", price="101").approved
    assert desk.judge("SELL", "10.001", price="101").code == "RISK_ORDER_QUANTITY"


def test_open_orders_of_the_other_side_make_no_room(desk: Desk) -> None:
    desk.holds("20")
    assert desk.reserve("a", "SELL", "10").approved

    assert desk.judge("BUY", "0.1").code == "RISK_POSITION_LIMIT"


def test_a_position_beyond_its_limit_may_still_be_reduced(desk: Desk) -> None:
    desk.holds("50")

    assert desk.judge("SELL", "10").approved


def test_a_buy_needs_its_worst_notional_and_fee_in_free_cash(desk: Desk) -> None:
    desk.cash("1000.49")
    assert desk.judge("BUY", "10").code == "RISK_BUYING_POWER"

    desk.cash("1000.50")
    assert desk.judge("BUY", "10").approved


def test_reserved_money_is_not_free(desk: Desk) -> None:
    desk.cash("1500")
    assert desk.reserve("a", "BUY", "10").approved

    assert desk.judge("BUY", "5").code == "RISK_BUYING_POWER"
    assert desk.judge("BUY", "4").approved


def test_what_is_held_can_be_sold_without_any_cash(desk: Desk) -> None:
    desk.cash("0")
    desk.holds("10")

    assert desk.judge("SELL", "10").approved
    assert desk.judge("SELL", "10.001", symbol="BTCUSDT").code == "RISK_ORDER_QUANTITY"
    assert desk.reserve("a", "SELL", "6").approved
    assert desk.judge("SELL", "5").code == "RISK_BUYING_POWER"


def test_a_short_needs_margin_and_fee(desk: Desk) -> None:
    desk.cash("500.49")
    assert desk.judge("SELL", "10").code == "RISK_BUYING_POWER"

    desk.cash("500.50")
    assert desk.judge("SELL", "10").approved


def test_a_held_short_binds_its_value_and_margin(desk: Desk) -> None:
    desk.holds("-10")
    desk.cash("1500")

    assert desk.judge("SELL", "1").code == "RISK_BUYING_POWER"
    assert desk.judge("BUY", "10").approved
    assert desk.judge("BUY", "1", symbol="AAPL").code == "RISK_BUYING_POWER"


def test_nothing_new_passes_while_a_held_short_cannot_be_valued(desk: Desk) -> None:
    desk.holds("-1", symbol="XRP", last_price=D("0.5"))

    verdict = desk.judge()

    assert verdict.code == "RISK_BUYING_POWER"
    assert "XRP" in verdict.reason


def test_an_account_without_limits_may_not_trade(desk: Desk) -> None:
    verdict = desk.judge(account="stranger")

    assert verdict.code == "RISK_NO_LIMITS"
    assert verdict.risk_level is RiskLevel.BREACHED


def test_an_unset_limit_is_nought(desk: Desk) -> None:
    desk = Desk(limits={"account.default": {"order_quantity_max": "10", "order_notional_max": "5000"}})

    verdict = desk.judge()

    assert verdict.code == "RISK_POSITION_LIMIT"
    assert {r.code for r in verdict.rules if r.outcome is Outcome.FAIL} == {
        "RISK_POSITION_LIMIT",
        "RISK_GROSS_EXPOSURE",
        "RISK_NET_EXPOSURE",
        "RISK_CONCENTRATION",
        "RISK_LEVERAGE",
        "RISK_OPEN_ORDERS",
        "RISK_OPEN_NOTIONAL",
        "RISK_MESSAGE_RATE",
        "RISK_ORDERS_PER_TRADE",
        "RISK_REPEATED_EXECUTION",
        "RISK_LOSS_LIMIT",
        "RISK_DRAWDOWN_LIMIT",
    }


def test_a_halted_account_passes_nothing(desk: Desk) -> None:
    desk.holds("5")
    put_state(desk, TradingState.HALTED)

    assert desk.judge("SELL", "1").code == "RISK_TRADING_STATE"


def test_a_reducing_account_may_only_shrink_what_it_holds(desk: Desk) -> None:
    desk.holds("5")
    put_state(desk, TradingState.REDUCING)

    assert desk.judge("BUY", "1").code == "RISK_TRADING_STATE"
    assert desk.judge("SELL", "5").approved
    assert desk.judge("SELL", "5.001").code == "RISK_TRADING_STATE"
    assert desk.reserve("a", "SELL", "3").approved
    assert desk.judge("SELL", "3").code == "RISK_TRADING_STATE"
    assert desk.judge("SELL", "2").approved


def test_a_reducing_short_may_only_be_bought_back(desk: Desk) -> None:
    desk.holds("-5")
    put_state(desk, TradingState.REDUCING)

    assert desk.judge("SELL", "1").code == "RISK_TRADING_STATE"
    assert desk.judge("BUY", "5").approved
    assert desk.judge("BUY", "6").code == "RISK_TRADING_STATE"


def test_a_flat_account_that_is_reducing_passes_nothing(desk: Desk) -> None:
    put_state(desk, TradingState.REDUCING)

    assert desk.judge("BUY").code == "RISK_TRADING_STATE"
    assert desk.judge("SELL").code == "RISK_TRADING_STATE"


@pytest.mark.parametrize("scope", ["firm", "account.default", "symbol.BTCUSDT", "symbol.btcusdt", "strategy.trend"])
def test_a_kill_stops_everything_in_its_scope(desk: Desk, scope: str) -> None:
    desk.kill(scope)
    assert desk.judge(strategy="trend").code == "RISK_KILLED"

    desk.controls.gates.kills.lift(scope, "ben", NOW_NS)
    assert desk.judge(strategy="trend").approved


def test_a_kill_stops_nothing_outside_its_scope(desk: Desk) -> None:
    for scope in ("account.other", "symbol.AAPL", "strategy.trend", "venue.binance"):
        desk.kill(scope)

    assert desk.judge().approved


def test_the_kill_is_named_before_anything_else_that_fails(desk: Desk) -> None:
    desk.kill("firm")

    verdict = desk.judge(quantity="5000", price="100.001", symbol="DOGE")

    assert verdict.code == "RISK_KILLED"
    assert verdict.reason == "firm is killed"
    assert sum(rule.outcome is Outcome.FAIL for rule in verdict.rules) > 2


def test_a_blocked_symbol_is_denied_until_it_is_unblocked(desk: Desk) -> None:
    desk.controls.gates.block("BTCUSDT", "ann", "news", NOW_NS)
    assert desk.judge().code == "RISK_SYMBOL_BLOCKED"
    assert desk.judge(symbol="AAPL").approved

    desk.controls.gates.unblock("BTC/USDT", "ben", NOW_NS)
    assert desk.judge().approved


def test_a_decision_over_its_budget_is_a_denial(desk: Desk) -> None:
    verdict = too_slow(desk.judge(), 50.1, 50, "default")

    assert verdict.code == "RISK_TOO_SLOW"
    assert verdict.elapsed_us == 50_100
    assert too_slow(desk.judge(), 49.9, 50, "default").approved
    desk.holds("5")
    assert too_slow(desk.judge("SELL", "5"), 50.1, 50, "default").approved, "an exit"


def test_a_verdict_travels_in_the_words_of_its_message(desk: Desk) -> None:
    for verdict in (
        desk.judge(),
        desk.judge("BUY", "5000", price="100.001"),
        desk.reserve("a", "BUY", "1", group="g"),
        too_slow(desk.judge(), 1.5, 50, "default"),
    ):
        plain = Verdict.model_validate(verdict.model_dump())
        assert Verdict.decode(verdict.encode()) == plain
        assert verdict == plain
        assert verdict.model_copy(update={"epoch": "e"}).epoch == "e"


@pytest.mark.parametrize(
    ("quantity", "level"),
    [("4", "LOW"), ("7", "MEDIUM"), ("9", "HIGH"), ("10", "CRITICAL"), ("10.001", "BREACHED")],
)
def test_the_level_follows_the_tightest_limit(desk: Desk, quantity: str, level: str) -> None:
    assert desk.judge("BUY", quantity).risk_level is RiskLevel(level)


def test_the_level_of_a_limit_of_nothing_is_breached() -> None:
    desk = Desk(limits={"account.*": {}})

    assert desk.judge().risk_level is RiskLevel.BREACHED
