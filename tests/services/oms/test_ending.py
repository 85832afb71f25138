"""The end of orders: cancel-all, kills, silence and doubt."""

from __future__ import annotations

import pytest

from shared.contract import subjects
from shared.contract.orders import OrderStatus
from shared.contract.risk import Kill
from shared.kit.fakes import deliver, fake_kit
from tests.services.oms.running import Desk, orders_of

STOP = {"type": "STOP", "stop_price": "110"}


@pytest.fixture
def desk() -> Desk:
    return Desk(fake_kit("oms"))


def kill(scope: str, **words: object) -> Kill:
    return Kill.model_validate({"scope": scope, "reason": "enough", "actor": "ann"} | words)


async def test_cancel_all_ends_what_it_is_asked_to_and_says_which(desk: Desk) -> None:
    a = await desk.order("1", account="a", strategy="trend")
    stop = await desk.order("2", account="a", **STOP)
    b = await desk.order("3", account="b", strategy="trend")
    sol = await desk.order("4", account="b", symbol="SOLUSDT")

    assert await desk.cancel_all(account="b", symbol="SOLUSDT") == [sol.order_id]
    assert set(await desk.cancel_all(strategy="trend")) == {a.order_id, b.order_id}
    assert await desk.cancel_all(strategy="trend") == []
    assert await desk.cancel_all() == [stop.order_id]
    assert await desk.status(stop) == "CANCELED"
    assert len(await desk.told(subjects.ORDER_CANCEL)) == 3


async def test_cancel_all_ends_a_bracket_with_its_exits(desk: Desk) -> None:
    orders = orders_of(await desk.bracket())

    assert len(await desk.cancel_all(account="default")) == 3
    assert [await desk.status(order) for order in orders] == ["PENDING_CANCEL", "CANCELED", "CANCELED"]


async def test_many_orders_are_ended_in_a_few_commits(desk: Desk) -> None:
    for n in range(120):
        await desk.order(f"c{n}")
    writes = desk.kit.valkey.writes

    assert len(await desk.cancel_all(account="default")) == 120
    assert desk.kit.valkey.writes <= writes + 5


async def test_a_kill_ends_what_waits_here_in_its_scope(desk: Desk) -> None:
    working = await desk.order("working", strategy="trend")
    stop = await desk.order("stop", strategy="trend", **STOP)
    pended = await desk.order("pended", strategy="trend", quantity="5")
    other = await desk.order("other", strategy="carry", **STOP)
    entry, *exits = orders_of(await desk.bracket(entry={"strategy": "trend"}))
    for _ in range(2):
        await deliver(desk.service, subjects.RISK_KILL, kill("strategy.trend"))

    assert [await desk.status(order) for order in (working, stop, pended, other, entry, *exits)] == [
        *("ACCEPTED", "CANCELED", "CANCELED", "ACCEPTED", "ACCEPTED", "CANCELED", "CANCELED")
    ]
    assert (await desk.now(stop)).reason == "kill strategy.trend: enough"
    assert desk.reserved().keys() == {working.order_id, other.order_id, entry.order_id}


@pytest.mark.parametrize("scope", ["firm", "account.default", "venue.paper", "symbol.BTCUSDT"])
async def test_every_scope_of_a_kill_is_known(desk: Desk, scope: str) -> None:
    stop = await desk.order(**STOP)
    await deliver(desk.service, subjects.RISK_KILL, kill("symbol.SPY"))
    await deliver(desk.service, subjects.RISK_KILL, kill(scope, active=False))
    assert await desk.status(stop) == "ACCEPTED"
    await deliver(desk.service, subjects.RISK_KILL, kill(scope))

    assert await desk.status(stop) == "CANCELED"


async def test_a_kill_that_is_heard_late_spares_what_began_after_it_was_lifted(desk: Desk) -> None:
    killed_ns = desk.kit.clock.now_ns()
    desk.advance(60)
    stop = await desk.order(**STOP)
    await deliver(desk.service, subjects.RISK_KILL, kill("firm", at_ns=killed_ns))

    assert await desk.status(stop) == "ACCEPTED"


