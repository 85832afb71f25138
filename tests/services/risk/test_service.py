"""Risk over the kit's twins: in which life an approval holds, and what comes back after a restart."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.people.switchboard import Hand, ReleaseRequest, StateChange
from services.risk.core.switches.alerts import Alerts
from services.risk.core.switches.gates import Gates
from services.risk.service import wire
from services.risk.settings import Settings
from services.risk.store import Switches
from shared.contract import keys, subjects
from shared.contract.errors import Refused, Unavailable
from shared.contract.market import Feed, FeedStatus
from shared.contract.orders import Order, OrderEvent, OrderStatus
from shared.contract.risk import Kill, Limits, RiskAlert, RiskCheck, TradingState, Verdict
from shared.kit import Service
from shared.kit.fakes import FakeClock, FakeKit, deliver, fake_kit, question
from shared.kit.settings import SettingsError, load
from tests.services.risk.conftest import (
    INSTRUMENTS,
    NOW_NS,
    WIDE,
    check,
    event,
    limits,
    order,
    position,
    quote,
    settings,
)

S = OrderStatus
NOTHING = Limits(order_quantity_max=Decimal(0))


class Room:
    """One running risk service."""

    def __init__(self, kit: FakeKit, **words: Any) -> None:
        self.kit = kit
        self.words = words
        self.service: Service = wire(kit, settings(**words))

    async def begin(self) -> Room:
        await self.service.recovers()
        await deliver(self.service, subjects.QUOTE, quote(receive_ns=self.kit.clock.now_ns()))
        return self

    async def killed(self) -> Room:
        """Risk after kill -9: only what was committed is left."""
        return await Room(self.kit.restarted(), **self.words).begin()

    async def ask(self, order_id: str, side: str = "BUY", quantity: str = "1", **words: Any) -> Verdict:
        wanted = check(side, quantity, order_id=order_id, reserve=True, **words)
        return await question(self.service, subjects.RISK_CHECK, wanted)

    def route(self, method: str, path: str) -> Any:
        return next(r.handler for r in self.service.serves if (r.method, r.path) == (method, path))

    async def call(self, route: str, *args: Any, **words: Any) -> Any:
        method, path = route.split()
        return await self.route(method, path)(*args, **words)

    def rows(self) -> dict[str, Any]:
        """What happens every so often, by name."""
        return {row.handler.__name__: row.handler for row in self.service.every}

    def epoch(self, account: str = "default") -> str:
        return self.kit.valkey.store.get(keys.epoch(account), b"").decode()

    async def open_buys(self, account: str = "default") -> str:
        positions = (await self.call("GET /risk/portfolio", account)).positions
        return next((holding.open_buys for holding in positions), "0")

    def commit(self, key: str, message: Any) -> None:
        """What the oms commits."""
        self.kit.valkey.store[key] = message.encode()

    def commit_order(self, verdict: Verdict | None, order: Order) -> bool:
        """The oms commits an order with what was set aside for it, if the approval still holds."""
        store, account = self.kit.valkey.store, order.account
        if verdict is not None:
            if verdict.epoch != self.epoch(account):
                return False
            assert verdict.reservation is not None
            held = store.setdefault(keys.reservation(account), {})
            held[order.order_id] = verdict.reservation.encode()
        self.commit(keys.order(account, order.order_id), order)
        store.setdefault(keys.accounts(), set()).add(account)
        store.setdefault(keys.open_orders(account), set()).add(order.order_id)
        return True

    def commit_position(self, told: OrderEvent) -> None:
        store, account = self.kit.valkey.store, told.account
        assert told.position is not None
        self.commit(keys.position(account, told.position.symbol), told.position)
        store.setdefault(keys.positions(account), set()).add(told.position.symbol)
        store.setdefault(keys.accounts(), set()).add(account)
        if told.balance is not None:
            self.commit(keys.account(account), told.balance)


@pytest.fixture
async def room() -> Room:
    return await Room(fake_kit("risk", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)).begin()


async def test_an_approval_comes_with_what_to_commit_and_the_life_in_which_it_holds(room: Room) -> None:
    verdict = await room.ask("a", "BUY", "10")

    assert verdict.approved
    assert verdict.valid_until_ns == NOW_NS + 5_000_000_000
    assert verdict.reservation is not None
    assert (verdict.reservation.order_id, verdict.reservation.quantity) == ("a", 10)
    assert verdict.epoch == room.epoch() != ""


async def test_an_account_and_a_shape_cost_one_commit_each_in_a_life_and_an_approval_none(room: Room) -> None:
    await asyncio.gather(*(room.ask(f"o{n}", "BUY", "1") for n in range(5)))
    writes = room.kit.valkey.writes
    for n in range(5, 10):
        assert (await room.ask(f"o{n}", "BUY", "1")).approved

    assert writes == 2
    assert room.kit.valkey.writes == writes


async def test_an_approval_of_an_earlier_life_can_never_be_committed(room: Room) -> None:
    verdict = await room.ask("a", "BUY", "10")
    wanted = check("BUY", "10", order_id="a")
    known = await room.ask("known", "BUY", "1")
    assert room.commit_order(known, order(check("BUY", "1", order_id="known"), S.ACCEPTED))

    room = await room.killed()

    assert room.epoch() != verdict.epoch
    assert not room.commit_order(verdict, order(wanted, S.ACCEPTED))
    assert await room.open_buys() == "1"


async def test_nor_can_one_of_an_account_that_had_never_traded(room: Room) -> None:
    verdict = await room.ask("first", "BUY", "10")

    room = await room.killed()

    assert not room.commit_order(verdict, order(check("BUY", "10", order_id="first"), S.ACCEPTED))


async def test_the_epoch_is_written_before_the_account_is_read(room: Room) -> None:
    verdict = await room.ask("a", "BUY", "10")
    room.commit_order(verdict, order(check("BUY", "10", order_id="a"), S.ACCEPTED))
    done: list[str] = []
    valkey = room.kit.valkey
    execute, read = valkey.execute, valkey.hash

    async def executed(changes: Any) -> list[bool]:
        done.append("written")
        return await execute(changes)

    async def was_read(key: str) -> dict[str, bytes]:
        if key == keys.reservation("default"):
            done.append("read")
        return await read(key)

    valkey.execute, valkey.hash = executed, was_read  # type: ignore[method-assign]
    room = await room.killed()

    assert done[:2] == ["written", "read"]


async def test_a_check_without_reserve_sets_nothing_aside(room: Room) -> None:
    assert (await room.call("POST /check", check())).approved
    assert (await room.call("POST /risk/check", check())).approved

    assert room.kit.valkey.writes == 0
    assert room.service.stats()["accounts"] == 0


async def test_a_denial_sets_nothing_aside(room: Room) -> None:
    verdict = await room.ask("a", "BUY", "11")

    assert verdict.code == "RISK_ORDER_QUANTITY"
    assert (verdict.reservation, verdict.epoch) == (None, "")
    assert room.kit.valkey.writes == 0


async def test_checks_made_at_the_same_moment_share_the_room_there_is(room: Room) -> None:
    verdicts = await asyncio.gather(*(room.ask(f"o{n}", "BUY", "3") for n in range(20)))

    assert sum(verdict.approved for verdict in verdicts) == 6


async def test_a_reservation_outlives_a_crash_and_keeps_its_approval(room: Room) -> None:
    for order_id in ("a", "b"):
        verdict = await room.ask(order_id, "BUY", "10")
        assert room.commit_order(verdict, order(check("BUY", "10", order_id=order_id), S.ACCEPTED))

    room = await room.killed()

    assert (await room.ask("c", "BUY", "1")).code == "RISK_POSITION_LIMIT"
    assert (await room.ask("a", "BUY", "10")).approved
    assert await room.open_buys() == "20"


async def test_no_account_is_taken_up_while_the_store_is_away(room: Room) -> None:
    room.kit.valkey.away = True

    with pytest.raises(Unavailable):
        await room.ask("a")


async def test_the_end_of_an_order_releases_what_was_set_aside_for_it(room: Room) -> None:
    await room.ask("a", "BUY", "10")
    done = order(check("BUY", "10", order_id="a"), S.CANCELED, version=2)

    await deliver(room.service, subjects.ORDER_EVENT, event(done))

    assert await room.open_buys() == "0"
    assert (await room.ask("b", "BUY", "10")).approved


async def test_a_fill_whose_event_was_overtaken_is_read_before_the_later_event_counts(room: Room) -> None:
    wanted, verdict = check("BUY", "10", order_id="a"), await room.ask("a", "BUY", "10")
    later = order(wanted, S.PENDING_CANCEL, filled="4", version=3)
    assert room.commit_order(verdict, later)
    room.commit_position(event(order(wanted, S.PARTIALLY_FILLED, filled="4", version=2), position=("4", 1)))

    await deliver(room.service, subjects.ORDER_EVENT, event(later))

    (holding,) = (await room.call("GET /risk/portfolio", "default")).positions
    assert (holding.quantity, holding.open_buys) == ("4", "6")


async def test_an_account_first_heard_of_by_an_event_is_read_before_the_event_counts(room: Room) -> None:
    told = event(order(check(account="new", order_id="a"), S.FILLED, filled="1"), position=("3", 7))
    room.commit_position(told)

    await deliver(room.service, subjects.ORDER_EVENT, event(order(check(account="new", order_id="b"), S.WORKING)))

    (holding,) = (await room.call("GET /risk/portfolio", "new")).positions
    assert (holding.quantity, holding.open_buys) == ("3", "1")
    assert room.epoch("new") != ""


async def test_an_open_order_counts_after_a_restart_even_when_its_reservation_was_lost(room: Room) -> None:
    room.commit_order(None, order(check("BUY", "10", order_id="a"), S.WORKING, version=2, filled="4"))

    room = await room.killed()

    (holding,) = (await room.call("GET /risk/portfolio", "default")).positions
    assert holding.open_buys == "6"


async def test_positions_and_cash_come_back_after_a_restart(room: Room) -> None:
    room.commit_position(event(order(check(), S.FILLED, filled="1"), position=("-3", 7), cash=("1234.5", 7)))

    room = await room.killed()

    portfolio = await room.call("GET /risk/portfolio", "default")
    assert (portfolio.cash, portfolio.bound, portfolio.free) == ("1234.5", "450", "784.5")


async def test_a_strategys_share_comes_back_after_a_restart(room: Room) -> None:
    told = event(order(check(), S.FILLED, filled="1"), position=("3", 7))
    room.commit_position(told)
    assert told.position is not None
    store = room.kit.valkey.store
    store[keys.strategies("default")] = {"trend"}
    store[keys.strategy_positions("default", "trend")] = {"BTCUSDT"}
    share = told.position.model_copy(update={"strategy": "trend", "quantity": Decimal(2)})
    room.commit(keys.strategy_position("default", "trend", "BTCUSDT"), share)

    room = await room.killed()

    await room.call("PUT /limits/{scope}", "strategy.trend", Limits(), actor="ann")
    (holding,) = (await room.call("GET /limits/{scope}", "strategy.trend")).symbols
    assert holding.quantity == "2"


async def test_an_old_event_of_an_order_that_is_over_makes_no_ghost(room: Room) -> None:
    wanted = check("BUY", "10", order_id="a")
    over = event(order(wanted, S.FILLED, version=3, filled="10"), position=("10", 1))
    room.commit(keys.order("default", "a"), over.order)
    room.commit_position(over)

    await deliver(room.service, subjects.ORDER_EVENT, event(order(wanted, S.ACCEPTED, version=1)))

    (holding,) = (await room.call("GET /risk/portfolio", "default")).positions
    assert (holding.quantity, holding.open_buys) == ("10", "0")


async def test_an_approval_whose_order_was_never_committed_lapses(room: Room) -> None:
    await room.ask("lost", "BUY", "1")
    known = await room.ask("known", "BUY", "2")
    room.commit_order(known, order(check("BUY", "2", order_id="known"), S.ACCEPTED))
    sweep = next(row for row in room.service.every if row.seconds == 10)

    await sweep.handler()
    assert await room.open_buys() == "3"

    room.kit.clock.advance(31)  # type: ignore[attr-defined]
    await sweep.handler()
    assert await room.open_buys() == "2"


async def test_a_decision_that_takes_too_long_is_denied_and_sets_nothing_aside() -> None:
    class SlowClock(FakeClock):
        def monotonic_ns(self) -> int:
            self.advance(0.06)
            return self.now_ns()

    room = await Room(fake_kit("risk", clock=SlowClock(NOW_NS), instruments=INSTRUMENTS)).begin()

    verdict = await room.ask("a")
    assert verdict.code == "RISK_TOO_SLOW"
    assert verdict.reservation is None


async def test_switches_are_committed_told_of_and_outlive_a_restart(room: Room) -> None:
    await room.call("POST /kill", Kill(scope="symbol.btcusdt", reason="drill", actor="ann"))
    await room.call("PUT /state/{scope}", "default", StateChange(state=TradingState.HALTED, actor="ann"))
    await room.call("POST /risk/symbol/{symbol}/block", "BTC-USDT", actor="ann")
    await room.kit.journal.said()
    assert [alert.code for alert in room.kit.bus.heard(subjects.RISK_ALERT)] == [
        "RISK_KILL_SET",
        "RISK_TRADING_STATE",
        "RISK_SYMBOL_BLOCKED",
    ]
    assert [(kill.scope, kill.active) for kill in room.kit.bus.heard(subjects.RISK_KILL)] == [("symbol.BTCUSDT", True)]

    room = await room.killed()

    (kill,) = await room.call("GET /kill")
    assert (kill.scope, kill.reason, kill.actor) == ("symbol.BTCUSDT", "drill", "ann")
    (switch,) = (await room.call("GET /state")).states
    assert (switch.scope, switch.state, switch.actor) == ("account.default", "HALTED", "ann")
    assert (await room.ask("a")).code == "RISK_KILLED"
    with pytest.raises(Refused, match="SECOND_PERSON_NEEDED"):
        await room.call("DELETE /kill/{scope}", "symbol.BTCUSDT", actor="ann")
    await room.call("DELETE /kill/{scope}", "symbol.BTCUSDT", actor="ben")
    assert (await room.ask("a")).code == "RISK_TRADING_STATE"
    await room.call("PUT /state/{scope}", "default", StateChange(state=TradingState.ACTIVE, actor="ben"))
    assert (await room.ask("a")).code == "RISK_SYMBOL_BLOCKED"
    await room.call("DELETE /risk/symbol/{symbol}/block", "BTC-USDT", actor="ben")

    room = await room.killed()
    assert (await room.ask("a")).approved


async def test_a_kill_that_anybody_says_counts_and_outlives_a_restart(room: Room) -> None:
    said = Kill(scope="firm", reason="fire in the house", actor="cat", at_ns=NOW_NS)
    await deliver(room.service, subjects.RISK_KILL, said)
    assert (await room.ask("a")).code == "RISK_KILLED"

    room = await room.killed()

    assert (await room.ask("a")).code == "RISK_KILLED"


async def test_a_switch_is_not_answered_while_it_cannot_be_committed(room: Room) -> None:
    room.kit.valkey.away = True

    with pytest.raises(Unavailable):
        await room.call("POST /kill", Kill(scope="firm", reason="drill", actor="ann"))


async def test_alerts_are_shown_newest_first_and_can_be_acknowledged(room: Room) -> None:
    await room.call("POST /kill", Kill(scope="firm", reason="drill", actor="ann"))
    await room.call("DELETE /kill/{scope}", "firm", actor="ben")

    newest, oldest = await room.call("GET /risk/alerts")
    assert (newest.code, oldest.code) == ("RISK_KILL_LIFTED", "RISK_KILL_SET")
    acknowledged: RiskAlert = await room.call("POST /risk/alerts/{alert_id}/acknowledge", newest.alert_id)
    assert acknowledged.acknowledged

    room = await room.killed()
    assert [alert.acknowledged for alert in await room.call("GET /risk/alerts")] == [True, False]


async def test_limits_put_by_hand_stand_above_the_configuration_and_outlive_a_restart(room: Room) -> None:
    await room.call("PUT /limits/{scope}", "account.default.symbol.btc/usdt", NOTHING, actor="ann", reason="drill")
    assert (await room.ask("a")).code == "RISK_ORDER_QUANTITY", "at once"

    room = await room.killed()

    assert (await room.ask("a")).code == "RISK_ORDER_QUANTITY"
    (put,) = await room.call("GET /limits/{scope}/history", "account.default.symbol.BTCUSDT")
    assert (put["version"], put["actor"], put["reason"], put["at_ns"]) == (1, "ann", "drill", NOW_NS)


async def test_who_puts_limits_is_answered_with_them_as_they_stand_now(room: Room) -> None:
    await room.call("PUT /limits/{scope}", "default", WIDE, actor="bob")
    put = await room.call("PUT /limits/{scope}", "default", NOTHING, actor="ann", reason="drill")

    assert (put.scope, put.version, put.actor, put.reason, put.at_ns) == ("account.default", 2, "ann", "drill", NOW_NS)
    assert Limits.model_validate(put.limits) == NOTHING
    (told, _) = await room.call("GET /risk/alerts")
    assert told.message == "the limits of account.default were replaced by ann (version 2): drill"


async def test_limits_are_put_by_somebody_with_a_name_and_in_a_scope_that_there_is(room: Room) -> None:
    with pytest.raises(Refused, match="ACTOR_NEEDED"):
        await room.call("PUT /limits/{scope}", "default", Limits())
    with pytest.raises(Refused, match="UNKNOWN_SCOPE"):
        await room.call("PUT /limits/{scope}", "planet.earth", Limits(), actor="ann")


async def test_a_bare_name_is_an_accounts_limits(room: Room) -> None:
    await room.call("PUT /limits/{scope}", "default", WIDE, actor="ann")

    shown = await room.call("GET /limits/{scope}", "default")

    assert (shown.scope, shown.version, shown.actor, shown.limits) == ("account.default", 1, "ann", WIDE)


async def test_limits_are_shown_with_their_use(room: Room) -> None:
    await room.ask("a", "BUY", "10")

    uses = {use.scope: use for use in await room.call("GET /risk/limits")}

    assert uses["account.default.symbol.BTCUSDT"].used["long_quantity_max"] == "0.5000"
    assert uses["account.default.symbol.AAPL"].used["long_quantity_max"] == "0.0000"
    assert uses["account.default"].used["open_orders_max"] == "0.0010"
    (holding,) = uses["account.default"].symbols
    assert (holding.symbol, holding.worst_long, holding.open_buys) == ("BTCUSDT", "10", "10")


async def test_the_limits_of_any_account_are_shown_as_such() -> None:
    kit = fake_kit("risk", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await Room(kit, limits={"account.*": WIDE}).begin()
    await room.ask("a", account="someone")

    (use,) = await room.call("GET /risk/limits")
    assert (use.scope, use.symbols) == ("account.*", ())
    someone = await room.call("GET /limits/{scope}", "someone")
    assert (someone.limits, someone.symbols[0].worst_long) == (WIDE, "1")


async def test_risk_does_not_start_without_any_limits() -> None:
    with pytest.raises(SettingsError, match="limits"):
        wire(fake_kit("risk"), Settings())


async def test_an_order_over_a_soft_limit_waits_until_a_second_person_lets_it_pass(room: Room) -> None:
    soft = WIDE.model_copy(update={"soft": Limits(order_quantity_max=Decimal(5))})
    await room.call("PUT /limits/{scope}", "default", soft, actor="ann")
    verdict = await room.ask("a", "BUY", "6")
    assert (verdict.approved, verdict.pending, verdict.code) == (False, True, "RISK_ORDER_QUANTITY")
    assert verdict.reservation is None

    with pytest.raises(Refused, match="SECOND_PERSON_NEEDED"):
        await room.call("POST /risk/releases/{order_id}", "a", ReleaseRequest(actor="default"))
    await room.call("POST /risk/releases/{order_id}", "a", ReleaseRequest(actor="ben", reason="agreed with the desk"))
    await room.kit.journal.said()

    (release,) = room.kit.bus.heard(subjects.RISK_RELEASE)
    assert (release.order_id, release.actor) == ("a", "ben")
    assert (await room.ask("b", "BUY", "6")).pending, "another order is not released"
    assert (await room.ask("a", "BUY", "6")).approved


async def test_a_loss_trips_the_account_for_good_and_a_person_resets_it() -> None:
    kit = fake_kit("risk", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    words = {"limits": limits(loss_max=Decimal(100))}
    room = await Room(kit, **words).begin()
    value = next(row for row in room.service.every if row.handler.__name__ == "value")
    bought = order(check("BUY", "10", order_id="a"), S.FILLED, filled="10")
    held = position(bought, "10", 1, average_price=Decimal(99), last_price=Decimal(99))
    room.commit_position(event(bought, position=held))
    await deliver(room.service, subjects.ORDER_EVENT, event(bought, position=held))
    await value.handler()
    assert (await room.ask("b", "BUY", "1")).approved

    await deliver(room.service, subjects.QUOTE, quote(bid="89", ask="90"))
    await value.handler()
    assert (await room.ask("c", "BUY", "1", price="90")).code == "RISK_LOSS_LIMIT"
    assert (await room.call("GET /risk/alerts"))[0].code == "RISK_LOSS_LIMIT"

    room = await room.killed()
    assert (await room.ask("d", "BUY", "1")).code == "RISK_LOSS_LIMIT"
    assert (await room.ask("e", "SELL", "5", price="99")).approved, "an exit"
    await room.call("POST /risk/losses/{scope}/reset", "account.default", Hand(actor="ben", reason="new limits"))
    assert (await room.ask("f", "BUY", "1", price="90")).approved


async def test_what_is_measured_is_written_only_when_something_came_of_it(room: Room) -> None:
    await room.ask("a")
    rows = room.rows()
    await rows["keep"]()
    writes = room.kit.valkey.writes

    room.kit.clock.advance(1)  # type: ignore[attr-defined]
    await rows["value"]()
    await rows["keep"]()
    assert room.kit.valkey.writes == writes

    await room.ask("b")
    await rows["keep"]()
    assert room.kit.valkey.writes == writes + 1
    room = await room.killed()
    ratio = {rule.code: rule for rule in (await room.call("POST /check", check())).rules}["RISK_ORDERS_PER_TRADE"]
    assert ratio.value == "2.00"


async def test_no_new_risk_is_taken_while_the_stream_of_orders_is_silent_or_late(room: Room) -> None:
    room.kit.clock.advance(11)  # type: ignore[attr-defined]
    await deliver(room.service, subjects.QUOTE, quote(receive_ns=room.kit.clock.now_ns()))
    assert (await room.ask("a")).code == "RISK_UNHEALTHY"

    listen = next(row for row in room.service.every if row.handler.__name__ == "listen")
    await listen.handler()
    assert (await room.ask("a")).approved

    await deliver(room.service, subjects.ORDER_EVENT, event(order(check(order_id="late"), S.WORKING)))
    assert (await room.ask("b")).code == "RISK_UNHEALTHY"
    room.kit.clock.advance(1)  # type: ignore[attr-defined]
    assert (await room.ask("b")).approved


async def test_no_new_risk_is_taken_while_clocks_differ(room: Room) -> None:
    now_ns = room.kit.clock.now_ns()
    ahead = order(check(order_id="ahead"), S.WORKING, updated_ns=now_ns + 1_500_000_000)
    await deliver(room.service, subjects.ORDER_EVENT, event(ahead))
    denied = await room.ask("a")
    assert (denied.code, "clocks differ" in denied.reason) == ("RISK_UNHEALTHY", True)

    await deliver(room.service, subjects.ORDER_EVENT, event(order(check(order_id="fine"), S.WORKING)))
    assert (await room.ask("a")).approved


async def test_who_is_disabled_for_prices_that_are_off_stays_so_after_a_restart() -> None:
    kit = fake_kit("risk", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await Room(kit, limits=limits(collar_aggressive_fraction_max=Decimal("0.1")), collar_hits_max=1).begin()
    assert (await room.ask("a", price="150")).code == "RISK_COLLAR_AGGRESSIVE"
    await room.rows()["value"]()

    room = await room.killed()
    assert (await room.ask("b")).code == "RISK_COLLAR_REPEATED"
    (shown,) = (await room.call("GET /state")).disabled
    assert (shown.scope, shown.symbol, shown.code) == ("account.default", "BTCUSDT", "RISK_COLLAR_REPEATED")
    path = "POST /risk/disabled/{scope}/{symbol}/enable"
    await room.call(path, "account.default", "BTCUSDT", Hand(actor="grace", reason="a typing error"))
    assert (await room.ask("c")).approved
    assert (await (await room.killed()).ask("d")).approved


async def test_a_service_with_nothing_to_do_writes_nothing(room: Room) -> None:
    async def ticks(room: Room) -> int:
        """So many writes so far, after ten seconds of doing nothing."""
        for _ in range(20):
            room.kit.clock.advance(0.5)  # type: ignore[attr-defined]
            for tick in room.rows().values():
                await tick()
        return room.kit.valkey.writes

    await room.ask("a")
    writes = await ticks(room)
    assert await ticks(room) == writes
    room = await room.killed()
    writes = room.kit.valkey.writes
    assert await ticks(room) == writes


async def test_what_was_decided_is_committed_once_however_many_are_about_to(room: Room) -> None:
    switches, gates = Switches(room.kit.valkey, room.kit.journal), Gates(Alerts())
    decided = [gates.block(symbol, "ann", "halted there", NOW_NS) for symbol in ("AAPL", "SPY", "QQQ")]
    await asyncio.gather(*(switches.commit_all(decided) for _ in range(3)))
    assert decided == []
    assert {keys.blocked("AAPL"), keys.blocked("SPY"), keys.blocked("QQQ")} <= room.kit.valkey.store.keys()


async def test_the_evidence_names_every_code_that_a_verdict_can_carry(room: Room) -> None:
    shown = await room.call("GET /evidence")

    codes = {code for one in shown for code in one.codes}
    assert {rule.code for rule in (await room.call("POST /check", check())).rules} <= codes


async def test_the_feed_and_the_quotes_are_watched(room: Room) -> None:
    feed = Feed(venue="sim", symbol="BTCUSDT", status=FeedStatus.GAP, since_ns=NOW_NS)

    await deliver(room.service, subjects.FEED, feed)

    assert (await room.ask("a")).code == "RISK_STALE_REFERENCE"


async def test_the_shipped_configuration_lets_any_account_trade_the_listed_symbols() -> None:
    kit = fake_kit("risk", clock=FakeClock(NOW_NS))
    service = wire(kit, load(Settings, "risk", kit.suite))
    await service.recovers()

    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "AAPL", "SPY"):
        await deliver(service, subjects.QUOTE, quote(symbol))
        wanted = RiskCheck(account="anyone", symbol=symbol, side="BUY", quantity="1", price="100")  # type: ignore[arg-type]
        assert (await question(service, subjects.RISK_CHECK, wanted)).approved
