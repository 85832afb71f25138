"""How orders are let in: one commit that holds only while risk stands by its word, and what waits for a person."""

from __future__ import annotations

import pytest

from shared.contract import keys, subjects
from shared.contract.errors import Conflict, Refused, Unavailable
from shared.contract.orders import OrderStatus
from shared.contract.risk import Release, RiskCheck, Verdict
from shared.kit.fakes import deliver, fake_kit
from tests.services.oms.running import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk(fake_kit("oms"))


def release(order_id: str) -> Release:
    return Release(account="default", order_id=order_id, actor="ann", reason="fine", until_ns=2**62)


async def let_through(desk: Desk, order_id: str) -> None:
    desk.risk.released.add(order_id)
    await deliver(desk.service, subjects.RISK_RELEASE, release(order_id))


async def test_an_order_and_its_reservation_are_one_commit(desk: Desk) -> None:
    writes = desk.kit.valkey.writes
    order = await desk.order()

    assert (desk.kit.valkey.writes, desk.reserved()) == (writes + 1, {order.order_id: 3})


async def test_a_reservation_shrinks_and_ends_with_the_very_fills(desk: Desk) -> None:
    order = await desk.order()
    await desk.report(order, "PARTIALLY_FILLED", ("e1", "1", "100"))
    assert desk.reserved() == {order.order_id: 2}
    desk = await desk.restarted()
    await desk.report(order, "FILLED", ("e2", "2", "100"), n=2)

    assert desk.reserved() == {}


async def test_what_a_former_life_of_risk_approved_is_asked_for_again(desk: Desk) -> None:
    lives = iter([True, True, False])

    async def begins_anew(check: RiskCheck) -> Verdict:
        verdict = await desk.risk.judge(check)
        if next(lives):
            desk.risk.begin_anew(check.account)
        return verdict

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = begins_anew
    order = await desk.order()

    assert len(desk.asked) == 3
    assert await desk.told(subjects.ORDER_NEW) == [order.order_id]
    assert len(await desk.said(subjects.ORDER_EVENT)) == 1


async def test_while_risk_begins_anew_again_and_again_there_is_no_order(desk: Desk) -> None:
    async def never_the_same(check: RiskCheck) -> Verdict:
        verdict = await desk.risk.judge(check)
        desk.risk.begin_anew(check.account)
        return verdict

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = never_the_same
    with pytest.raises(Unavailable, match="send the order again"):
        await desk.submit()

    assert (await desk.get("/orders"))["orders"] == []
    assert desk.service.stats()["orders_open"] == 0


async def test_an_approval_without_a_life_holds_only_where_risk_has_none(desk: Desk) -> None:
    order = await desk.order(account="new")
    assert order.status is OrderStatus.ACCEPTED

    async def forgetful(check: RiskCheck) -> Verdict:
        return (await desk.risk.judge(check)).model_copy(update={"epoch": ""})

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = forgetful
    with pytest.raises(Unavailable):
        await desk.submit()


async def test_an_order_that_only_the_store_knows_is_found_by_the_commit(desk: Desk) -> None:
    first = await desk.order()
    await desk.report(first, "FILLED", ("e1", "3", "100"))
    desk = await desk.restarted()

    again = await desk.submit()
    assert (again.body, again.headers) == (first, {"Idempotency-Replayed": "true"})
    with pytest.raises(Conflict, match="side differ"):
        await desk.submit(side="SELL")
    assert len(await desk.said(subjects.ORDER_NEW)) == 1
    assert desk.reserved() == {}


async def test_an_order_that_was_replaced_is_still_the_order_that_was_asked_for(desk: Desk) -> None:
    first = await desk.order(type="LIMIT", price="90")
    await desk.report(first, "WORKING")
    await desk.replace(first.order_id, price="95")
    await desk.report(first, "WORKING", n=2, replaced=1, price="95", quantity="3")

    assert (await desk.submit(type="LIMIT", price="90")).body == first


# Over a soft limit.


async def test_an_order_over_a_soft_limit_waits_and_is_answered_so(desk: Desk) -> None:
    reply = await desk.submit(quantity="5")

    assert reply.body.status is OrderStatus.PENDING_RISK
    assert reply.body.reason == "RISK_SOFT_LIMIT: 5 is too much"
    assert (await desk.told(subjects.ORDER_NEW), desk.reserved()) == ([], {})
    assert (await desk.submit(quantity="5")).headers == {"Idempotency-Replayed": "true"}


async def test_a_released_order_goes_out_once_even_after_a_restart(desk: Desk) -> None:
    order = await desk.order(quantity="5")
    desk = await desk.restarted()
    for _ in range(2):
        await let_through(desk, order.order_id)

    after = await desk.now(order)
    assert (after.status, after.reason) == (OrderStatus.ACCEPTED, "")
    assert (await desk.told(subjects.ORDER_NEW), desk.reserved()) == ([order.order_id], {order.order_id: 5})


async def test_who_released_an_order_is_on_record_for_good(desk: Desk) -> None:
    order = await desk.order(quantity="5")
    await let_through(desk, order.order_id)

    desk = await desk.restarted()

    why = next(row.handler for row in desk.service.serves if row.path == "/orders/{order_id}/why")
    assert (await why(order.order_id))["release"] == release(order.order_id)


async def test_a_release_that_does_not_hold_any_more_leaves_the_order_waiting(desk: Desk) -> None:
    order = await desk.order(quantity="5")
    await deliver(desk.service, subjects.RISK_RELEASE, release(order.order_id))

    assert await desk.status(order) == "PENDING_RISK"


async def test_a_released_order_that_a_hard_limit_stops_is_denied(desk: Desk) -> None:
    order = await desk.order(quantity="5")
    desk.risk.refusing = "RISK_KILLED"
    await let_through(desk, order.order_id)

    assert (await desk.status(order), desk.reserved()) == ("DENIED", {})


async def test_a_released_stop_is_held(desk: Desk) -> None:
    stop = await desk.order(quantity="5", type="STOP", stop_price="110")
    await desk.market("111", "112")
    assert await desk.told(subjects.ORDER_NEW) == []
    await let_through(desk, stop.order_id)
    await desk.market("111", "112")

    assert await desk.told(subjects.ORDER_NEW) == [stop.order_id]


async def test_an_order_that_nobody_releases_lapses(desk: Desk) -> None:
    order = await desk.order(quantity="5")
    desk.advance(299)
    await desk.each("expire")
    assert await desk.status(order) == "PENDING_RISK"
    desk = await desk.restarted()
    desk.advance(2)
    await desk.each("expire")
    await let_through(desk, order.order_id)

    after = await desk.now(order)
    assert (after.status, after.reason[:17]) == (OrderStatus.DENIED, "RISK_NOT_RELEASED")


async def test_an_order_that_waits_for_a_person_can_be_cancelled(desk: Desk) -> None:
    order = await desk.order(quantity="5")
    await desk.cancel(order.order_id)
    await let_through(desk, order.order_id)

    assert (await desk.status(order), await desk.said(subjects.ORDER_CANCEL)) == ("CANCELED", [])


async def test_a_release_of_an_unknown_order_is_nothing(desk: Desk) -> None:
    await deliver(desk.service, subjects.RISK_RELEASE, release("default-none"))
    assert desk.asked == []
    assert not await desk.kit.valkey.keys("released:*")


# What is kept of it.


async def test_a_denied_order_leaves_nothing_open(desk: Desk) -> None:
    with pytest.raises(Refused):
        await desk.submit(quantity="9")

    assert desk.kit.valkey.store.get(keys.open_orders("default"), set()) == set()
    assert desk.service.stats()["orders_open"] == 0
