"""Risk over the kit's twins: what is committed before it is answered, and what comes back after a restart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.risk.service import wire
from shared.contract import keys, subjects
from shared.contract.errors import Unavailable
from shared.contract.market import Feed, FeedStatus
from shared.contract.orders import OrderStatus
from shared.contract.risk import Kill, Limits, Reservation, RiskAlert, RiskCheck, TradingState, Verdict
from shared.kit import Service
from shared.kit.fakes import FakeClock, FakeKit, deliver, fake_kit, question
from tests.services.risk.conftest import INSTRUMENTS, NOW_NS, check, event, order, quote, settings

S = OrderStatus


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

    async def call(self, route: str, *args: Any) -> Any:
        method, path = route.split()
        return await self.route(method, path)(*args)

    async def reserved(self) -> dict[str, Reservation]:
        found = await self.kit.valkey.hash(keys.reservation("default"))
        return {order_id: Reservation.decode(entry) for order_id, entry in found.items()}

    def commit(self, key: str, message: Any) -> None:
        """What the oms commits."""
        self.kit.valkey.store[key] = message.encode()


@pytest.fixture
async def room() -> Room:
    return await Room(fake_kit("risk", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)).begin()


async def test_an_approved_reservation_is_committed_before_it_is_answered(room: Room) -> None:
    verdict = await room.ask("a", "BUY", "10")

    assert verdict.approved
    assert verdict.valid_until_ns == NOW_NS + 5_000_000_000
    assert (await room.reserved())["a"].quantity == 10


async def test_a_check_without_reserve_sets_nothing_aside(room: Room) -> None:
    assert (await room.call("POST /check", check())).approved
    assert (await room.call("POST /risk/check", check())).approved

    assert await room.reserved() == {}
    assert room.kit.valkey.writes == 0


async def test_a_denial_sets_nothing_aside(room: Room) -> None:
    assert (await room.ask("a", "BUY", "11")).code == "RISK_ORDER_QUANTITY"

    assert await room.reserved() == {}


async def test_checks_made_at_the_same_moment_share_the_room_there_is(room: Room) -> None:
    verdicts = await asyncio.gather(*(room.ask(f"o{n}", "BUY", "3") for n in range(20)))

    assert sum(verdict.approved for verdict in verdicts) == 6
    assert len(await room.reserved()) == 6


async def test_a_reservation_outlives_a_crash_and_keeps_its_approval(room: Room) -> None:
    for order_id in ("a", "b"):
        assert (await room.ask(order_id, "BUY", "10")).approved

    room = await room.killed()

    assert (await room.ask("c", "BUY", "1")).code == "RISK_POSITION_LIMIT"
    assert (await room.ask("a", "BUY", "10")).approved
    assert len(await room.reserved()) == 2


async def test_no_answer_is_given_while_the_store_is_away(room: Room) -> None:
    room.kit.valkey.away = True

    with pytest.raises(Unavailable):
        await room.ask("a")


async def test_the_end_of_an_order_releases_its_reservation_for_good(room: Room) -> None:
    await room.ask("a", "BUY", "10")
    done = order(check("BUY", "10", order_id="a"), S.CANCELED, version=2)

    await deliver(room.service, subjects.ORDER_EVENT, event(done))

    assert await room.reserved() == {}
    assert (await room.ask("b", "BUY", "10")).approved


async def test_a_release_lost_in_a_crash_is_made_up_for_when_the_event_comes_again(room: Room) -> None:
    await room.ask("a", "BUY", "10")
    done = order(check("BUY", "10", order_id="a"), S.CANCELED, version=2)
    room.commit(keys.order("default", "a"), done)

    room = await room.killed()
    assert (await room.call("GET /risk/portfolio", "default")).reserved == "0"
    await deliver(room.service, subjects.ORDER_EVENT, event(done))

    assert await room.reserved() == {}


async def test_an_open_order_counts_after_a_restart_even_when_its_reservation_was_lost(room: Room) -> None:
    wanted = check("BUY", "10", order_id="a")
    room.commit(keys.order("default", "a"), order(wanted, S.WORKING, version=2, filled="4"))
    room.kit.valkey.store[keys.open_orders("default")] = {"a"}

    room = await room.killed()

    (holding,) = (await room.call("GET /risk/portfolio", "default")).positions
    assert holding.open_buys == "6"


async def test_positions_and_cash_come_back_after_a_restart(room: Room) -> None:
    told = event(order(check(), S.FILLED, filled="1"), position=("-3", 7), cash=("1234.5", 7))
    room.commit(keys.position("default", "BTCUSDT"), told.position)
    room.commit(keys.account("default"), told.balance)

    room = await room.killed()

    portfolio = await room.call("GET /risk/portfolio", "default")
    assert (portfolio.cash, portfolio.short_collateral, portfolio.free) == ("1234.5", "450", "784.5")


async def test_an_old_event_of_an_order_that_is_over_makes_no_ghost(room: Room) -> None:
    wanted = check("BUY", "10", order_id="a")
    over = event(order(wanted, S.FILLED, version=3, filled="10"), position=("10", 1))
    room.commit(keys.order("default", "a"), over.order)
    room.commit(keys.position("default", "BTCUSDT"), over.position)

    await deliver(room.service, subjects.ORDER_EVENT, event(order(wanted, S.ACCEPTED, version=1)))

    (holding,) = (await room.call("GET /risk/portfolio", "default")).positions
    assert (holding.quantity, holding.open_buys) == ("10", "0")


async def test_a_reservation_whose_order_was_never_committed_is_swept_away(room: Room) -> None:
    await room.ask("lost", "BUY", "1")
    await room.ask("known", "BUY", "2")
    room.commit(keys.order("default", "known"), order(check("BUY", "2", order_id="known"), S.ACCEPTED))
    (sweep,) = room.service.every

    await sweep.handler()
    assert set(await room.reserved()) == {"lost", "known"}

    room.kit.clock.advance(31)  # type: ignore[attr-defined]
    await sweep.handler()
    assert set(await room.reserved()) == {"known"}
    (holding,) = (await room.call("GET /risk/portfolio", "default")).positions
    assert holding.open_buys == "2"


async def test_a_decision_that_takes_too_long_is_denied_and_sets_nothing_aside() -> None:
    class SlowClock(FakeClock):
        def monotonic_ns(self) -> int:
            self.advance(0.06)
            return self.now_ns()

    room = await Room(fake_kit("risk", clock=SlowClock(NOW_NS), instruments=INSTRUMENTS)).begin()

    assert (await room.ask("a")).code == "RISK_TOO_SLOW"
    assert await room.reserved() == {}


async def test_switches_are_committed_told_of_and_outlive_a_restart(room: Room) -> None:
    await room.call("POST /kill", Kill(scope="symbol.btcusdt", reason="drill"))
    await room.call("PUT /state/{account}", "default", _state(TradingState.HALTED))
    await room.call("POST /risk/symbol/{symbol}/block", "BTC-USDT")
    await room.kit.journal.said()
    assert [alert.code for alert in room.kit.bus.heard(subjects.RISK_ALERT)] == [
        "RISK_KILL_SET",
        "RISK_TRADING_STATE",
        "RISK_SYMBOL_BLOCKED",
    ]

    room = await room.killed()

    (kill,) = await room.call("GET /kill")
    assert (kill.scope, kill.reason) == ("symbol.BTCUSDT", "drill")
    assert await room.call("GET /state") == {"default": "HALTED"}
    assert (await room.ask("a")).code == "RISK_KILLED"
    await room.call("DELETE /kill/{scope}", "symbol.BTCUSDT")
    assert (await room.ask("a")).code == "RISK_TRADING_STATE"
    await room.call("PUT /state/{account}", "default", _state(TradingState.ACTIVE))
    assert (await room.ask("a")).code == "RISK_SYMBOL_BLOCKED"
    await room.call("DELETE /risk/symbol/{symbol}/block", "BTC-USDT")

    room = await room.killed()
    assert (await room.ask("a")).approved


async def test_a_switch_is_not_answered_while_it_cannot_be_committed(room: Room) -> None:
    room.kit.valkey.away = True

    with pytest.raises(Unavailable):
        await room.call("POST /kill", Kill(scope="firm", reason="drill"))


async def test_alerts_are_shown_newest_first_and_can_be_acknowledged(room: Room) -> None:
    await room.call("POST /kill", Kill(scope="firm", reason="drill"))
    await room.call("DELETE /kill/{scope}", "firm")

    newest, oldest = await room.call("GET /risk/alerts")
    assert (newest.code, oldest.code) == ("RISK_KILL_LIFTED", "RISK_KILL_SET")
    acknowledged: RiskAlert = await room.call("POST /risk/alerts/{alert_id}/acknowledge", newest.alert_id)
    assert acknowledged.acknowledged

    room = await room.killed()
    assert [alert.acknowledged for alert in await room.call("GET /risk/alerts")] == [True, False]


async def test_limits_put_by_hand_stand_above_the_configuration_and_outlive_a_restart(room: Room) -> None:
    limits = settings().accounts["default"].model_copy(update={"symbols": {"*": Limits()}})
    await room.call("PUT /limits/{account}", "default", limits)
    assert (await room.ask("a")).code == "RISK_ORDER_QUANTITY"

    room = await room.killed()

    assert (await room.ask("a")).code == "RISK_ORDER_QUANTITY"


async def test_limits_are_shown_with_their_use(room: Room) -> None:
    await room.ask("a", "BUY", "10")

    uses = {use.symbol: use for use in await room.call("GET /limits/{account}", "default")}

    assert (uses["BTCUSDT"].worst_long, uses["BTCUSDT"].open_buys) == ("10", "10")
    assert uses["AAPL"].worst_long == "0"
    assert list(uses.values()) == await room.call("GET /risk/limits")


async def test_the_limits_of_any_account_are_shown_as_such() -> None:
    kit = fake_kit("risk", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await Room(kit, accounts={"*": settings().accounts["default"]}).begin()
    await room.ask("a", account="someone")

    uses = await room.call("GET /risk/limits")

    assert [(use.account, use.symbol, use.worst_long) for use in uses] == [
        ("*", "AAPL", "0"),
        ("*", "BTCUSDT", "0"),
        ("someone", "AAPL", "0"),
        ("someone", "BTCUSDT", "1"),
    ]


async def test_the_feed_and_the_quotes_are_watched(room: Room) -> None:
    feed = Feed(venue="sim", symbol="BTCUSDT", status=FeedStatus.GAP, since_ns=NOW_NS)

    await deliver(room.service, subjects.FEED, feed)

    assert (await room.ask("a")).code == "RISK_STALE_REFERENCE"


async def test_the_shipped_configuration_lets_any_account_trade_the_listed_symbols() -> None:
    from services.risk.settings import Settings
    from shared.kit.settings import load

    kit = fake_kit("risk", clock=FakeClock(NOW_NS))
    service = wire(kit, load(Settings, "risk", kit.suite))
    await service.recovers()

    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "AAPL", "SPY"):
        await deliver(service, subjects.QUOTE, quote(symbol))
        wanted = RiskCheck(account="anyone", symbol=symbol, side="BUY", quantity="1", price="100")  # type: ignore[arg-type]
        assert (await question(service, subjects.RISK_CHECK, wanted)).approved


def _state(state: TradingState) -> Any:
    from services.risk.core.views import StateChange

    return StateChange(state=state)
