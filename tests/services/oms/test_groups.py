"""Brackets and OCO pairs: what becomes of the others when one fills, ends, or is crossed by a crash."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest
from pydantic import ValidationError

from shared.contract import subjects
from shared.contract.errors import Conflict, Refused, Unavailable
from shared.contract.orders import Order, OrderStatus
from shared.kit.fakes import fake_kit
from tests.services.oms.running import Desk, orders_of

PROFIT = {"type": "LIMIT", "price": "120"}
LOSS = {"type": "STOP", "stop_price": "90"}


@pytest.fixture
def desk() -> Desk:
    return Desk(fake_kit("oms"))


async def entered(desk: Desk, quantity: str = "4") -> tuple[Order, Order, Order]:
    """A bracket whose entry has filled so much, with its exits live and the first of them at work."""
    entry, profit, loss = orders_of(await desk.bracket())
    await desk.report(entry, "FILLED" if quantity == "4" else "PARTIALLY_FILLED", ("e1", quantity, "100"))
    await desk.each("tend")
    await desk.report(profit, "WORKING")
    return entry, profit, loss


# Brackets.


async def test_the_exits_of_a_bracket_wait_for_its_entry(desk: Desk) -> None:
    entry, profit, loss = orders_of(await desk.bracket())

    assert [order.status for order in (entry, profit, loss)] == ["ACCEPTED", "NEW", "NEW"]
    assert (profit.side, profit.reduce_only, loss.stop_price) == ("SELL", True, 90)
    await desk.market("50", "51")
    assert await desk.told(subjects.ORDER_NEW) == [entry.order_id]
    assert desk.reserved() == {entry.order_id: 4}


async def test_an_entry_that_is_a_stop_goes_out_when_it_is_reached(desk: Desk) -> None:
    entry, _, _ = orders_of(await desk.bracket(entry={"type": "STOP", "stop_price": "105"}))
    await desk.market("104", "105")
    assert (await desk.now(entry)).status == "ROUTED"
    assert await desk.told(subjects.ORDER_NEW) == [entry.order_id]


async def test_the_exits_go_live_with_what_the_entry_has_filled_and_grow_with_it(desk: Desk) -> None:
    entry, profit, loss = await entered(desk, "1")
    assert desk.reserved() == {entry.order_id: 3, profit.order_id: 1, loss.order_id: 1}
    assert await desk.told(subjects.ORDER_NEW) == [entry.order_id, profit.order_id]
    assert [check.reduce_only for check in desk.asked] == [False, True, True]

    await desk.report(entry, "FILLED", ("e2", "3", "101"))
    await desk.each("tend")
    assert [(word.order_id, word.quantity) for word in await desk.said(subjects.ORDER_REPLACE)] == [
        (profit.order_id, 4)
    ]
    assert (await desk.now(loss)).quantity == 4
    await desk.report(profit, "WORKING", n=2, replaced=1, quantity="4", price="120")
    assert ((await desk.now(profit)).quantity, desk.reserved()) == (4, {profit.order_id: 4, loss.order_id: 4})


async def test_what_one_exit_fills_is_taken_off_the_other_in_the_same_commit(desk: Desk) -> None:
    _, profit, loss = await entered(desk)
    writes = desk.kit.valkey.writes
    await desk.report(profit, "PARTIALLY_FILLED", ("x1", "1", "120"))

    assert desk.kit.valkey.writes == writes + 1
    assert ((await desk.now(loss)).quantity, desk.reserved()[loss.order_id]) == (3, 3)
    desk = await desk.restarted()
    await desk.report(profit, "PARTIALLY_FILLED", ("x2", "1", "120"))
    assert (await desk.now(loss)).quantity == 2


async def test_a_leg_that_is_filled_cancels_its_sibling_once(desk: Desk) -> None:
    one, other = orders_of(await desk.pair(PROFIT, {"type": "LIMIT", "price": "130"}))
    await desk.report(other, "WORKING")
    for _ in range(2):
        await desk.report(one, "FILLED", ("x1", "4", "120"))
    assert (await desk.status(other), await desk.told(subjects.ORDER_CANCEL)) == ("PENDING_CANCEL", [other.order_id])
    desk = await desk.restarted()
    await desk.report(other, "CANCELED")

    gone = await desk.now(other)
    assert (gone.status, gone.reason) == (OrderStatus.CANCELED, "its sibling was filled")
    assert len(await desk.told(subjects.ORDER_CANCEL)) == 1
    assert (await desk.position(), desk.reserved()) == (-4, {})


async def test_a_sibling_that_waits_here_is_over_with_the_very_fill(desk: Desk) -> None:
    _, profit, loss = await entered(desk)
    await desk.report(profit, "FILLED", ("x1", "4", "120"))

    assert (await desk.status(loss), await desk.told(subjects.ORDER_CANCEL)) == ("CANCELED", [])
    await desk.market("80", "81")
    assert loss.order_id not in await desk.told(subjects.ORDER_NEW)


async def test_the_exits_of_an_entry_that_ends_unfilled_are_cancelled(desk: Desk) -> None:
    entry, profit, loss = orders_of(await desk.bracket())
    await desk.cancel(entry.order_id)
    assert await desk.status(profit) == "NEW", "the entry may fill yet"
    await desk.report(entry, "CANCELED")

    assert [await desk.status(exit) for exit in (profit, loss)] == ["CANCELED", "CANCELED"]
    assert (await desk.now(loss)).reason == "its entry ended unfilled"


async def test_an_entry_that_is_cancelled_in_part_keeps_the_exits_of_what_it_filled(desk: Desk) -> None:
    entry, profit, loss = await entered(desk, "1")
    await desk.report(entry, "CANCELED", n=2)

    assert [(await desk.now(exit)).quantity for exit in (profit, loss)] == [1, 1]
    await desk.report(profit, "FILLED", ("x1", "1", "120"))
    assert await desk.status(loss) == "CANCELED"


async def test_an_exit_filled_while_the_entry_still_fills_ends_the_entry_and_the_stop_waits_for_its_end(
    desk: Desk,
) -> None:
    entry, profit, loss = await entered(desk, "1")
    await desk.report(profit, "FILLED", ("x1", "1", "120"))
    assert [await desk.status(order) for order in (entry, loss)] == ["PENDING_CANCEL", "ACCEPTED"]
    await desk.report(entry, "PENDING_CANCEL", ("e2", "2", "100"), n=2)
    await desk.report(entry, "CANCELED", n=3)
    await desk.each("tend")

    after = await desk.now(loss)
    assert (after.status, after.quantity) == (OrderStatus.ACCEPTED, 2), "it closes what crossed the cancel"


async def test_a_bracket_goes_on_from_any_commit_after_a_crash(desk: Desk) -> None:
    entry, profit, loss = orders_of(await desk.bracket(stop_loss={"trail": "10"}))
    desk = await desk.restarted()
    await desk.report(entry, "FILLED", ("e1", "4", "100"))
    desk = await desk.restarted()
    await desk.each("tend")
    desk = await desk.restarted()
    await desk.each("tend")
    await desk.market("100", "101")
    await desk.each("follow_market")
    desk = await desk.restarted()
    await desk.report(profit, "WORKING")
    await desk.report(profit, "PARTIALLY_FILLED", ("x1", "1", "120"), n=2)
    desk = await desk.restarted()
    await desk.market("90", "91")
    desk = await desk.restarted()
    await desk.report(profit, "CANCELED", n=3)
    desk = await desk.restarted()
    await desk.report(loss, "FILLED", ("x2", "3", "90"))

    assert await desk.told(subjects.ORDER_NEW) == [entry.order_id, profit.order_id, loss.order_id]
    assert await desk.told(subjects.ORDER_CANCEL) == [profit.order_id]
    assert [await desk.status(order) for order in (entry, profit, loss)] == ["FILLED", "CANCELED", "FILLED"]
    assert (await desk.position(), desk.reserved()) == (0, {})
    assert (await desk.get("/orders", active_only=True))["orders"] == []


async def test_exits_that_risk_refuses_wait_say_why_and_go_live_when_it_does_not(desk: Desk) -> None:
    entry, profit, loss = orders_of(await desk.bracket())
    await desk.report(entry, "FILLED", ("e1", "4", "100"))
    desk.risk.refusing = "RISK_REDUCE_ONLY"
    await desk.each("tend")
    assert (await desk.now(profit)).version == 1, "risk may only not have heard of the fill yet"
    desk.advance(2)
    for _ in range(2):
        await desk.each("tend")
    waiting = await desk.now(profit)
    assert (waiting.status, waiting.reason[:16], waiting.version) == (OrderStatus.NEW, "RISK_REDUCE_ONLY", 2)

    desk.risk.refusing = ""
    await desk.each("tend")
    assert [await desk.status(exit) for exit in (profit, loss)] == ["ACCEPTED", "ACCEPTED"]
    assert (await desk.now(profit)).reason == ""


async def test_exits_wait_while_risk_is_away(desk: Desk) -> None:
    entry, profit, _ = orders_of(await desk.bracket())
    await desk.report(entry, "FILLED", ("e1", "4", "100"))
    answers = desk.kit.bus.answers
    judge = answers.pop(subjects.RISK_CHECK.pattern)
    with pytest.raises(Unavailable):
        await desk.each("tend")
    answers[subjects.RISK_CHECK.pattern] = judge
    await desk.each("tend")

    assert await desk.status(profit) == "ACCEPTED"


@pytest.mark.parametrize("trouble", [Conflict("ORDER_ID_REUSED", "set aside as 1"), Unavailable("no rate")])
async def test_an_exit_that_cannot_be_asked_about_keeps_no_other_waiting_and_is_asked_again(
    desk: Desk, trouble: Exception
) -> None:
    judge, wrong = desk.risk.judge, set[str | None]()

    async def in_trouble(check):
        if check.order_id in wrong:
            raise trouble
        return await judge(check)

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = in_trouble
    brackets = [orders_of(await desk.bracket(entry={"client_order_id": name})) for name in ("b1", "b2", "b3")]
    for entry, *_ in brackets:
        await desk.report(entry, "FILLED", ("e" + entry.order_id, "4", "100"))
    wrong.add(brackets[0][1].order_id)
    with pytest.raises(Unavailable) if isinstance(trouble, Unavailable) else nullcontext():
        await desk.each("tend")
    exits = [exit for _, *exits in brackets for exit in exits]
    assert [await desk.status(exit) for exit in exits] == ["NEW"] + ["ACCEPTED"] * 5
    wrong.clear()
    await desk.each("tend")

    assert await desk.status(exits[0]) == "ACCEPTED"


async def test_an_exit_that_risk_takes_for_another_order_says_so_after_a_while(desk: Desk) -> None:
    entry, profit, _ = orders_of(await desk.bracket())
    await desk.report(entry, "FILLED", ("e1", "4", "100"))

    async def conflict(check):
        raise Conflict("ORDER_ID_REUSED", "it is set aside as SELL 1")

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = conflict
    desk.advance(2)
    for _ in range(2):
        await desk.each("tend")

    waiting = await desk.now(profit)
    assert (waiting.status, waiting.version) == (OrderStatus.NEW, 2)
    assert waiting.reason == "ORDER_ID_REUSED: it is set aside as SELL 1"


async def test_the_orders_counted_as_open_are_those_that_are_open(desk: Desk) -> None:
    entry, *_ = orders_of(await desk.bracket())
    await desk.report(entry, "FILLED", ("e1", "4", "100"))

    assert desk.service.stats()["orders_open"] == 2


async def test_groups_are_tended_in_the_order_in_which_they_came(desk: Desk) -> None:
    brackets = [orders_of(await desk.bracket(entry={"client_order_id": f"b{n}"})) for n in range(8)]
    for entry, *_ in brackets:
        await desk.report(entry, "FILLED", ("e" + entry.order_id, "4", "100"))
    del desk.asked[:]
    await desk.each("tend")

    assert [check.order_id for check in desk.asked] == [exit.order_id for _, *exits in brackets for exit in exits]


async def test_a_bracket_asked_for_twice_is_one(desk: Desk) -> None:
    first = await desk.bracket()
    entry = orders_of(first)[0]
    again = await desk.bracket()
    await desk.report(entry, "FILLED", ("e1", "4", "100"))
    desk = await desk.restarted()
    later = await desk.bracket()

    assert again.body == later.body == first.body
    assert later.headers == {"Idempotency-Replayed": "true"}
    assert await desk.told(subjects.ORDER_NEW) == [entry.order_id]


async def test_an_id_is_used_by_one_order_or_one_bracket(desk: Desk) -> None:
    await desk.bracket()
    for words in ({"take_profit": {"price": "130"}}, {"stop_loss": None}, {"entry": {"quantity": "2"}}):
        with pytest.raises(Conflict):
            await desk.bracket(**words)
    with pytest.raises(Conflict, match="group"):
        await desk.submit("b1", quantity="4")
    await desk.submit("c1")
    with pytest.raises(Conflict):
        await desk.bracket(entry={"client_order_id": "c1"})


async def test_a_denied_bracket_is_denied_whole(desk: Desk) -> None:
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await desk.bracket(entry={"quantity": "9"})
        assert refused.value.code == "RISK_ORDER_QUANTITY"

    orders = (await desk.get("/orders"))["orders"]
    assert [order.status for order in orders] == ["DENIED"] * 3
    assert (len(desk.asked), desk.reserved()) == (1, {})


async def test_a_bracket_over_a_soft_limit_waits_as_a_whole(desk: Desk) -> None:
    entry, profit, loss = orders_of(await desk.bracket(entry={"quantity": "5"}))
    assert entry.status is OrderStatus.PENDING_RISK
    await desk.cancel(entry.order_id)

    assert [await desk.status(order) for order in (entry, profit, loss)] == ["CANCELED"] * 3


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ({"take_profit": {"price": "80"}}, "take_profit: take_profit.price must be above"),
        ({"entry": {"type": "LIMIT", "price": "85"}}, "entry: entry.price must be above stop_loss.stop_price"),
        ({"take_profit": None, "stop_loss": None}, "give at least one of"),
        ({"stop_loss": {"stop_price": "90", "trail": "5"}}, "either stop_price or trail"),
        ({"entry": {"reduce_only": True}}, "cannot be reduce_only"),
    ],
)
async def test_a_bracket_that_makes_no_sense_is_refused(desk: Desk, words: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        await desk.bracket(**words)


async def test_an_exit_between_two_ticks_is_refused_before_anything_is_committed(desk: Desk) -> None:
    with pytest.raises(Refused, match="multiple of BTCUSDT's tick"):
        await desk.bracket(take_profit={"price": "120.001"})
    assert desk.asked == []


# Pairs.


async def test_both_legs_of_a_pair_are_live_and_judged_as_one_group(desk: Desk) -> None:
    one, other = orders_of(await desk.pair(PROFIT, LOSS))

    assert [order.status for order in (one, other)] == ["ACCEPTED", "ACCEPTED"]
    assert await desk.told(subjects.ORDER_NEW) == [one.order_id]
    assert {check.group for check in desk.asked} == {one.order_id}


async def test_what_one_leg_fills_is_taken_off_the_other_however_the_words_cross(desk: Desk) -> None:
    one, other = orders_of(await desk.pair(PROFIT, {"type": "LIMIT", "price": "130"}))
    for leg in (one, other):
        await desk.report(leg, "WORKING")
    await desk.report(one, "PARTIALLY_FILLED", ("x1", "1", "120"), n=2)
    await desk.report(other, "PARTIALLY_FILLED", ("x2", "1", "130"), n=2)
    assert [(word.order_id, word.number, word.quantity) for word in await desk.said(subjects.ORDER_REPLACE)] == [
        (other.order_id, 1, 3),
        (one.order_id, 1, 3),
    ]
    await desk.report(other, "PARTIALLY_FILLED", n=3, replaced=1, quantity="3", price="130")
    desk = await desk.restarted()
    await desk.report(one, "PARTIALLY_FILLED", ("x3", "1", "120"), n=3, replaced=1, quantity="3", price="120")

    assert [(await desk.now(leg)).leaves for leg in (one, other)] == [1, 2]
    assert [(word.number, word.quantity) for word in await desk.said(subjects.ORDER_REPLACE)][2:] == [(2, 2)]
    await desk.report(one, "FILLED", ("x4", "1", "120"), n=4, replaced=1)
    assert await desk.status(other) == "PENDING_CANCEL"


async def test_a_filled_leg_ends_the_other_and_a_cancelled_one_does_not(desk: Desk) -> None:
    one, other = orders_of(await desk.pair(PROFIT, LOSS))
    third, fourth = orders_of(await desk.pair(PROFIT, LOSS, "p2"))
    await desk.report(one, "FILLED", ("x1", "4", "120"))
    await desk.cancel(third.order_id)
    await desk.report(third, "CANCELED")

    assert [await desk.status(order) for order in (other, fourth)] == ["CANCELED", "ACCEPTED"]


async def test_a_pair_of_which_one_leg_is_denied_is_denied_whole(desk: Desk) -> None:
    judge, legs = desk.risk.judge, iter(["", "RISK_PRICE_COLLAR"])

    async def second_is_wrong(check):
        desk.risk.refusing = next(legs)
        return await judge(check)

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = second_is_wrong
    with pytest.raises(Refused, match="RISK_PRICE_COLLAR"):
        await desk.pair(PROFIT, LOSS)

    assert [order.status for order in (await desk.get("/orders"))["orders"]] == ["DENIED", "DENIED"]
    assert (await desk.told(subjects.ORDER_NEW), desk.reserved()) == ([], {})


async def test_a_pair_asked_for_many_times_at_once_is_one(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.pair(PROFIT, LOSS) for _ in range(10)))

    assert len({answer.body.group for answer in answers}) == 1
    assert (len(desk.asked), len(await desk.told(subjects.ORDER_NEW))) == (2, 1)


@pytest.mark.parametrize(
    ("other", "wrong"),
    [
        ({**LOSS, "quantity": "2"}, "quantity must be the same"),
        ({"type": "MARKET"}, "must be able to wait"),
        ({**LOSS, "client_order_id": "x"}, "leave out the second's"),
    ],
)
async def test_a_pair_that_makes_no_sense_is_refused(desk: Desk, other: dict[str, str], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        await desk.pair(PROFIT, other)


async def test_a_late_fill_of_a_pair_that_is_over_is_entered_and_moves_nothing_else(desk: Desk) -> None:
    one, other = orders_of(await desk.pair(PROFIT, {"type": "LIMIT", "price": "130"}))
    await desk.report(one, "FILLED", ("x1", "4", "120"))
    await desk.report(other, "CANCELED")
    await desk.report(other, "CANCELED", ("x2", "1", "130"), n=2)
    await desk.report(other, "CANCELED", ("x2", "1", "130"), n=2)

    assert (await desk.position(), await desk.status(other)) == (-5, "CANCELED")
    assert desk.service.stats()["orders_open"] == 0
