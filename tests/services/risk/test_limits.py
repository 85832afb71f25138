"""Limits of many scopes: the most restrictive wins, and what adds up is held to each scope's own sum."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.limits.table import LimitTable
from services.risk.settings import Settings, limit_scope
from shared.contract.accounts import Position
from shared.contract.errors import Refused
from shared.contract.orders import OrderStatus
from shared.contract.risk import Limits, Outcome, RuleResult
from tests.services.risk.conftest import (
    INSTRUMENTS,
    NOW_NS,
    SCOPES,
    WIDE,
    Desk,
    check,
    event,
    limits,
    order,
    position,
    quote,
)

D = Decimal
S = OrderStatus


def one(name: str, value: str | int) -> Limits:
    return Limits(**{name: D(value)})


def failed(desk: Desk, *args: str, **words: object) -> RuleResult:
    """The one finding that fails."""
    (found,) = [rule for rule in desk.judge(*args, **words).rules if rule.outcome is Outcome.FAIL]
    return found


SCOPED = ["firm", "account.default", "strategy.trend", "symbol.BTCUSDT", "account.default.symbol.BTCUSDT"]


@pytest.mark.parametrize("scope", SCOPED)
def test_the_most_restrictive_scope_wins(scope: str) -> None:
    tight = SCOPES.get(scope, Limits()).model_copy(update={"order_quantity_max": D(2)})
    desk = Desk(limits=SCOPES | {scope: tight})

    assert desk.judge("BUY", "2", strategy="trend").approved
    found = failed(desk, "BUY", "2.001", strategy="trend")
    assert (found.code, found.value, found.limit, found.scope) == ("RISK_ORDER_QUANTITY", "2.001", "2", scope)


@pytest.mark.parametrize(
    ("scope", "of_the_other"),
    [
        ("account.*", {"symbol": "AAPL"}),
        ("strategy.*", {}),
        ("symbol.*", {"account": "other"}),
        ("account.*.symbol.*", {}),
    ],
)
def test_a_star_stands_for_every_name_that_is_not_listed(scope: str, of_the_other: dict[str, str]) -> None:
    table = LimitTable({scope: one("order_quantity_max", 2)})

    allowance = table.allowance(of_the_other.get("account", "any"), "some", of_the_other.get("symbol", "SPY"), True)

    assert allowance.quantity.most == 2
    assert "*" not in allowance.quantity.scope


def test_a_scope_with_limits_of_its_own_is_none_of_any() -> None:
    desk = Desk(limits=SCOPES | {"account.*": one("order_quantity_max", 0)})

    assert desk.judge("BUY", "2").approved


SETS = [
    ("order_quantity_max", "account.default", {}),
    ("long_quantity_max", "account.default", {}),
    ("gross_notional_max", "account.default", {}),
    ("collar_aggressive_fraction_max", "account.default", {"price": "101"}),
    ("messages_per_s_max", "firm", {}),
    ("orders_per_trade_max", "firm", {}),
    ("executions_max", "firm", {}),
    ("loss_max", "firm", {}),
    ("drawdown_max", "firm", {}),
]


@pytest.mark.parametrize(("limit", "scope", "words"), SETS)
def test_a_limit_that_no_scope_sets_is_said_to_be_unset_with_how_to_set_it(
    limit: str, scope: str, words: dict[str, str]
) -> None:
    without = {name: one.model_copy(update={limit: None}) for name, one in SCOPES.items()}
    verdict = Desk(limits=without).judge(**words)

    assert not verdict.approved
    advice = f"PUT /limits/{scope} with it, and with all that GET /limits/{scope} shows"
    assert f"no scope in reach sets {limit}, and what is not set is 0: {advice}" in verdict.reason


def test_a_limit_of_0_that_a_scope_sets_is_that_scopes() -> None:
    verdict = Desk(limits=limits(order_quantity_max=D(0))).judge()
    assert verdict.reason == "quantity 1 is over the limit 0 of account.default"
    verdict = Desk(limits=limits(loss_max=D(0))).judge()
    assert verdict.reason == "account.default has lost 0, and 0 is the limit"


def test_an_order_without_a_strategy_is_under_no_strategys_limits() -> None:
    desk = Desk(limits=SCOPES | {"strategy.*": one("order_quantity_max", 0)})

    assert desk.judge("BUY", "2").approved
    assert desk.judge("BUY", "2", strategy="trend").code == "RISK_ORDER_QUANTITY"


AGGREGATES = [
    ("long_quantity_max", 10, "RISK_POSITION_LIMIT", "10"),
    ("gross_notional_max", 1000, "RISK_GROSS_EXPOSURE", "1000"),
    ("net_notional_max", 1000, "RISK_NET_EXPOSURE", "1000"),
    ("open_notional_max", 1000, "RISK_OPEN_NOTIONAL", "1000"),
    ("open_orders_max", 2, "RISK_OPEN_ORDERS", "2"),
]


@pytest.mark.parametrize("scope", ["firm", "symbol.BTCUSDT", "strategy.trend"])
@pytest.mark.parametrize(("name", "most", "code", "limit"), AGGREGATES)
def test_a_wider_scope_is_held_to_the_sum_of_all_its_accounts(
    scope: str, name: str, most: int, code: str, limit: str
) -> None:
    both = {"account.*": WIDE, scope: one(name, most)}
    desk = Desk(limits=both)
    for account in ("default", "other"):
        assert desk.reserve(f"of-{account}", "BUY", "4", account=account, strategy="trend").approved

    found = failed(desk, "BUY", "3", strategy="trend")

    assert (found.code, found.limit, found.scope) == (code, limit, scope)
    assert Desk(limits=both).judge("BUY", "3", strategy="trend").approved, "nothing is open there"


@pytest.mark.parametrize(("name", "most", "code", "limit"), AGGREGATES)
def test_an_account_is_held_to_its_own_sum(name: str, most: int, code: str, limit: str) -> None:
    desk = Desk(limits={"account.*": WIDE.model_copy(update={name: D(most)})})
    for number in range(2):
        assert desk.reserve(f"o{number}", "BUY", "4").approved

    found = failed(desk, "BUY", "3")

    assert (found.code, found.limit, found.scope) == (code, limit, "account.default")
    assert desk.judge("BUY", "3", account="other").approved


def test_a_strategy_is_held_to_its_own_share_of_what_accounts_hold() -> None:
    desk = Desk(limits={"account.*": WIDE, "strategy.trend": one("long_quantity_max", 10)})
    desk.holds("8", strategy="trend")
    desk.holds("9")

    assert desk.judge("BUY", "2", strategy="trend").approved
    assert failed(desk, "BUY", "3", strategy="trend").scope == "strategy.trend"
    assert desk.judge("BUY", "50").approved


def test_gross_exposure_adds_what_is_held_and_open_in_all_symbols() -> None:
    desk = Desk(limits={"account.*": WIDE.model_copy(update={"gross_notional_max": D(3_000)})})
    desk.holds("10")
    desk.holds("-10", symbol="AAPL")

    assert desk.judge("BUY", "10", price="100").approved
    found = failed(desk, "BUY", "10.01", price="100")
    assert (found.code, found.value, found.limit) == ("RISK_GROSS_EXPOSURE", "3001", "3000")


def test_net_exposure_sets_longs_against_shorts_but_not_against_open_orders() -> None:
    desk = Desk(limits={"account.*": WIDE.model_copy(update={"net_notional_max": D(1_000)})})
    desk.holds("10")
    desk.holds("-10", symbol="AAPL")
    assert desk.reserve("a", "SELL", "5", price="120").approved

    found = failed(desk, "BUY", "10.11", price="100")

    assert (found.code, found.value) == ("RISK_NET_EXPOSURE", "1001"), "held net is -10: longs at 99, shorts at 100"


def test_one_symbol_may_be_only_so_large_against_equity() -> None:
    desk = Desk(limits={"account.*": WIDE.model_copy(update={"concentration_fraction_max": D("0.5")})})
    assert desk.judge("BUY", "50").approved

    found = failed(desk, "BUY", "50.01")

    assert (found.code, found.value, found.scope) == ("RISK_CONCENTRATION", "0.5001", "account.default")


def test_leverage_is_gross_exposure_against_equity() -> None:
    desk = Desk(limits={"account.*": WIDE.model_copy(update={"leverage_max": D("0.5")})})
    desk.holds("20", symbol="AAPL")

    assert desk.judge("BUY", "39").approved
    assert failed(desk, "BUY", "40").code == "RISK_LEVERAGE"


def test_there_is_no_leverage_without_equity() -> None:
    desk = Desk()
    desk.cash("-1000")

    assert {"RISK_LEVERAGE", "RISK_CONCENTRATION"} <= {
        rule.code for rule in desk.judge("BUY", "1").rules if rule.value == "no equity"
    }


def test_exposure_that_cannot_be_valued_is_refused() -> None:
    desk = Desk()
    desk.holds("5", symbol="XRP")

    found = {rule.code: rule for rule in desk.judge().rules if rule.outcome is Outcome.FAIL}

    assert found["RISK_GROSS_EXPOSURE"].value == "XRP NO_PRICE"


def test_what_nobody_quotes_is_valued_by_its_last_fill_for_exposure() -> None:
    desk = Desk(limits=limits(gross_notional_max=D(1_000)))
    desk.holds("5", symbol="XRP", last_price=D(150))

    gross = desk.findings("BUY", "1")["RISK_GROSS_EXPOSURE"]

    assert gross.value == "850"


def test_values_follow_the_market() -> None:
    desk = Desk(limits=limits(gross_notional_max=D(1_500)))
    desk.holds("10", symbol="AAPL")
    assert desk.judge("BUY", "1").approved

    desk.market.quote(quote("AAPL", bid="149", ask="150"))

    assert desk.judge("BUY", "1").code == "RISK_GROSS_EXPOSURE"


def test_an_order_may_be_only_so_much_of_a_days_volume() -> None:
    listed = INSTRUMENTS["BTCUSDT"].model_copy(update={"average_daily_volume": D(1000)})
    some = limits(order_volume_fraction_max=D("0.002"))
    desk = Desk(limits=some, instruments=INSTRUMENTS | {"BTCUSDT": listed})
    assert desk.judge("BUY", "2").approved
    found = failed(desk, "BUY", "3")
    assert (found.code, found.value, found.limit) == ("RISK_ORDER_VOLUME", "0.003", "0.002")

    found = failed(Desk(limits=some), "BUY", "1")
    assert (found.code, found.value) == ("RISK_ORDER_VOLUME", "unknown")


def test_amounts_are_converted_into_the_accounts_currency_and_refused_without_a_rate() -> None:
    listed = INSTRUMENTS | {"BTCUSDT": INSTRUMENTS["BTCUSDT"].model_copy(update={"currency": "EUR"})}
    desk = Desk(instruments=listed, rates={"EUR": {"USD": "1.5"}})
    desk.cash("1000")
    rules = desk.findings("BUY", "6")
    assert rules["RISK_ORDER_NOTIONAL"].value == "900"
    assert rules["RISK_BUYING_POWER"].value == "900.45"
    assert desk.judge("BUY", "7").code == "RISK_BUYING_POWER"

    verdict = Desk(instruments=listed).judge("BUY", "1")
    assert not verdict.approved
    assert {"EUR to USD NO_RATE"} == {rule.value for rule in verdict.rules if rule.outcome is Outcome.FAIL}


def test_an_amount_in_the_firms_currency_is_not_compared_with_one_in_the_accounts() -> None:
    accounts = {"*": {"currency": "USDT", "opening_cash": "10000"}}
    scopes = {"account.*": WIDE, "firm": one("order_notional_max", 150)}
    rates = {"USDT": {"USD": "0.5"}, "USD": {"USDT": "2"}}
    desk = Desk(accounts=accounts, limits=scopes, rates=rates)

    found = failed(desk, "BUY", "2")

    assert (found.code, found.value, found.scope) == ("RISK_ORDER_NOTIONAL", "200", "firm"), "400 of the account's"


def test_over_a_soft_limit_alone_an_order_is_pending_and_over_a_hard_one_denied() -> None:
    desk = Desk(limits=limits(soft=one("order_quantity_max", 5)))
    assert desk.judge("BUY", "5").approved

    verdict = desk.judge("BUY", "6")
    (found,) = [rule for rule in verdict.rules if rule.outcome is Outcome.PEND]
    assert (verdict.approved, verdict.pending, verdict.code) == (False, True, "RISK_ORDER_QUANTITY")
    assert (found.value, found.limit, found.scope) == ("6", "5", "account.default")

    assert (desk.judge("BUY", "11").pending, desk.judge("BUY", "11").code) == (False, "RISK_ORDER_QUANTITY")


def test_a_soft_limit_alone_is_no_limit() -> None:
    desk = Desk(
        limits={"account.default": WIDE.model_copy(update={"leverage_max": None, "soft": one("leverage_max", 9)})}
    )

    assert desk.judge().code == "RISK_LEVERAGE"


def test_a_soft_limit_of_a_scope_holds_beside_the_hard_one_of_another() -> None:
    desk = Desk(limits=SCOPES | {"firm": Limits(soft=one("gross_notional_max", 500))})

    verdict = desk.judge("BUY", "6")

    assert (verdict.pending, verdict.code) == (True, "RISK_GROSS_EXPOSURE")
    assert desk.judge("BUY", "5").approved


def test_limits_put_by_hand_count_at_once(desk: Desk) -> None:
    desk.controls.put_limits("firm", one("order_quantity_max", 1), "ann", "drill", NOW_NS)
    assert failed(desk, "BUY", "2").scope == "firm"

    desk.controls.put_limits("firm", Limits(), "ben", "over", NOW_NS)
    assert desk.judge("BUY", "2").approved


@pytest.mark.parametrize(
    ("given", "scope"),
    [
        ("firm", "firm"),
        ("alice", "account.alice"),
        ("*", "account.*"),
        ("symbol.btc/usdt", "symbol.BTCUSDT"),
        ("account.alice.symbol.btc-usdt", "account.alice.symbol.BTCUSDT"),
        ("account.*.symbol.*", "account.*.symbol.*"),
    ],
)
def test_a_scope_has_one_spelling(given: str, scope: str) -> None:
    assert limit_scope(given) == scope


@pytest.mark.parametrize("given", ["planet.earth", "account.a.b", "symbol.", "account.a.symbol.", "", "a b"])
def test_a_scope_that_there_is_not_is_refused(given: str) -> None:
    with pytest.raises(Refused, match="UNKNOWN_SCOPE"):
        limit_scope(given)


def test_a_scope_that_there_is_not_is_no_setting() -> None:
    with pytest.raises(ValueError, match="is no scope"):
        Settings(limits={"planet.earth": Limits()})


def test_the_sums_of_all_scopes_go_back_to_nothing_when_everything_is_over(desk: Desk) -> None:
    for number in range(5):
        assert desk.reserve(f"o{number}", "BUY", "1.001", price="99.01", strategy="trend").approved
    done = [order(check("BUY", "1.001", order_id=f"o{n}", strategy="trend"), S.CANCELED, version=2) for n in range(5)]
    for one_ in done:
        desk.hear(event(one_))

    exposures = desk.keeper.exposures
    for book in (exposures.firm, exposures.strategies["trend"], exposures.of("default").book):
        book.refresh()
        assert (book.orders, book.buys_value, book.bound, book.gross) == (0, 0, 0, 0)


def test_the_firms_net_position_is_that_of_all_accounts_and_its_gross_ignores_their_signs() -> None:
    desk = Desk(limits={"account.*": WIDE})
    desk.holds("10", account="one")
    desk.holds("-4", account="two")
    firm = desk.keeper.exposures.firm
    firm.refresh()

    assert firm.line("BTCUSDT").quantity == 6
    assert (firm.gross, firm.net) == (1400, 594)


def test_a_holding_counts_by_its_latest_version_in_every_scope(desk: Desk) -> None:
    done = order(check(strategy="trend"), S.FILLED, filled="1")

    def told(quantity: str, version: int) -> Position:
        return position(done, quantity, version)

    for quantity, version in (("5", 2), ("3", 1), ("5", 2), ("7", 3)):
        held = told(quantity, version)
        desk.hear(event(done, position=held, strategy_position=held.model_copy(update={"strategy": "trend"})))

    exposures = desk.keeper.exposures
    books = (exposures.firm, exposures.strategies["trend"], exposures.of("default").book)
    assert [book.line("BTCUSDT").quantity for book in books] == [7, 7, 7]


# What tripped.


def lost(**words: Any) -> Desk:
    """A strategy has lost 100 on 10 BTCUSDT, which is all that it may lose."""
    desk = Desk(limits=SCOPES | {"strategy.trend": WIDE.model_copy(update={"loss_max": D(100)})}, **words)
    desk.holds("10", average_price=D(99), last_price=D(99), strategy="trend")
    desk.controls.mark_all(NOW_NS)
    desk.market.quote(quote(bid="89", ask="90"))
    desk.controls.mark_all(NOW_NS)
    return desk


def test_a_scope_that_is_tripped_stays_so_when_its_limits_are_gone() -> None:
    desk = lost()
    assert failed(desk, price="90", strategy="trend").code == "RISK_LOSS_LIMIT"
    kept = {key: baseline.encode() for key, baseline in desk.controls.losses.unsaved() if "trend" in key}

    again = Desk()
    again.controls.restore(kept, [], [])

    found = failed(again, strategy="trend")
    assert (found.code, found.value, found.scope) == ("RISK_LOSS_LIMIT", "REDUCING", "strategy.trend")
    assert again.judge().approved


def test_what_is_said_of_an_exit_lets_no_other_order_of_a_tripped_scope_pass() -> None:
    desk = lost()
    desk.controls.put_limits("strategy.trend", WIDE, "grace", "more room", NOW_NS)
    assert desk.judge("SELL", "1", "90", strategy="trend").approved
    assert failed(desk, price="90", strategy="trend").code == "RISK_LOSS_LIMIT"
