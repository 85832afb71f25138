"""Of one group no more than the largest can fill: never are two of it at the venue together."""

from __future__ import annotations

import pytest

from shared.contract import subjects
from shared.contract.errors import Refused, Unavailable
from shared.contract.orders import Order, OrderStatus
from shared.contract.risk import Kill, Release
from shared.kit.fakes import deliver, fake_kit
from tests.services.oms.running import Desk, orders_of

PROFIT = {"type": "LIMIT", "price": "120"}
LOSS = {"type": "STOP", "stop_price": "90"}


@pytest.fixture
def desk() -> Desk:
    return Desk(fake_kit("oms"))


async def reached(desk: Desk, **loss: str) -> tuple[Order, Order, Order]:
    """A bracket that is in, with its stop reached while its other exit works."""
    words = {"stop_loss": loss} if loss else {}
    entry, profit, loss_order = orders_of(await desk.bracket(**words))
    await desk.report(entry, "FILLED", ("e1", "4", "100"))
    await desk.each("tend")
    await desk.report(profit, "WORKING")
    await desk.market("89", "90")
    return entry, profit, loss_order


async def test_a_stop_that_is_reached_waits_for_the_end_of_its_sibling_which_is_cancelled_in_that_commit(
    desk: Desk,
) -> None:
    entry, profit, loss = orders_of(await desk.bracket())
    await desk.report(entry, "FILLED", ("e1", "4", "100"))
    await desk.each("tend")
    writes = desk.kit.valkey.writes
    await desk.market("89", "90")
    await desk.market("88", "89")

    assert desk.kit.valkey.writes == writes + 1
    after, ending = await desk.now(loss), await desk.now(profit)
    assert (after.status, after.held, after.reason) == (
        OrderStatus.ACCEPTED,
        False,
        "its stop was reached; it waits for its sibling's end",
    )
    assert (ending.status, ending.leaving) == (OrderStatus.PENDING_CANCEL, "its sibling's stop was reached")
    assert loss.order_id not in await desk.told(subjects.ORDER_NEW)
    assert desk.reserved() == {profit.order_id: 4, loss.order_id: 4}
    why = await desk.get("/orders/{order_id}/why", loss.order_id)
    assert "once nothing can fill its sibling there any more" in why["summary"]


async def test_it_goes_out_in_the_commit_of_its_siblings_end_cut_to_what_is_left(desk: Desk) -> None:
    _, profit, loss = await reached(desk)
    await desk.report(profit, "PENDING_CANCEL", ("x1", "1", "120"), n=2)
    assert loss.order_id not in await desk.told(subjects.ORDER_NEW)
    writes = desk.kit.valkey.writes
    await desk.report(profit, "CANCELED", n=3)

    assert desk.kit.valkey.writes == writes + 1
    route = (await desk.said(subjects.ORDER_NEW))[-1]
    assert (route.order_id, route.order_type, route.quantity) == (loss.order_id, "MARKET", 3)
    after = await desk.now(loss)
    assert (after.status, after.reason) == (OrderStatus.ROUTED, "")
    await desk.report(loss, "FILLED", ("x2", "3", "89"))
    assert (await desk.position(), desk.reserved()) == (0, {})


async def test_it_ends_when_its_sibling_fills_whole_after_all(desk: Desk) -> None:
    _, profit, loss = await reached(desk)
    await desk.report(profit, "FILLED", ("x1", "4", "120"), n=2)

    after = await desk.now(loss)
    assert (after.status, after.reason) == (OrderStatus.CANCELED, "its sibling was filled")
    assert loss.order_id not in await desk.told(subjects.ORDER_NEW)
    assert (await desk.position(), desk.reserved()) == (0, {})


async def test_the_end_of_a_sibling_is_no_proof_while_a_fill_of_it_is_on_its_way(desk: Desk) -> None:
    _, profit, loss = await reached(desk)
    await desk.report(profit, "CANCELED", n=3, cumulative_quantity="1")
    assert await desk.status(profit) == "PENDING_CANCEL"
    assert loss.order_id not in await desk.told(subjects.ORDER_NEW)
    desk = await desk.restarted()
    await desk.report(profit, "PENDING_CANCEL", ("x1", "1", "120"), n=2, cumulative_quantity="1")

    assert await desk.status(profit) == "CANCELED"
    route = (await desk.said(subjects.ORDER_NEW))[-1]
    assert (route.order_id, route.quantity) == (loss.order_id, 3)


