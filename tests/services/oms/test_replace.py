"""New terms for open orders: at once where only the desk knows of it, else once the venue agrees."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from shared.contract import keys, subjects
from shared.contract.errors import Conflict, NotFound, Refused, Unavailable
from shared.contract.orders import Order, OrderStatus, ReplaceRequest
from shared.contract.risk import RiskCheck, Verdict
from shared.kit.fakes import fake_kit
from tests.services.oms.running import Desk

LIMIT: dict[str, Any] = {"type": "LIMIT", "price": "90"}


@pytest.fixture
def desk() -> Desk:
    return Desk(fake_kit("oms"))


async def working(desk: Desk, **words: Any) -> Order:
    order = await desk.order(**LIMIT | words)
    await desk.report(order, "WORKING")
    return order


async def test_new_terms_of_a_working_order_stand_once_the_venue_agrees(desk: Desk) -> None:
    order = await working(desk)
    asked = await desk.replace(order.order_id, price="95", quantity="4")
    assert (asked.price, asked.quantity, asked.replacements) == (90, 3, 1)
    assert desk.reserved() == {order.order_id: 4}
    (word,) = await desk.said(subjects.ORDER_REPLACE)
    assert (word.number, word.price, word.quantity) == (1, 95, 4)
    assert (desk.asked[-1].replaces, desk.asked[-1].quantity) == (True, 4)

    for _ in range(2):
        await desk.report(order, "WORKING", n=2, replaced=1, price="95", quantity="4")
    after = await desk.now(order)
    assert (after.price, after.quantity, after.replacing, after.version) == (95, 4, None, 4)


async def test_refused_terms_leave_the_order_as_it_was_and_say_why(desk: Desk) -> None:
    order = await working(desk)
    await desk.replace(order.order_id, quantity="4")
    await desk.report(order, "WORKING", n=2, refused=1, reason="too late")

    after = await desk.now(order)
    assert (after.quantity, after.replacing, after.reason) == (3, None, "new terms refused: too late")
    assert desk.reserved() == {order.order_id: 3}
    assert (await desk.replace(order.order_id, quantity="2")).replacements == 2


async def test_a_fill_that_crosses_new_terms_counts(desk: Desk) -> None:
    order = await working(desk)
    await desk.replace(order.order_id, quantity="2")
    await desk.report(order, "PARTIALLY_FILLED", ("e1", "1", "90"), n=2)
    assert desk.reserved() == {order.order_id: 2}
    await desk.report(order, "FILLED", ("e2", "1", "90"), n=3, replaced=1, price="90", quantity="2")

    after = await desk.now(order)
    assert (after.status, after.filled_quantity, after.quantity) == (OrderStatus.FILLED, 2, 2)
    assert (await desk.position(), desk.reserved()) == (2, {})


async def test_an_order_that_fills_before_its_new_terms_arrive_is_filled(desk: Desk) -> None:
    order = await working(desk)
    await desk.replace(order.order_id, quantity="4")
    await desk.report(order, "FILLED", ("e1", "3", "90"), n=2)
    await desk.report(order, "FILLED", n=3, refused=1, reason="it is over")

    after = await desk.now(order)
    assert (after.status, after.replacing, desk.reserved()) == (OrderStatus.FILLED, None, {})


async def test_a_second_change_waits_for_the_answer_to_the_first_even_after_a_restart(desk: Desk) -> None:
    order = await working(desk)
    await desk.replace(order.order_id, quantity="2")
    desk = await desk.restarted()

    with pytest.raises(Conflict, match="on their way already"):
        await desk.replace(order.order_id, quantity="1")
    desk.advance(3)
    await desk.each("ask_again")
    assert [(w.number, w.quantity) for w in await desk.said(subjects.ORDER_REPLACE)] == [(1, 2), (1, 2)]
    assert len(await desk.said(subjects.ORDER_NEW)) == 1, "the venue has said that it has it"


async def test_two_changes_at_once_are_one_and_a_conflict(desk: Desk) -> None:
    order = await working(desk)
    outcomes = await asyncio.gather(
        *(desk.replace(order.order_id, quantity=n) for n in ("2", "1")), return_exceptions=True
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "Order"]
    assert len(await desk.said(subjects.ORDER_REPLACE)) == 1


async def test_a_cancel_goes_out_although_new_terms_are_on_their_way(desk: Desk) -> None:
    order = await working(desk)
    await desk.replace(order.order_id, quantity="2")
    await desk.cancel(order.order_id)
    with pytest.raises(Conflict, match="takes no new terms"):
        await desk.replace(order.order_id, quantity="1")
    await desk.report(order, "CANCELED", n=2)

    after = await desk.now(order)
    assert (after.status, after.replacing, desk.reserved()) == (OrderStatus.CANCELED, None, {})


async def test_a_cancel_decided_while_risk_is_asked_wins(desk: Desk) -> None:
    order = await working(desk)

    async def slow(check: RiskCheck) -> Verdict:
        await desk.cancel(order.order_id)
        return await desk.risk.judge(check)

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = slow
    with pytest.raises(Conflict, match="takes no new terms"):
        await desk.replace(order.order_id, quantity="2")
    assert await desk.said(subjects.ORDER_REPLACE) == []


async def test_a_fill_while_risk_is_asked_has_it_asked_again(desk: Desk) -> None:
    order = await working(desk)
    fills = iter([("e1", "1", "90")])

    async def slow(check: RiskCheck) -> Verdict:
        if fill := next(fills, None):
            await desk.report(order, "PARTIALLY_FILLED", fill, n=2)
        return await desk.risk.judge(check)

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = slow
    await desk.replace(order.order_id, quantity="2")

    assert [check.filled_quantity for check in desk.asked[1:]] == [0, 1]
    assert len(await desk.said(subjects.ORDER_REPLACE)) == 1


async def test_risk_must_agree_to_new_terms(desk: Desk) -> None:
    order = await working(desk)
    for quantity, code in (("9", "RISK_ORDER_QUANTITY"), ("5", "RISK_SOFT_LIMIT")):
        with pytest.raises(Refused, match=code):
            await desk.replace(order.order_id, quantity=quantity)

    assert (await desk.now(order)).version == 2
    assert desk.reserved() == {order.order_id: 3}


async def test_a_stop_that_waits_gets_new_terms_at_once_and_obeys_them(desk: Desk) -> None:
    stop = await desk.order(type="STOP_LIMIT", stop_price="110", price="111")
    after = await desk.replace(stop.order_id, stop_price="120", price="121", quantity="2")
    assert (after.stop_price, after.price, after.quantity, after.replacing) == (120, 121, 2, None)
    assert (desk.reserved(), await desk.said(subjects.ORDER_REPLACE)) == ({stop.order_id: 2}, [])

    await desk.market("111", "112")
    assert await desk.said(subjects.ORDER_NEW) == []
    await desk.market("119", "120")
    assert [route.quantity for route in await desk.said(subjects.ORDER_NEW)] == [2]


async def test_a_new_trail_is_followed_from_the_market_as_it_is(desk: Desk) -> None:
    await desk.market("100", "101")
    stop = await desk.order(side="SELL", type="TRAILING_STOP", trail="5")
    await desk.market("110", "111")
    after = await desk.replace(stop.order_id, trail="20")

    assert (after.trail, after.stop_price) == ("20", 90)
    await desk.market("91", "92")
    assert await desk.said(subjects.ORDER_NEW) == []


async def test_an_exit_that_waits_gets_new_terms_without_asking_risk(desk: Desk) -> None:
    _, profit, loss = (await desk.bracket()).body.orders
    asked = len(desk.asked)
    assert (await desk.replace(profit.order_id, price="125")).price == 125
    assert (await desk.replace(loss.order_id, stop_price="95")).stop_price == 95

    assert len(desk.asked) == asked
    with pytest.raises(Refused, match="sized by its group"):
        await desk.replace(profit.order_id, quantity="1")


@pytest.mark.parametrize(
    ("kind", "words", "field"),
    [
        (LIMIT, {"stop_price": "80"}, "stop_price"),
        (LIMIT, {"trail": "5"}, "trail"),
        (LIMIT, {"price": "90.001"}, "price"),
        ({"type": "STOP", "stop_price": "110"}, {"price": "100"}, "price"),
        ({"type": "TRAILING_STOP", "trail": "5"}, {"stop_price": "80"}, "stop_price"),
        ({"type": "TRAILING_STOP", "trail": "5"}, {"trail": "200%"}, "trail"),
    ],
)
async def test_terms_that_an_order_does_not_have_are_refused_by_name(
    desk: Desk, kind: dict[str, str], words: dict[str, str], field: str
) -> None:
    order = await desk.order(**kind)
    with pytest.raises(Refused) as refused:
        await desk.replace(order.order_id, **words)
    assert refused.value.field == field


async def test_a_quantity_that_is_filled_already_is_refused(desk: Desk) -> None:
    order = await working(desk)
    await desk.report(order, "PARTIALLY_FILLED", ("e1", "2", "90"), n=2)
    for quantity in ("1", "2"):
        with pytest.raises(Refused, match="2 is filled already"):
            await desk.replace(order.order_id, quantity=quantity)


async def test_a_triggered_stop_has_no_stop_price_to_replace(desk: Desk) -> None:
    stop = await desk.order(type="STOP", stop_price="110")
    await desk.market("111", "112")
    await desk.report(stop, "WORKING")

    with pytest.raises(Refused, match="triggered already"):
        await desk.replace(stop.order_id, stop_price="120")


async def test_an_unknown_order_is_not_found_and_one_that_is_over_takes_nothing(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.replace("default-none", quantity="1")
    order = await working(desk)
    await desk.report(order, "FILLED", ("e1", "3", "90"), n=2)
    with pytest.raises(Conflict, match="nothing is left to replace"):
        await desk.replace(order.order_id, quantity="4")
    with pytest.raises(ValidationError, match="at least one"):
        ReplaceRequest.model_validate({})


async def test_an_order_in_doubt_or_waiting_for_a_person_takes_no_new_terms(desk: Desk) -> None:
    lost = await desk.order("lost")
    waiting = await desk.order("waiting", quantity="5")
    desk.advance(6)
    await desk.each("ask_again")

    for order, why in ((lost, "PENDING_UNKNOWN"), (waiting, "holds for its very words")):
        with pytest.raises(Conflict, match=why):
            await desk.replace(order.order_id, quantity="2")


async def test_the_same_terms_again_change_nothing(desk: Desk) -> None:
    order = await working(desk)

    assert (await desk.replace(order.order_id, price="90")).version == 2
    assert len(desk.asked) == 1


async def test_terms_that_a_former_life_of_risk_approved_are_asked_for_again(desk: Desk) -> None:
    order = await working(desk)
    lives = iter([True, False])

    async def judged_by_a_former_life(check: RiskCheck) -> Verdict:
        verdict = await desk.risk.judge(check)
        if next(lives):
            desk.risk.begin_anew(check.account)
        return verdict

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = judged_by_a_former_life
    after = await desk.replace(order.order_id, quantity="2")

    assert (after.replacements, after.version, len(desk.asked)) == (1, 3, 3)
    assert [w.number for w in await desk.said(subjects.ORDER_REPLACE)] == [1]


async def test_without_a_steady_risk_nothing_is_replaced(desk: Desk) -> None:
    order = await working(desk)

    async def never_the_same(check: RiskCheck) -> Verdict:
        verdict = await desk.risk.judge(check)
        desk.risk.begin_anew(check.account)
        return verdict

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = never_the_same
    with pytest.raises(Unavailable):
        await desk.replace(order.order_id, quantity="2")

    assert (await desk.now(order)).version == 2
    assert desk.reserved() == {order.order_id: 3}
    assert desk.kit.valkey.store[keys.epoch("default")] == b"life-4"


async def test_what_was_built_upon_terms_that_were_not_committed_is_not_committed_either(desk: Desk) -> None:
    stop = await desk.order(type="STOP", stop_price="110")
    reached: list[asyncio.Task[None]] = []

    async def judged_by_a_former_life(check: RiskCheck) -> Verdict:
        verdict = await desk.risk.judge(check)
        desk.risk.begin_anew(check.account)
        reached.append(asyncio.create_task(desk.market("124", "125")))
        return verdict

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = judged_by_a_former_life
    with pytest.raises(Unavailable, match="risk began anew"):
        await desk.replace(stop.order_id, stop_price="120")
    with pytest.raises(Unavailable):
        await reached[0]
    await desk.kit.journal.recall()
    await desk.service.recovers()
    desk.kit.journal.mend()

    assert await desk.now(stop) == stop
    await desk.market("111", "112")
    assert await desk.told(subjects.ORDER_NEW) == [stop.order_id]
