"""How much is sent, and how often the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.core.conduct.flow import Counts, Flow, FlowSettings
from services.risk.core.conduct.repetition import Disabled
from services.risk.core.conduct.windows import DAY_NS
from services.risk.core.findings import Measured
from services.risk.core.limits.bounds import FlowLimits
from services.risk.core.switches.alerts import Alerts, Change
from shared.contract import keys
from shared.contract.errors import NotFound, Refused
from shared.contract.orders import Fill, OrderEvent, OrderStatus
from shared.contract.risk import Limits, RiskCheck
from tests.services.risk.conftest import NOW_NS, check, order

D = Decimal
SECOND_NS = 1_000_000_000
OPEN = Limits(
    messages_per_s_max=D(1000), cancels_per_s_max=D(1000), orders_per_trade_max=D(1000), executions_max=D(1000)
)


def limits(scope: str = "account.default", **words: Any) -> FlowLimits:
    return FlowLimits.of([(scope, OPEN.model_copy(update={name: D(str(value)) for name, value in words.items()}))])


def fresh(**words: Any) -> Flow:
    return Flow(FlowSettings(**({"duplicate_window_s": 0.0} | words)), Alerts())


def found(rule: str, flow: Flow, check: RiskCheck, limits: FlowLimits, now_ns: int = NOW_NS) -> Measured:
    return next(finding for finding in flow.look(check, limits, now_ns) if finding.rule == rule)


def send(flow: Flow, rule: str, limits: FlowLimits, now_ns: int = NOW_NS, **words: Any) -> bool:
    """Send an order if the rule lets it."""
    wanted = check(**words)
    if ok := found(rule, flow, wanted, limits, now_ns).ok:
        flow.count(wanted, limits, now_ns)
    return ok


def executed(order_id: str = "o1", side: str = "BUY", **words: Any) -> OrderEvent:
    wanted = check(side, order_id=order_id, **words)
    filled = order(wanted, OrderStatus.FILLED, filled="1", strategy=wanted.strategy)
    fill = Fill(
        fill_id=f"{order_id}-1",
        account=wanted.account,
        order_id=order_id,
        symbol=wanted.symbol,
        side=filled.side,
        price=D(100),
        quantity=D(1),
        fee=D(0),
        venue="paper",
        maker=False,
        event_ns=NOW_NS,
        committed_ns=NOW_NS,
    )
    return OrderEvent(account=wanted.account, order=filled, fill=fill)


# R12.


def test_a_second_carries_as_many_messages_as_its_limit_and_not_one_more() -> None:
    flow, most = fresh(), limits(messages_per_s_max=3)
    assert [send(flow, "R12", most) for _ in range(5)] == [True, True, True, False, False]
    finding = found("R12", flow, check(), most)
    assert (finding.code, finding.value, finding.limit, finding.scope) == (
        "RISK_MESSAGE_RATE",
        "4",
        "3",
        "account.default",
    )


def test_the_budget_comes_back_at_the_rate_of_the_limit() -> None:
    flow, most = fresh(), limits(messages_per_s_max=4)
    assert all(send(flow, "R12", most) for _ in range(4))
    quarter_ns = SECOND_NS // 4
    assert not send(flow, "R12", most, NOW_NS + quarter_ns - 1)
    assert send(flow, "R12", most, NOW_NS + quarter_ns)
    assert not send(flow, "R12", most, NOW_NS + quarter_ns)
    assert sum(send(flow, "R12", most, NOW_NS + 10 * SECOND_NS) for _ in range(9)) == 4


@given(
    rate=st.decimals("0.2", 50, places=1),
    pauses_ms=st.lists(st.integers(0, 3000), min_size=1, max_size=60),
)
def test_no_stretch_of_time_carries_more_than_its_rate_and_one_bucket(rate: Decimal, pauses_ms: list[int]) -> None:
    flow, most = fresh(), limits(messages_per_s_max=rate)
    now_ns, sent_ns = NOW_NS, list[int]()
    for pause_ms in pauses_ms:
        now_ns += pause_ms * 1_000_000
        sent_ns += [now_ns for _ in range(10) if send(flow, "R12", most, now_ns)]
    bucket = max(int(rate), 1)
    for first, start_ns in enumerate(sent_ns):
        for last in range(first, len(sent_ns)):
            seconds = D(sent_ns[last] - start_ns) / SECOND_NS
            assert last - first + 1 <= bucket + rate * seconds + D("0.001")


def test_a_rate_below_one_a_second_still_lets_one_through() -> None:
    flow, most = fresh(), limits(messages_per_s_max="0.5")
    assert send(flow, "R12", most)
    assert not send(flow, "R12", most, NOW_NS + 2 * SECOND_NS - 1)
    assert send(flow, "R12", most, NOW_NS + 2 * SECOND_NS)


def test_what_is_only_looked_at_takes_nothing_from_the_budget() -> None:
    flow, most = fresh(), limits(messages_per_s_max=1)
    assert all(found("R12", flow, check(), most).ok for _ in range(3))


def test_a_replacement_is_a_message_like_any_other() -> None:
    flow, most = fresh(), limits(messages_per_s_max=1)
    assert send(flow, "R12", most, order_id="o1", replaces=True)
    assert not send(flow, "R12", most, order_id="o1", replaces=True)


def test_every_venue_and_every_scope_has_a_budget_of_its_own() -> None:
    flow = fresh()
    reach = [("firm", Limits(messages_per_s_max=D(3))), ("account.a", Limits(messages_per_s_max=D(2)))]
    of_a, of_b = FlowLimits.of(reach), FlowLimits.of([reach[0], ("account.b", Limits(messages_per_s_max=D(2)))])
    assert [send(flow, "R12", of_a) for _ in range(3)] == [True, True, False]
    assert found("R12", flow, check(), of_a).scope == "account.a"
    assert [send(flow, "R12", of_b) for _ in range(2)] == [True, False]
    assert found("R12", flow, check(), of_b).scope == "firm"
    assert send(flow, "R12", of_a, venue="binance")


def test_a_rate_that_nobody_set_is_nought() -> None:
    finding = found("R12", fresh(), check(), FlowLimits.of([("firm", Limits())]))
    assert not finding.ok
    assert finding.limit == "0"


# Cancels.


def cancel(flow: Flow, most: FlowLimits, now_ns: int = NOW_NS) -> Change | None:
    return flow.cancelled("default", None, "BTCUSDT", "paper", most, now_ns)


def test_cancels_over_their_budget_are_told_of_once_a_minute() -> None:
    flow, most = fresh(), limits(cancels_per_s_max=2)
    changes = [cancel(flow, most) for _ in range(5)]
    assert [change is not None for change in changes] == [False, False, True, False, False]
    told = changes[2]
    assert told is not None
    assert (told.key, told.alert.code, told.alert.account) == ("", "RISK_CANCEL_RATE", "default")
    later = NOW_NS + 60 * SECOND_NS
    assert [cancel(flow, most, later) is not None for _ in range(4)] == [False, False, True, False]


def test_cancels_take_nothing_from_the_budget_of_orders() -> None:
    flow, most = fresh(), limits(messages_per_s_max=1, cancels_per_s_max=0)
    for _ in range(100):
        cancel(flow, most)
    assert send(flow, "R12", most)


# R13.


def test_orders_per_trade_count_once_the_grace_is_over() -> None:
    flow, most = fresh(orders_per_trade_grace=10), limits(orders_per_trade_max=4)
    assert sum(send(flow, "R13", most) for _ in range(20)) == 10
    finding = found("R13", flow, check(), most)
    assert (finding.code, finding.value, finding.limit) == ("RISK_ORDERS_PER_TRADE", "10.00", "4")


def test_a_trade_makes_room_for_more_orders() -> None:
    flow, most = fresh(orders_per_trade_grace=0), limits(orders_per_trade_max=4)
    assert sum(send(flow, "R13", most) for _ in range(9)) == 5
    flow.heard(executed("o1"), most, NOW_NS)
    flow.heard(executed("o2"), most, NOW_NS)
    assert found("R13", flow, check(), most).value == "2.00"
    assert sum(send(flow, "R13", most) for _ in range(9)) == 5


def test_a_cancel_is_a_message_that_counts_against_the_ratio() -> None:
    flow, most = fresh(orders_per_trade_grace=0), limits(orders_per_trade_max=4)
    for _ in range(5):
        cancel(flow, most)
    assert not send(flow, "R13", most)


def test_the_ratio_is_of_one_account_one_symbol_and_one_day() -> None:
    flow, most = fresh(orders_per_trade_grace=0), limits(orders_per_trade_max=1)
    assert [send(flow, "R13", most) for _ in range(3)] == [True, True, False]
    assert send(flow, "R13", most, symbol="AAPL")
    assert send(flow, "R13", most, account="other")
    midnight_ns = (NOW_NS // DAY_NS + 1) * DAY_NS
    assert not send(flow, "R13", most, midnight_ns - 1)
    assert send(flow, "R13", most, midnight_ns)


def test_the_days_ratio_outlives_a_restart() -> None:
    flow, most = fresh(orders_per_trade_grace=0), limits(orders_per_trade_max=1)
    assert [send(flow, "R13", most) for _ in range(3)] == [True, True, False]
    unsaved = flow.unsaved()
    assert unsaved is not None
    assert flow.unsaved() is None
    kept = Counts.decode(unsaved.encode())
    again = fresh(orders_per_trade_grace=0)
    again.restore([], kept)
    assert not send(again, "R13", most)


def test_a_ratio_that_nobody_set_is_nought_whatever_the_grace() -> None:
    assert not found("R13", fresh(), check(), FlowLimits.of([("firm", Limits())])).ok


# R14.


def test_the_same_order_under_another_id_is_a_duplicate_within_the_window() -> None:
    flow, most = fresh(duplicate_window_s=2.0), limits()
    flow.count(check(order_id="o1"), most, NOW_NS)
    finding = found("R14", flow, check(order_id="o2"), most, NOW_NS + 2 * SECOND_NS - 1)
    assert (finding.ok, finding.code, finding.value) == (False, "RISK_DUPLICATE", "o1")
    assert found("R14", flow, check(order_id="o2"), most, NOW_NS + 2 * SECOND_NS).ok


def test_the_same_order_id_is_no_duplicate_of_itself() -> None:
    flow, most = fresh(duplicate_window_s=2.0), limits()
    flow.count(check(order_id="o1"), most, NOW_NS)
    assert found("R14", flow, check(order_id="o1"), most).ok


def test_a_replacement_is_no_duplicate() -> None:
    flow, most = fresh(duplicate_window_s=2.0), limits()
    flow.count(check(order_id="o1"), most, NOW_NS)
    assert found("R14", flow, check(order_id="o2", replaces=True), most).ok


@pytest.mark.parametrize(
    "other",
    [
        {"account": "other"},
        {"symbol": "AAPL"},
        {"side": "SELL"},
        {"order_type": "STOP_LIMIT", "stop_price": "99"},
        {"quantity": "2"},
        {"price": "101"},
    ],
)
def test_an_order_that_differs_in_anything_is_no_duplicate(other: dict[str, str]) -> None:
    flow, most = fresh(duplicate_window_s=2.0), limits()
    flow.count(check(order_id="o1"), most, NOW_NS)
    assert found("R14", flow, check(**({"order_id": "o2"} | other)), most).ok


def test_one_and_one_point_nought_are_the_same_quantity() -> None:
    flow, most = fresh(duplicate_window_s=2.0), limits()
    flow.count(check(quantity="1", order_id="o1"), most, NOW_NS)
    assert not found("R14", flow, check(quantity="1.0", order_id="o2"), most).ok


def test_an_order_that_was_denied_has_no_duplicates() -> None:
    flow, most = fresh(duplicate_window_s=2.0), limits()
    flow.look(check(order_id="o1"), most, NOW_NS)
    assert found("R14", flow, check(order_id="o2"), most).ok


# R15.


def test_a_strategy_that_executes_as_often_as_its_limit_is_disabled_in_the_symbol() -> None:
    flow, most = fresh(executions_window_s=10.0), limits(executions_max=3)
    assert flow.heard(executed("o1", strategy="trend"), most, NOW_NS) is None
    assert flow.heard(executed("o2", strategy="trend"), most, NOW_NS) is None
    assert found("R15", flow, check(strategy="trend"), most).ok
    change = flow.heard(executed("o3", strategy="trend"), most, NOW_NS)
    assert change is not None
    assert change.key == keys.disabled("strategy.trend", "BTCUSDT")
    assert (change.alert.code, change.alert.message[:31]) == (
        "RISK_REPEATED_EXECUTION",
        "strategy.trend is disabled in B",
    )
    for side in ("BUY", "SELL"):
        finding = found("R15", flow, check(side, strategy="trend"), most)
        assert (finding.ok, finding.value, finding.scope) == (False, "disabled", "strategy.trend")
    assert found("R15", flow, check(strategy="trend", symbol="AAPL"), most).ok
    assert found("R15", flow, check(strategy="other"), most).ok


def test_what_has_left_the_window_is_not_repeated() -> None:
    flow, most = fresh(executions_window_s=10.0), limits(executions_max=2)
    flow.heard(executed("o1"), most, NOW_NS)
    assert flow.heard(executed("o2"), most, NOW_NS + 10 * SECOND_NS) is None
    assert flow.heard(executed("o3"), most, NOW_NS + 20 * SECOND_NS - 1) is not None


def test_an_order_is_one_execution_however_many_fills_it_has_and_however_often_it_is_heard_of() -> None:
    flow, most = fresh(), limits(executions_max=2)
    for _ in range(5):
        assert flow.heard(executed("o1"), most, NOW_NS) is None


def test_the_two_sides_are_counted_apart() -> None:
    flow, most = fresh(), limits(executions_max=2)
    assert flow.heard(executed("o1", "BUY"), most, NOW_NS) is None
    assert flow.heard(executed("o2", "SELL"), most, NOW_NS) is None


def test_only_a_named_person_enables_what_was_disabled() -> None:
    flow, most = fresh(), limits(executions_max=1)
    flow.heard(executed("o1", strategy="trend"), most, NOW_NS)
    for actor in ("", "unnamed", "trend", "Trend"):
        with pytest.raises(Refused, match="field|person|somebody"):
            flow.enable("strategy.trend", "BTCUSDT", actor, "looked at", NOW_NS)
    change = flow.enable("strategy.trend", "BTC/USDT", "alice", "looked at", NOW_NS)
    assert (change.key, change.value) == (keys.disabled("strategy.trend", "BTCUSDT"), None)
    assert (change.alert.code, "alice" in change.alert.message) == ("RISK_ENABLED", True)
    assert found("R15", flow, check(strategy="trend"), most).ok
    with pytest.raises(NotFound, match="disabled: nothing"):
        flow.enable("strategy.trend", "BTCUSDT", "alice", "again", NOW_NS)


def test_time_alone_enables_nobody() -> None:
    flow, most = fresh(executions_window_s=1.0), limits(executions_max=1)
    flow.heard(executed("o1"), most, NOW_NS)
    flow.sweep(NOW_NS + 30 * DAY_NS)
    assert not found("R15", flow, check(), most, NOW_NS + 30 * DAY_NS).ok


def test_what_is_disabled_stays_so_after_a_restart() -> None:
    flow, most = fresh(), limits(executions_max=1)
    change = flow.heard(executed("o1"), most, NOW_NS)
    assert change is not None
    assert isinstance(change.value, Disabled)
    again = fresh()
    again.restore([Disabled.decode(change.value.encode())], None)
    assert not found("R15", again, check(), most).ok
    again.enable("account.default", "BTCUSDT", "alice", "looked at", NOW_NS)
    assert found("R15", again, check(), most).ok


def test_executions_that_nobody_allowed_pass_nothing_and_disable_nobody() -> None:
    flow, most = fresh(), FlowLimits.of([("firm", Limits())])
    assert not found("R15", flow, check(), most).ok
    assert flow.heard(executed("o1"), most, NOW_NS) is None


def test_the_tightest_of_the_limits_in_reach_counts() -> None:
    reach = [("firm", Limits(executions_max=D(5), orders_per_trade_max=D(2))), ("account.a", Limits())]
    tight = FlowLimits.of([*reach, ("strategy.s", Limits(executions_max=D(2), orders_per_trade_max=D(9)))])
    assert (tight.executions.scope, tight.executions.most) == ("strategy.s", 2)
    assert (tight.orders_per_trade.scope, tight.orders_per_trade.most) == ("firm", 2)


# What is kept.


def test_nothing_grows_with_the_number_of_orders() -> None:
    flow, most = fresh(duplicate_window_s=1.0, executions_window_s=1.0), limits(messages_per_s_max=5)
    for number in range(5_000):
        now_ns = NOW_NS + number * SECOND_NS // 10
        flow.count(check(price=str(100 + number), order_id=f"o{number}"), most, now_ns)
        flow.heard(executed(f"o{number}"), most, now_ns)
    assert len(flow._sent) <= 10
    flow.sweep(NOW_NS + 2 * DAY_NS)
    assert (len(flow._sent), len(flow._messages), len(flow._orders_per_trade)) == (0, 0, 0)
    assert len(flow._repetition._executions) == 0