async def test_it_survives_a_restart_at_each_point(desk: Desk) -> None:
    _, profit, loss = await reached(desk)
    desk = await desk.restarted()
    await desk.market("88", "89")
    await desk.each("tend")
    assert loss.order_id not in await desk.told(subjects.ORDER_NEW)
    await desk.report(profit, "PENDING_CANCEL", ("x1", "1", "120"), n=2)
    desk = await desk.restarted()
    await desk.report(profit, "CANCELED", n=3)
    desk = await desk.restarted()
    await desk.market("88", "89")
    await desk.report(profit, "CANCELED", n=3)

    assert (await desk.told(subjects.ORDER_NEW)).count(loss.order_id) == 1
    assert await desk.status(loss) == "ROUTED"


async def test_the_venue_owes_no_word_of_a_stop_that_waits_for_its_sibling(desk: Desk) -> None:
    _, profit, loss = await reached(desk)
    desk.advance(60)
    await desk.each("ask_again")

    assert desk.service.stats()["orders_owed_a_word"] == 1
    assert [await desk.status(order) for order in (profit, loss)] == ["PENDING_UNKNOWN", "ACCEPTED"]
    assert loss.order_id not in await desk.told(subjects.ORDER_NEW)
    await desk.report(profit, "CANCELED", n=2)
    assert await desk.status(loss) == "ROUTED"


async def test_a_client_can_cancel_a_stop_that_waits_for_its_sibling(desk: Desk) -> None:
    _, profit, loss = await reached(desk)
    assert (await desk.cancel(loss.order_id)).status is OrderStatus.CANCELED
    await desk.report(profit, "CANCELED", n=2)

    assert loss.order_id not in await desk.told(subjects.ORDER_NEW)
    assert loss.order_id not in await desk.told(subjects.ORDER_CANCEL)
    assert desk.reserved() == {}


async def test_a_client_may_move_its_price_but_no_stop_that_was_reached(desk: Desk) -> None:
    _, profit, loss = await reached(desk, stop_price="90", price="88")
    with pytest.raises(Refused, match="triggered already"):
        await desk.replace(loss.order_id, stop_price="91")
    assert (await desk.replace(loss.order_id, price="87")).price == 87
    await desk.report(profit, "CANCELED", n=2)

    assert (await desk.said(subjects.ORDER_NEW))[-1].price == 87


async def test_a_kill_ends_a_stop_that_waits_for_its_sibling(desk: Desk) -> None:
    _, profit, loss = await reached(desk)
    await deliver(desk.service, subjects.RISK_KILL, Kill(scope="symbol.BTCUSDT", reason="enough"))
    await desk.report(profit, "CANCELED", n=2)

    assert await desk.status(loss) == "CANCELED"
    assert loss.order_id not in await desk.told(subjects.ORDER_NEW)


async def test_a_leg_that_waits_for_its_sibling_expires(desk: Desk) -> None:
    expire_at = "2023-11-14T23:00:00Z"
    one, other = orders_of(await desk.pair(PROFIT, {**LOSS, "time_in_force": "GTD", "expire_at": expire_at}))
    await desk.market("89", "90")
    assert [await desk.status(leg) for leg in (one, other)] == ["PENDING_CANCEL", "ACCEPTED"]
    desk.advance(3600)
    await desk.each("expire")

    assert await desk.status(other) == "EXPIRED"


async def test_what_it_closes_grows_while_it_waits(desk: Desk) -> None:
    entry, profit, loss = orders_of(await desk.bracket())
    await desk.report(entry, "PARTIALLY_FILLED", ("e1", "1", "100"))
    await desk.each("tend")
    await desk.report(profit, "WORKING")
    await desk.market("89", "90")
    await desk.report(entry, "FILLED", ("e2", "3", "100"), n=2)
    await desk.each("tend")
    assert desk.reserved() == {profit.order_id: 1, loss.order_id: 4}
    await desk.report(profit, "CANCELED", n=2)

    assert (await desk.said(subjects.ORDER_NEW))[-1].quantity == 4