async def test_an_order_in_doubt_is_asked_about_until_the_venue_speaks(desk: Desk) -> None:
    order = await desk.order()
    for _ in range(3):
        desk.advance(6)
        await desk.each("ask_again")
    assert (await desk.status(order), len(await desk.said(subjects.ORDER_NEW))) == ("PENDING_UNKNOWN", 4)
    desk = await desk.restarted()
    asked = await desk.cancel(order.order_id)
    assert (asked.status, await desk.told(subjects.ORDER_CANCEL)) == (OrderStatus.PENDING_UNKNOWN, [order.order_id])

    await desk.report(order, "WORKING")
    assert (await desk.status(order), len(await desk.told(subjects.ORDER_CANCEL))) == ("PENDING_CANCEL", 2)
    await desk.report(order, "CANCELED", n=2)
    assert await desk.status(order) == "CANCELED"


async def test_a_cancel_that_the_venue_is_silent_about_is_asked_for_again_and_in_doubt_at_last(desk: Desk) -> None:
    order = await desk.order()
    await desk.report(order, "WORKING")
    await desk.cancel(order.order_id)
    desk.advance(3)
    await desk.each("ask_again")
    assert (await desk.status(order), len(await desk.told(subjects.ORDER_CANCEL))) == ("PENDING_CANCEL", 2)
    desk.advance(3)
    await desk.each("ask_again")

    assert (await desk.status(order), len(await desk.told(subjects.ORDER_CANCEL))) == ("PENDING_UNKNOWN", 3)


async def test_a_venue_that_has_spoken_is_left_alone(desk: Desk) -> None:
    order = await desk.order(type="LIMIT", price="90")
    await desk.report(order, "WORKING")
    await desk.said(subjects.ORDER_NEW)
    desk.advance(60)
    await desk.each("ask_again")

    assert len(await desk.said(subjects.ORDER_NEW)) == 1
    assert desk.service.stats()["orders_owed_a_word"] == 0


async def test_a_report_of_an_order_that_was_never_here_is_a_bug_and_not_an_order(desk: Desk) -> None:
    order = (await desk.order()).model_copy(update={"order_id": "default-none"})
    with pytest.raises(LookupError, match="never committed here"):
        await desk.report(order, "WORKING")


@pytest.mark.parametrize(
    ("over", "becomes"), [("CANCELED", "CANCELED"), ("EXPIRED", "EXPIRED"), ("REJECTED", "CANCELED")]
)
async def test_an_order_is_over_once_all_its_fills_are_here_and_counts_until_then(
    desk: Desk, over: str, becomes: str
) -> None:
    order = await desk.order()
    for _ in range(2):
        await desk.report(order, over, n=4, cumulative_quantity="2", reason="it had to be")
    waiting = await desk.now(order)
    assert (waiting.status, waiting.version, desk.reserved()) == ("PENDING_CANCEL", 2, {order.order_id: 3})
    await desk.report(order, "PARTIALLY_FILLED", ("x2", "1", "100"), n=3, cumulative_quantity="2")
    assert await desk.status(order) == "PENDING_CANCEL"
    desk = await desk.restarted()
    await desk.report(order, "PARTIALLY_FILLED", ("x1", "1", "100"), n=2, cumulative_quantity="1")

    after = await desk.now(order)
    assert (after.status, after.reason, after.filled_quantity) == (becomes, "it had to be", 2)
    assert (await desk.position(), desk.reserved()) == (2, {})


async def test_an_order_in_doubt_that_is_over_at_the_venue_is_asked_for_until_its_fills_are_here(desk: Desk) -> None:
    order = await desk.order()
    desk.advance(60)
    await desk.each("ask_again")
    await desk.report(order, "CANCELED", n=2, cumulative_quantity="1")
    assert await desk.status(order) == "PENDING_UNKNOWN"
    desk.advance(60)
    await desk.each("ask_again")
    assert desk.kit.bus.heard(subjects.ORDER_CANCEL)
    await desk.report(order, "CANCELED", ("x1", "1", "100"), n=2, cumulative_quantity="1")

    assert (await desk.status(order), desk.reserved()) == ("CANCELED", {})
