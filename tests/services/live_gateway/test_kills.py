"""The kill switch: three ways in, and nothing new goes out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.contract import keys, subjects
from shared.contract.errors import Unavailable
from shared.contract.orders import ReplaceOrder
from shared.contract.risk import Kill
from shared.contract.venue import Mode, ModeRequest, PanicRequest
from shared.kit.fakes import FakeClock, fake_kit
from tests.services.live_gateway.conftest import INSTRUMENTS, NOW_NS, D, quote, route
from tests.services.live_gateway.room import ENABLED, Room

ROUND_S = 0.1
SCOPES = ["firm", "account.default", "strategy.swing", "venue.paper", "symbol.BTCUSDT"]


def wanted(order_id: str = "a", **words: Any) -> Any:
    return route(order_id, "BUY", "5", "99", **({"strategy": "swing"} | words))


def real(number: int = 1, **words: Any) -> Any:
    return wanted(f"default-{number:020x}", venue="binance", **words)


def kill(scope: str = "firm", **words: Any) -> Kill:
    return Kill(**({"scope": scope, "reason": "a test", "actor": "anna", "at_ns": NOW_NS} | words))


def lift(scope: str = "firm", **words: Any) -> Kill:
    return kill(scope, **({"actor": "bert", "active": False, "at_ns": NOW_NS + 1} | words))


def folder(room: Room) -> Path:
    return room.kit.suite.var / "kill"


@pytest.fixture
async def room() -> Room:
    kit = fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await (await Room(kit, **ENABLED).begin()).live()
    await room.hear(subjects.QUOTE, quote())
    return room


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_kill_that_is_heard_stops_new_orders_in_its_scope_and_cancels_those_at_work(
    room: Room, scope: str
) -> None:
    await room.hear(subjects.ORDER_NEW, wanted("a"))
    await room.hear(subjects.RISK_KILL, kill(scope))
    await room.settled()
    await room.hear(subjects.ORDER_NEW, wanted("b"))

    assert await room.said() == [("a", "WORKING", 1), ("a", "CANCELED", 2), ("b", "REJECTED", 1)]
    assert {report.reason for report in room.reports()[1:]} == {f"killed: {scope}: a test"}


@pytest.mark.parametrize("scope", ["account.other", "strategy.slow", "venue.binance", "symbol.ETHUSDT"])
async def test_what_is_not_in_its_scope_goes_on(room: Room, scope: str) -> None:
    await room.hear(subjects.ORDER_NEW, wanted("a"))
    await room.hear(subjects.RISK_KILL, kill(scope))
    await room.settled()
    await room.hear(subjects.ORDER_NEW, wanted("b"))

    assert await room.said() == [("a", "WORKING", 1), ("b", "WORKING", 1)]


@pytest.mark.parametrize("scope", [*SCOPES[:3], "venue.binance", SCOPES[4]])
async def test_orders_at_a_real_venue_are_cancelled_there_once(room: Room, scope: str) -> None:
    await room.hear(subjects.ORDER_NEW, real())
    await room.settled()
    room.venue.silent = True
    await room.hear(subjects.RISK_KILL, kill(scope))
    for _ in range(3):
        await room.settled()
        await room.gateway.stop()

    assert room.venue.count("cancel") == 1
    await room.after(3)
    assert (await room.statuses())[-1] == "CANCELED"
    assert room.venue.count("cancel") == 1


async def test_a_file_in_the_folder_kills_though_store_and_bus_are_away(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, real())
    await room.settled()
    room.kit.valkey.away = room.kit.bus.away = True

    (folder(room) / "symbol.BTC-USDT").write_text("by hand\n")
    while room.venue.count("cancel") < 1:
        await asyncio.sleep(0.01)  # the folder is looked into every so often

    assert room.gateway.board._kills.scopes == {"symbol.BTCUSDT": "by hand"}


async def test_a_file_laid_while_the_gateway_stood_still_is_seen_before_the_next_order(room: Room) -> None:
    (folder(room) / "firm").write_text("by hand")
    room.kit.clock.advance(1)  # type: ignore[attr-defined]
    await room.hear(subjects.ORDER_NEW, wanted("a"))

    assert await room.said() == [("a", "REJECTED", 1)]


async def test_a_file_holds_when_it_is_gone_and_over_a_restart_until_somebody_else_lifts_it(room: Room) -> None:
    (folder(room) / "firm").write_text("")
    room = await room.killed()
    (folder(room) / "firm").unlink()
    room = await room.killed()
    await room.hear(subjects.ORDER_NEW, wanted("a"))
    await room.hear(subjects.RISK_KILL, lift(actor=folder(room).owner()))
    await room.hear(subjects.ORDER_NEW, wanted("b"))
    await room.hear(subjects.RISK_KILL, lift())
    await room.hear(subjects.ORDER_NEW, wanted("c"))

    assert await room.said() == [("a", "REJECTED", 1), ("b", "REJECTED", 1), ("c", "WORKING", 1)]


async def test_risk_and_the_oms_are_told_of_a_file_once_with_its_reason_and_its_owner(room: Room) -> None:
    (folder(room) / "account.ada").write_text("by hand\n")
    for _ in range(2):
        room.gateway.board.look()
        await room.gateway.board.tell()
    await room.kit.journal.said()

    (told,) = room.kit.bus.heard(subjects.RISK_KILL)
    assert (told.scope, told.reason, told.actor) == ("account.ada", "by hand", folder(room).owner())
    assert (told.active, told.at_ns) == (True, NOW_NS)


async def test_a_file_that_was_seen_while_the_store_was_away_is_told_of_though_it_is_gone(room: Room) -> None:
    room.kit.valkey.away = True
    (folder(room) / "firm").write_text("smoke")
    room.gateway.board.look()
    (folder(room) / "firm").unlink()
    with pytest.raises(Unavailable):
        await room.gateway.board.tell()
    room.kit.valkey.away = False

    room = await room.killed()
    await room.kit.journal.said()

    assert [told.scope for told in room.kit.bus.heard(subjects.RISK_KILL)] == ["firm"]


async def test_what_is_lifted_while_its_file_lies_there_is_killed_again_at_once(room: Room) -> None:
    (folder(room) / "firm").write_text("by hand")
    room.gateway.board.look()
    await room.gateway.board.tell()
    lifted = lift(at_ns=NOW_NS + 5)
    await room.hear(subjects.RISK_KILL, lifted)
    await room.hear(subjects.ORDER_NEW, wanted("a"))
    room.gateway.board.look()
    await room.gateway.board.tell()
    await room.kit.journal.said()

    first, again = room.kit.bus.heard(subjects.RISK_KILL)
    assert first.at_ns < lifted.at_ns < again.at_ns
    assert await room.said() == [("a", "REJECTED", 1)]


@pytest.mark.parametrize("name", ["account.ada.txt", "account.", "strategy.a b"])
async def test_a_file_that_names_no_scope_in_full_kills_the_firm(room: Room, name: str) -> None:
    (folder(room) / name).write_text("x" * 300)
    room.gateway.board.look()

    assert list(room.gateway.board._kills.scopes) == ["firm"]


async def test_a_file_whose_name_is_no_scope_kills_the_firm_and_a_hidden_one_nothing(room: Room) -> None:
    (folder(room) / ".firm.swp").write_text("")
    room.gateway.board.look()
    assert room.gateway.board._kills.scopes == {}

    (folder(room) / "symbl.BTCUSDT").write_text("stop")
    room.gateway.board.look()
    assert room.gateway.board._kills.scopes == {"firm": "stop (the file 'symbl.BTCUSDT' names no scope)"}


async def test_panic_kills_the_firm_and_lets_nothing_out_until_the_modes_are_set_anew(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, wanted("a"))
    await room.hear(subjects.ORDER_NEW, real())
    await room.settled()

    answered = await room.call("/panic", PanicRequest(reason="smoke", actor="anna"), method="POST")
    await room.settled()

    assert answered["killed"] == {"firm": "smoke"}
    assert set(answered["modes"].values()) == {Mode.SHADOW}
    assert sorted(status for status in await room.statuses() if status == "CANCELED") == ["CANCELED"] * 2
    assert [said.scope for said in room.kit.bus.heard(subjects.RISK_KILL)] == ["firm"]
    await room.hear(subjects.RISK_KILL, lift())
    await room.hear(subjects.ORDER_NEW, wanted("b"))
    assert room.gateway.board._kills.scopes == {}
    await room.said()
    assert room.reports()[-1].reason == "SHADOW: it would have gone to paper"


async def test_panic_holds_though_the_store_is_away_and_risk_hears_of_it_later(room: Room) -> None:
    room.kit.valkey.away = True
    with pytest.raises(Unavailable):
        await room.call("/panic", PanicRequest(), method="POST")
    room.kit.valkey.away = False

    room = await room.killed()
    await room.hear(subjects.ORDER_NEW, wanted("a"))

    assert await room.said() == [("a", "REJECTED", 1)]
    room = await room.killed()
    await room.kit.journal.said()
    assert {said.scope for said in room.kit.bus.heard(subjects.RISK_KILL)} == {"firm"}


async def test_a_kill_that_risk_has_not_heard_of_does_not_stand_in_the_way_of_a_recovery(room: Room) -> None:
    await room.hear(subjects.RISK_KILL, kill())
    room.kit.valkey.away = True
    with pytest.raises(Unavailable):
        await room.call("/mode", ModeRequest(mode=Mode.SHADOW), method="POST")
    room.kit.valkey.away = False
    assert room.kit.journal.broken

    await room.begin()

    await room.gateway.board.tell()
    await room.kit.journal.said()
    assert {said.scope for said in room.kit.bus.heard(subjects.RISK_KILL)} == {"firm"}


async def test_what_risk_has_killed_is_killed_after_a_restart(room: Room) -> None:
    keep(room, kill("symbol.BTCUSDT"))
    room = await room.killed()
    await room.hear(subjects.ORDER_NEW, wanted("a"))

    assert await room.said() == [("a", "REJECTED", 1)]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("order", [wanted, real])
async def test_a_kill_that_risk_committed_stops_orders_before_anybody_has_told_the_gateway(
    room: Room, scope: str, order: Any
) -> None:
    scope = "venue.binance" if order is real and scope == "venue.paper" else scope
    keep(room, kill(scope))

    with pytest.raises(Unavailable, match="a kill was committed"):
        await room.hear(subjects.ORDER_NEW, order())
    await room.hear(subjects.ORDER_NEW, order())

    assert [status for _, status, _ in await room.said()] == ["REJECTED"]


async def test_a_kill_that_risk_committed_cancels_what_is_at_work_though_the_bus_brings_nothing(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, wanted("a"))
    await room.hear(subjects.ORDER_NEW, real())
    await room.settled()
    keep(room, kill())

    await a_round(room)

    assert sorted(await room.statuses()) == ["CANCELED", "CANCELED", "WORKING", "WORKING"]
    assert room.venue.count("cancel") == 1


async def test_what_was_killed_while_the_gateway_was_down_is_cancelled_in_its_first_round(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, wanted("a"))
    room = await room.killed()
    keep(room, kill())
    await room.gateway.recover()

    await a_round(room)

    assert (await room.statuses())[-1] == "CANCELED"


async def test_a_kill_that_was_lifted_while_the_gateway_was_down_is_lifted(room: Room) -> None:
    await room.hear(subjects.RISK_KILL, kill())
    room.kit.valkey.store[keys.lifted("firm")] = str(NOW_NS + 5).encode()
    room.kit.valkey.store[keys.kept("risk")] = {keys.lifted("firm")}
    room = await room.killed()
    await room.hear(subjects.RISK_KILL, kill())
    await room.hear(subjects.ORDER_NEW, wanted("a"))

    assert await room.said() == [("a", "WORKING", 1)], "the old kill, heard again, is old news"


@pytest.mark.parametrize("words", [{"actor": "anna"}, {"actor": "unnamed"}, {"at_ns": NOW_NS - 1}])
async def test_a_kill_is_not_lifted_by_its_setter_by_nobody_or_from_before(room: Room, words: dict[str, Any]) -> None:
    await room.hear(subjects.RISK_KILL, kill())
    await room.hear(subjects.RISK_KILL, lift(**words))

    assert room.gateway.board._kills.scopes == {"firm": "a test"}


async def test_a_lift_heard_twice_at_the_same_moment_lifts_once(room: Room) -> None:
    await room.hear(subjects.RISK_KILL, kill())

    await asyncio.gather(*(room.hear(subjects.RISK_KILL, lift()) for _ in range(2)))

    await room.hear(subjects.ORDER_NEW, wanted("a"))
    assert await room.said() == [("a", "WORKING", 1)]


async def test_a_kill_is_not_lifted_while_risk_holds_it(room: Room) -> None:
    keep(room, kill())
    await room.hear(subjects.RISK_KILL, kill())
    await room.hear(subjects.RISK_KILL, lift())
    assert room.gateway.board._kills.scopes == {"firm": "a test"}

    room.kit.valkey.store.pop(keys.kill("firm"))
    await room.hear(subjects.RISK_KILL, lift())
    assert room.gateway.board._kills.scopes == {}


async def test_a_lift_does_not_end_what_a_file_says(room: Room) -> None:
    (folder(room) / "firm").write_text("by hand")
    room.gateway.board.look()
    await room.hear(subjects.RISK_KILL, kill())
    await room.hear(subjects.RISK_KILL, lift())

    assert room.gateway.board._kills.scopes == {"firm": "by hand"}


async def test_after_a_standstill_no_order_overtakes_a_kill_that_was_told_meanwhile(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_on = asyncio.Event()

    async def heard_up() -> None:
        await read_on.wait()
        await room.hear(subjects.RISK_KILL, kill())

    monkeypatch.setattr(room.kit.bus, "heard_up", heard_up)
    room.kit.clock.advance(1)
    await room.hear(subjects.QUOTE, quote(receive_ns=room.kit.clock.now_ns()))
    orders = [asyncio.create_task(room.hear(subjects.ORDER_NEW, one)) for one in (wanted("a"), real())]
    room.gateway.board.look()
    await asyncio.sleep(0)
    read_on.set()
    await asyncio.gather(*orders)
    await room.settled()

    assert await room.statuses() == ["REJECTED", "REJECTED"]
    assert room.venue.count("submit") == 0


async def test_after_a_standstill_all_wait_for_one_answer_and_what_risk_holds_is_looked_up(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_on, asked = asyncio.Event(), list[str]()

    async def heard_up() -> None:
        asked.append("bus")
        await read_on.wait()

    monkeypatch.setattr(room.kit.bus, "heard_up", heard_up)
    room.kit.clock.advance(1)
    await room.hear(subjects.QUOTE, quote(receive_ns=room.kit.clock.now_ns()))
    orders = [asyncio.create_task(room.hear(subjects.ORDER_NEW, one)) for one in (wanted("a"), real())]
    for _ in range(3):
        room.gateway.board.look()
        await asyncio.sleep(0)
    keep(room, kill())  # committed, but the bus lost the connection over which it was told
    read_on.set()
    await asyncio.gather(*orders)
    await room.settled()

    assert asked == ["bus"]
    assert await room.statuses() == ["REJECTED", "REJECTED"]


async def test_after_a_standstill_an_order_waits_for_as_long_as_nobody_knows_what_was_told_meanwhile(
    room: Room,
) -> None:
    room.kit.clock.advance(1)
    room.kit.bus.away = True

    with pytest.raises(Unavailable):
        await room.hear(subjects.ORDER_NEW, wanted("a"))


async def test_in_a_stream_of_orders_none_leaves_after_the_kill(room: Room) -> None:
    for number in range(100):
        await room.hear(subjects.ORDER_NEW, real(number))
        if number == 40:
            await room.hear(subjects.RISK_KILL, kill())
            sent = room.venue.count("submit")
    await room.settled()

    assert room.venue.count("submit") == sent, "also none of those that were written down and on their way"
    assert not any(word.status == "WORKING" for word in room.venue.legs.values())
    assert (await room.statuses()).count("REJECTED") == 100 - sent


async def test_an_order_that_waits_for_the_rate_budget_when_the_kill_comes_does_not_leave(room: Room) -> None:
    kit = fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await (await Room(kit, **(ENABLED | {"rate_burst": 3, "rate_reserve": 2})).begin()).live()
    await room.hear(subjects.ORDER_NEW, real(1))
    await room.hear(subjects.ORDER_NEW, real(2))
    await room.hear(subjects.RISK_KILL, kill("account.default"))
    await room.settled()

    assert room.venue.count("submit") <= 1
    assert (await room.statuses()).count("REJECTED") >= 1


async def test_new_terms_are_refused_in_a_killed_scope(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, wanted("a"))
    room.gateway.board._kills.hear(kill())  # type: ignore[attr-defined]
    terms = ReplaceOrder(account="default", order_id="a", number=1, price=D("98"), quantity=D("4"))
    await room.hear(subjects.ORDER_REPLACE, terms)

    await room.said()
    assert (room.reports()[-1].refused, room.reports()[-1].reason) == (1, "killed: firm: a test")


async def test_a_file_of_kills_that_cannot_be_read_kills_the_firm(room: Room) -> None:
    path = room.kit.suite.var / "live-gateway" / "kills.json"
    path.write_text("{")
    room = await room.killed()

    assert list(room.gateway.board._kills.scopes) == ["firm"]


async def a_round(room: Room) -> None:
    """Whatever is done ten times a second."""
    for row in room.service.every:
        if row.seconds <= ROUND_S:
            await row.handler()


def keep(room: Room, one: Kill) -> None:
    """As risk keeps a kill."""
    room.kit.valkey.store[keys.kill(one.scope)] = one.encode()
    room.kit.valkey.store.setdefault(keys.kept("risk"), set()).add(keys.kill(one.scope))
    room.kit.valkey.store.setdefault(keys.killed(), set()).add(one.scope)