async def test_it_waits_on_for_what_crosses_the_end_of_the_entry(desk: Desk) -> None:
    entry, profit, loss = orders_of(await desk.bracket())
    await desk.report(entry, "PARTIALLY_FILLED", ("e1", "1", "100"))
    await desk.each("tend")
    await desk.report(profit, "FILLED", ("x1", "1", "120"))
    await desk.market("89", "90")
    assert [await desk.status(order) for order in (entry, loss)] == ["PENDING_CANCEL", "ACCEPTED"]
    await desk.report(entry, "PENDING_CANCEL", ("e2", "1", "100"), n=2)

    assert (await desk.said(subjects.ORDER_NEW))[-1].order_id == loss.order_id
    await desk.report(entry, "CANCELED", n=3)
    await desk.report(loss, "FILLED", ("x2", "1", "89"))
    assert (await desk.position(), desk.reserved()) == (0, {})


async def test_an_exit_that_risk_refused_does_not_join_its_sibling_at_the_venue(desk: Desk) -> None:
    judge = desk.risk.judge

    async def no_limits(check):
        desk.risk.refusing = "RISK_PRICE_COLLAR" if check.order_type == "LIMIT" else ""
        return await judge(check)

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = no_limits
    entry, profit, loss = orders_of(await desk.bracket(entry={"type": "MARKET"}))
    await desk.report(entry, "FILLED", ("e1", "4", "100"))
    await desk.each("tend")
    await desk.market("89", "90")
    assert [await desk.status(exit) for exit in (profit, loss)] == ["NEW", "ROUTED"], "nobody is in its way"
    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = judge
    desk.risk.refusing = ""
    await desk.each("tend")
    assert await desk.status(profit) == "NEW"
    await desk.report(loss, "REJECTED")
    await desk.each("tend")

    assert await desk.status(profit) == "ACCEPTED"


async def test_of_two_stops_reached_at_once_one_goes_out_and_the_other_waits(desk: Desk) -> None:
    one, other = orders_of(await desk.pair({**LOSS, "type": "STOP_LIMIT", "price": "89"}, {**LOSS, "stop_price": "85"}))
    await desk.market("84", "85")

    assert len(await desk.told(subjects.ORDER_NEW)) == 1
    assert {await desk.status(leg) for leg in (one, other)} == {"PENDING_CANCEL", "ACCEPTED"}


async def test_a_released_leg_waits_for_its_sibling_at_the_venue(desk: Desk) -> None:
    judge = desk.risk.judge

    async def soft(check):
        verdict = await judge(check)
        if check.order_type == "LIMIT" and check.order_id not in desk.risk.released:
            return verdict.model_copy(update={"approved": False, "pending": True, "code": "RISK_SOFT_LIMIT"})
        return verdict

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = soft
    one, other = orders_of(await desk.pair(PROFIT, LOSS))
    assert [order.status for order in (one, other)] == ["PENDING_RISK", "ACCEPTED"]
    await desk.market("89", "90")
    assert await desk.status(other) == "ROUTED"
    desk.risk.released.add(one.order_id)
    until_ns = desk.kit.clock.now_ns() + 10**12
    release = Release(account="default", order_id=one.order_id, actor="anna", reason="fine", until_ns=until_ns)
    with pytest.raises(Unavailable, match="sibling"):
        await deliver(desk.service, subjects.RISK_RELEASE, release)
    await desk.report(other, "REJECTED")
    await deliver(desk.service, subjects.RISK_RELEASE, release)

    assert await desk.status(one) == "ACCEPTED"


async def test_two_limit_legs_are_both_counted_since_both_may_fill(desk: Desk) -> None:
    one, other = orders_of(await desk.pair(PROFIT, {"type": "LIMIT", "price": "130"}))
    for leg in (one, other):
        await desk.report(leg, "WORKING")
    await desk.replace(one.order_id, price="121")

    assert {check.group for check in desk.asked} == {None}
    assert [order.group for order in (one, other)] == [one.order_id, one.order_id]
    await desk.pair(PROFIT, LOSS, "p2")
    assert len({check.group for check in desk.asked[-2:]} - {None}) == 1
