"""The switches people throw, and who may throw them back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.limits.versions import LimitsBook, LimitsVersion
from services.risk.core.switches.alerts import ALERTS_MAX, Alerts, Change
from services.risk.core.switches.gates import Block, Gates, StateSwitch
from services.risk.core.switches.permissions import Permissions
from services.risk.core.switches.releases import Released, Releases, intent
from shared.contract import keys
from shared.contract.errors import Conflict, NotFound, Refused
from shared.contract.orders import Order, OrderStatus
from shared.contract.risk import Kill, Limits, Permission, Release, RiskCheck, TradingState
from tests.services.risk.conftest import NOW_NS, check, order

D = Decimal
SCOPES = ["firm", "account.default", "strategy.trend", "venue.paper", "symbol.BTCUSDT"]
ACTIVE, REDUCING, HALTED = TradingState


def fresh(**words: Any) -> Gates:
    return Gates(Alerts(), **words)


def mine(**words: Any) -> RiskCheck:
    return check(**({"strategy": "trend", "order_id": "o1"} | words))


def kill(scope: str = "firm", actor: str = "alice", **words: Any) -> Kill:
    return Kill(scope=scope, reason="too fast", actor=actor, **words)


# Kills.


@pytest.mark.parametrize("scope", SCOPES)
def test_a_kill_of_any_scope_stops_what_falls_under_it_and_is_said(scope: str) -> None:
    gates = fresh()
    assert gates.kills.of(mine()) is None
    change = gates.kills.set(kill(scope), NOW_NS)
    assert gates.kills.of(mine()) == scope
    standing = kill(scope, at_ns=NOW_NS)
    assert (change.key, change.value, change.say) == (keys.kill(scope), standing, standing)
    assert (change.alert.code, change.alert.message) == ("RISK_KILL_SET", f"{scope} is killed by alice: too fast")


@pytest.mark.parametrize("scope", ["account.x", "strategy.x", "venue.x", "symbol.X"])
def test_a_kill_stops_nothing_else(scope: str) -> None:
    gates = fresh()
    gates.kills.set(kill(scope), NOW_NS)
    assert gates.kills.of(mine()) is None
    assert gates.kills.of(check()) is None


def test_the_widest_of_several_kills_is_named() -> None:
    gates = fresh()
    for scope in reversed(SCOPES):
        gates.kills.set(kill(scope), NOW_NS)
        assert gates.kills.of(mine()) == scope


def test_a_symbol_and_a_venue_are_killed_however_they_are_written() -> None:
    gates = fresh()
    gates.kills.set(kill("symbol.btc-usdt"), NOW_NS)
    gates.kills.set(kill("venue.PAPER"), NOW_NS)
    assert {each.scope for each in gates.kills.active()} == {"symbol.BTCUSDT", "venue.paper"}


@pytest.mark.parametrize("actor", ["alice", "Alice", "unnamed", ""])
def test_a_kill_is_not_lifted_by_its_setter_or_by_nobody(actor: str) -> None:
    gates = fresh()
    gates.kills.set(kill(), NOW_NS)
    with pytest.raises(Refused, match="SECOND_PERSON_NEEDED|ACTOR_NEEDED"):
        gates.kills.lift("firm", actor, NOW_NS)
    assert gates.kills.of(mine()) == "firm"


def test_what_is_killed_does_not_lift_its_own_kill() -> None:
    gates = fresh()
    gates.kills.set(kill("strategy.trend"), NOW_NS)
    with pytest.raises(Refused, match="SECOND_PERSON_NEEDED"):
        gates.kills.lift("strategy.trend", "trend", NOW_NS)


def test_a_second_person_lifts_a_kill_and_it_is_said() -> None:
    gates = fresh()
    gates.kills.set(kill(), NOW_NS)
    change = gates.kills.lift("firm", "bob", NOW_NS + 5)
    assert gates.kills.of(mine()) is None
    assert (change.key, change.value) == (keys.kill("firm"), None)
    assert change.also == ((keys.lifted("firm"), str(NOW_NS + 5)),)
    assert isinstance(change.say, Kill)
    assert (change.say.active, change.say.actor) == (False, "bob")
    assert change.alert.code == "RISK_KILL_LIFTED"
    with pytest.raises(NotFound, match="killed: nothing"):
        gates.kills.lift("firm", "bob", NOW_NS)


def test_killing_again_does_not_make_another_the_setter() -> None:
    gates = fresh()
    gates.kills.set(kill(actor="alice"), NOW_NS)
    again = gates.kills.set(kill(actor="bob"), NOW_NS + 1)
    assert isinstance(again.say, Kill)
    assert again.say.actor == "alice"
    with pytest.raises(Refused, match="SECOND_PERSON_NEEDED"):
        gates.kills.lift("firm", "alice", NOW_NS)
    gates.kills.lift("firm", "bob", NOW_NS)


def test_a_kill_heard_of_is_taken_over_once_and_not_said_again() -> None:
    gates = fresh()
    heard = kill("account.default", at_ns=NOW_NS)
    change = gates.kills.hear(heard, NOW_NS + 1)
    assert change is not None
    assert (change.key, change.value, change.say) == (keys.kill("account.default"), heard, None)
    assert gates.kills.of(mine()) == "account.default"
    assert gates.kills.hear(heard, NOW_NS + 2) is None
    assert len(gates.kills) == 1


def test_a_kill_heard_of_again_after_it_was_lifted_is_old_news_also_after_a_restart() -> None:
    gates = fresh()
    change = gates.kills.set(kill(), NOW_NS)
    assert isinstance(change.say, Kill)
    lifted = gates.kills.lift("firm", "bob", NOW_NS + 5)
    assert gates.kills.hear(change.say, NOW_NS + 6) is None
    again = fresh()
    again.restore(lifted_ns={"firm": int(str(lifted.also[0][1]))})
    assert again.kills.hear(change.say, NOW_NS + 7) is None
    assert again.kills.hear(kill(at_ns=NOW_NS + 6), NOW_NS + 7) is not None


def test_a_kill_heard_of_without_a_time_is_set_now() -> None:
    gates = fresh()
    change = gates.kills.hear(kill(), NOW_NS)
    assert change is not None
    assert isinstance(change.value, Kill)
    assert change.value.at_ns == NOW_NS


def test_the_end_of_a_kill_heard_of_needs_a_second_person_too() -> None:
    gates = fresh()
    gates.kills.set(kill(actor="alice"), NOW_NS)
    refused = gates.kills.hear(kill(actor="alice", active=False), NOW_NS + 1)
    assert refused is not None
    assert (refused.key, refused.alert.code) == ("", "RISK_KILL_LIFT_REFUSED")
    assert gates.kills.of(mine()) == "firm"
    assert gates.kills.hear(kill(actor="bob", active=False, at_ns=NOW_NS - 1), NOW_NS + 1) is None
    lifted = gates.kills.hear(kill(actor="bob", active=False), NOW_NS + 1)
    assert lifted is not None
    assert gates.kills.of(mine()) is None
    assert gates.kills.hear(kill(actor="bob", active=False), NOW_NS + 1) is None


def test_kills_outlive_a_restart() -> None:
    gates = fresh()
    change = gates.kills.set(kill("venue.paper"), NOW_NS)
    assert isinstance(change.value, Kill)
    again = fresh()
    again.restore(kills=[Kill.decode(change.value.encode()), kill("firm", active=False)])
    assert again.kills.of(mine()) == "venue.paper"
    with pytest.raises(Refused, match="SECOND_PERSON_NEEDED"):
        again.kills.lift("venue.paper", "alice", NOW_NS)


# Trading states.


@pytest.mark.parametrize("scope", ["firm", "account.default", "default", "strategy.trend", "symbol.BTCUSDT"])
def test_a_trading_state_counts_for_what_falls_under_its_scope(scope: str) -> None:
    gates = fresh()
    gates.put_state(scope, HALTED, "alice", "lunch", NOW_NS)
    assert gates.standing(mine()).state is HALTED
    other = check(account="other", symbol="AAPL", strategy="other")
    assert gates.standing(other).state is (HALTED if scope == "firm" else ACTIVE)


def test_the_most_restrictive_state_in_reach_counts() -> None:
    gates = fresh()
    gates.put_state("firm", REDUCING, "alice", "late", NOW_NS)
    assert gates.standing(mine()) == (REDUCING, "firm")
    gates.put_state("strategy.trend", HALTED, "alice", "odd", NOW_NS)
    gates.put_state("account.default", REDUCING, "alice", "late", NOW_NS)
    assert gates.standing(mine()) == (HALTED, "strategy.trend")


def test_a_switch_knows_who_threw_it_when_and_why_and_outlives_a_restart() -> None:
    gates = fresh()
    change = gates.put_state("default", REDUCING, "alice", "late", NOW_NS)
    switch = StateSwitch(scope="account.default", state=REDUCING, actor="alice", reason="late", at_ns=NOW_NS)
    assert (change.key, change.value, gates.states()) == (keys.trading_state("account.default"), switch, [switch])
    again = fresh()
    again.restore(states=[StateSwitch.decode(switch.encode())])
    assert again.state("default") is REDUCING


def test_anybody_may_tighten_and_only_a_person_may_loosen() -> None:
    gates = fresh()
    gates.put_state("strategy.trend", HALTED, "unnamed", "odd", NOW_NS)
    for actor in ("unnamed", "trend"):
        with pytest.raises(Refused):
            gates.put_state("strategy.trend", REDUCING, actor, "fine", NOW_NS)
    assert gates.state("strategy.trend") is HALTED
    change = gates.put_state("strategy.trend", ACTIVE, "alice", "fine", NOW_NS)
    assert (change.value, gates.states()) == (None, [])
    assert "alice" in change.alert.message


@pytest.mark.parametrize("scope", ["venue.paper", "account.", "desk.x"])
def test_a_scope_without_a_trading_state_is_refused(scope: str) -> None:
    with pytest.raises(Refused, match="UNKNOWN_SCOPE"):
        fresh().put_state(scope, HALTED, "alice", "x", NOW_NS)


# The restricted list.


def test_a_symbol_is_blocked_by_hand_until_a_person_unblocks_it() -> None:
    gates = fresh()
    change = gates.block("btc/usdt", "alice", "under research", NOW_NS)
    assert (change.key, gates.blocked("BTCUSDT")) == (keys.blocked("BTCUSDT"), "under research")
    finding = gates.look(mine())
    assert (finding.ok, finding.code) == (False, "RISK_SYMBOL_BLOCKED")
    assert gates.look(mine(symbol="AAPL")).ok
    with pytest.raises(Refused, match="ACTOR_NEEDED"):
        gates.unblock("BTCUSDT", "unnamed", NOW_NS)
    assert gates.unblock("BTCUSDT", "bob", NOW_NS).value is None
    assert gates.look(mine()).ok
    with pytest.raises(NotFound):
        gates.unblock("BTCUSDT", "bob", NOW_NS)


def test_what_the_configuration_restricts_is_not_opened_by_hand() -> None:
    gates = fresh(restricted={"btc-usdt": "insider list"})
    assert gates.blocked("BTCUSDT") == "insider list"
    with pytest.raises(Conflict, match="RESTRICTED_BY_CONFIGURATION"):
        gates.unblock("BTCUSDT", "bob", NOW_NS)
    gates.block("BTCUSDT", "alice", "and by hand", NOW_NS)
    gates.unblock("BTCUSDT", "bob", NOW_NS)
    assert gates.blocked("BTCUSDT") == "insider list"
    assert [block.actor for block in gates.blocks()] == ["configuration"]


def test_blocks_outlive_a_restart() -> None:
    change = fresh().block("BTCUSDT", "alice", "under research", NOW_NS)
    assert isinstance(change.value, Block)
    again = fresh()
    again.restore(blocks=[Block.decode(change.value.encode())])
    assert again.blocked("BTCUSDT") == "under research"


# Permissions.


def permitted(permissions: Permissions, *, shorts: bool = False, **words: Any) -> str:
    """The code of the refusal, or nothing."""
    finding = permissions.look(mine(**words), lambda: shorts)
    return "" if finding.ok else finding.code


def test_without_permissions_limits_alone_say_who_may_trade() -> None:
    assert permitted(Permissions([])) == ""
    assert permitted(Permissions([]), side="SELL", shorts=True) == ""


def test_with_permissions_only_what_one_of_them_names_may_trade() -> None:
    permissions = Permissions(
        [
            Permission(accounts=("default",), strategies=("trend",), symbols=("btc/usdt",)),
            Permission(accounts=("desk",)),
        ]
    )
    assert permitted(permissions) == ""
    for other in ({"account": "x"}, {"strategy": "x"}, {"strategy": None}, {"symbol": "AAPL"}):
        assert permitted(permissions, **other) == "RISK_NOT_PERMITTED"
    assert permitted(permissions, account="desk", strategy=None, symbol="AAPL") == ""


def test_selling_short_takes_a_permission_of_its_own() -> None:
    permissions = Permissions([Permission(symbols=("BTCUSDT", "AAPL")), Permission(symbols=("AAPL",), short=True)])
    assert permitted(permissions, side="SELL", shorts=False) == ""
    assert permitted(permissions, side="SELL", shorts=True) == "RISK_SHORT_NOT_PERMITTED"
    assert permitted(permissions, side="SELL", shorts=True, symbol="AAPL") == ""
    assert permitted(permissions, side="BUY", shorts=True) == ""


def test_an_order_without_a_strategy_can_be_named_as_such() -> None:
    permissions = Permissions([Permission(strategies=("-",))])
    assert permitted(permissions, strategy=None) == ""
    assert permitted(permissions) == "RISK_NOT_PERMITTED"


# Releases.

SECOND_NS = 1_000_000_000


def waiting(valid_s: float = 60.0) -> Releases:
    releases = Releases(Alerts(), valid_s=valid_s, pending_s=600.0)
    releases.pend(mine(), ["RISK_ORDER_QUANTITY"], NOW_NS)
    return releases


def test_a_second_person_releases_exactly_the_order_that_waits() -> None:
    releases = waiting()
    assert releases.valid(mine(), NOW_NS) is None
    change = releases.release("default", "o1", "bob", "agreed by phone", NOW_NS)
    until_ns = NOW_NS + 60 * SECOND_NS
    release = Release(account="default", order_id="o1", actor="bob", reason="agreed by phone", until_ns=until_ns)
    assert (change.key, change.say) == (keys.release("default", "o1"), release)
    assert (change.alert.code, change.alert.account) == ("RISK_RELEASED", "default")
    assert "RISK_ORDER_QUANTITY" in change.alert.message
    assert releases.valid(mine(), NOW_NS) == release
    for other in ({"quantity": "2"}, {"price": "101"}, {"side": "SELL"}, {"venue": "binance"}, {"order_id": "o2"}):
        assert releases.valid(mine(**other), NOW_NS) is None


@pytest.mark.parametrize("actor", ["default", "trend", "TREND", "unnamed", ""])
def test_an_order_is_not_released_by_those_whose_it_is(actor: str) -> None:
    releases = waiting()
    with pytest.raises(Refused, match="SECOND_PERSON_NEEDED|ACTOR_NEEDED"):
        releases.release("default", "o1", actor, "please", NOW_NS)
    assert releases.valid(mine(), NOW_NS) is None


def test_a_release_lapses() -> None:
    releases = waiting(valid_s=60.0)
    releases.release("default", "o1", "bob", "agreed", NOW_NS)
    assert releases.valid(mine(), NOW_NS + 60 * SECOND_NS - 1) is not None
    assert releases.valid(mine(), NOW_NS + 60 * SECOND_NS) is None
    assert releases.sweep(NOW_NS + 60 * SECOND_NS - 1) == []
    assert releases.sweep(NOW_NS + 60 * SECOND_NS) == [keys.release("default", "o1")]


def test_a_release_is_spent_once() -> None:
    releases = waiting()
    releases.release("default", "o1", "bob", "agreed", NOW_NS)
    assert releases.forget("default", "o1") == keys.release("default", "o1")
    assert releases.valid(mine(), NOW_NS) is None
    assert releases.forget("default", "o1") is None
    with pytest.raises(NotFound):
        releases.release("default", "o1", "bob", "again", NOW_NS)


def test_what_nobody_released_is_not_remembered_for_ever() -> None:
    releases = waiting()
    later_ns = NOW_NS + 600 * SECOND_NS
    with pytest.raises(NotFound):
        releases.release("default", "o1", "bob", "late", later_ns)
    releases.sweep(later_ns)
    assert releases.waiting() == []


def test_an_order_that_asks_again_waits_since_when_it_did_and_other_words_wait_anew() -> None:
    releases = waiting()
    releases.pend(mine(), [], NOW_NS + 5)
    assert [each.at_ns for each in releases.waiting()] == [NOW_NS]
    releases.pend(mine(quantity="2"), [], NOW_NS + 5)
    assert [each.at_ns for each in releases.waiting()] == [NOW_NS + 5]


def test_releases_and_what_waits_for_them_outlive_a_restart() -> None:
    released = waiting().release("default", "o1", "bob", "agreed", NOW_NS).value
    assert isinstance(released, Released)
    other = order(mine(order_id="o2"), OrderStatus.PENDING_RISK, strategy="trend")
    again = Releases(Alerts())
    again.restore([Released.decode(released.encode())], [Order.decode(other.encode())])
    assert again.valid(mine(), NOW_NS) is not None
    again.release("default", "o2", "bob", "agreed", NOW_NS)
    assert again.valid(mine(order_id="o2"), NOW_NS) is not None


def test_a_check_and_the_order_that_becomes_of_it_have_the_same_intent() -> None:
    wanted = mine(quantity="1.50")
    assert intent(wanted) == intent(order(mine(quantity="1.5"), OrderStatus.PENDING_RISK, strategy="trend"))


# Limits.


def test_every_version_of_limits_is_kept_with_who_put_it_when_and_why() -> None:
    book = LimitsBook(Alerts())
    first = book.put("account.default", Limits(loss_max=D(5)), "alice", "new desk", NOW_NS)
    second = book.put("account.default", Limits(loss_max=D(9)), "bob", "grown", NOW_NS + 1)
    entry = LimitsVersion(
        scope="account.default",
        version=2,
        actor="bob",
        reason="grown",
        at_ns=NOW_NS + 1,
        limits={"loss_max": "9"},
    )
    assert (second.key, second.value) == (keys.limits("account.default"), entry)
    assert second.history == (keys.limits_history("account.default"), entry)
    assert isinstance(first.value, LimitsVersion)
    assert first.value.version == 1
    again = LimitsBook(Alerts())
    again.restore([LimitsVersion.decode(entry.encode())])
    third = again.put("account.default", Limits(loss_max=D(1)), "bob", "tighter", NOW_NS + 2)
    assert isinstance(third.value, LimitsVersion)
    assert third.value.version == 3
    current = again.current("account.default")
    assert current is not None
    assert Limits.model_validate(current.limits) == Limits(loss_max=D(1))


@pytest.mark.parametrize("actor", ["unnamed", "trend"])
def test_limits_are_not_changed_by_nobody_or_by_those_they_limit(actor: str) -> None:
    with pytest.raises(Refused):
        LimitsBook(Alerts()).put("strategy.trend", Limits(), actor, "more", NOW_NS)


# Alerts.


def test_alerts_of_one_moment_have_different_ids_also_after_a_restart() -> None:
    alerts = Alerts()
    told = [alerts.tell("RISK_X", "x", "firm", NOW_NS) for _ in range(3)]
    again = Alerts()
    again.restore(reversed(told))
    told.append(again.tell("RISK_X", "x", "symbol.SPY", NOW_NS))
    assert len({alert.alert_id for alert in told}) == 4
    assert [alert.alert_id for alert in again.recent(2)] == [told[3].alert_id, told[2].alert_id]
    assert told[3].symbol == "SPY"


def test_the_oldest_alert_gives_way_in_memory_and_on_disk() -> None:
    alerts = Alerts()
    dropped: list[Change] = []
    for number in range(ALERTS_MAX + 2):
        change = alerts.changed(alerts.tell("RISK_X", "x", "firm", NOW_NS + number))
        if change.also:
            dropped.append(change)
    assert len(alerts) == ALERTS_MAX
    assert [change.also for change in dropped] == [
        ((keys.alert(str(NOW_NS)), None),),
        ((keys.alert(str(NOW_NS + 1)), None),),
    ]
