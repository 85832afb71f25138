"""The desk over the twins: what is answered, committed and said, and what a crash leaves."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from shared.contract import subjects
from shared.contract.errors import Conflict, NotFound, Refused, Unavailable
from shared.contract.orders import OrderStatus
from shared.contract.risk import RiskCheck, Verdict
from shared.kit.fakes import fake_kit
from tests.services.oms.running import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk(fake_kit("oms"))


async def test_an_approved_order_is_committed_answered_and_routed(desk: Desk) -> None:
    order = (await desk.submit()).body

    assert order.status is OrderStatus.ACCEPTED
    assert await desk.get("/orders/{order_id}", order.order_id) == order
    assert [command.order_id for command in await desk.said(subjects.ORDER_NEW)] == [order.order_id]
    assert [check.reserve for check in desk.asked] == [True]


async def test_a_denied_order_is_kept_and_answered_with_its_rules(desk: Desk) -> None:
    with pytest.raises(Refused) as refused:
        await desk.submit(quantity="9")

    assert (refused.value.code, refused.value.status) == ("RISK_ORDER_QUANTITY", 422)
    assert refused.value.extra["rules"][0].limit == "5"
    order = await desk.get("/orders/{order_id}", refused.value.extra["order_id"])
    assert order.status is OrderStatus.DENIED
    assert await desk.said(subjects.ORDER_NEW) == []


async def test_the_same_order_twice_is_one_order_and_one_answer(desk: Desk) -> None:
    first = await desk.submit()
    await desk.report(first.body, "FILLED", fill=("e1", "3", "100"))

    again = await desk.submit()

    assert again.body == first.body
    assert again.headers == {"Idempotency-Replayed": "true"}
    assert len(desk.asked) == 1


async def test_the_same_order_many_times_at_once_is_one_order(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.submit() for _ in range(20)))

    assert len({answer.body.order_id for answer in answers}) == 1
    assert len(desk.asked) == 1
    assert len(await desk.said(subjects.ORDER_NEW)) == 1


async def test_a_known_id_with_another_body_is_a_conflict(desk: Desk) -> None:
    await desk.submit()

    with pytest.raises(Conflict, match="quantity differ"):
        await desk.submit(quantity="2")


async def test_a_denied_order_asked_for_again_is_denied_again_without_asking_risk(desk: Desk) -> None:
    for _ in range(2):
        with pytest.raises(Refused, match="RISK_ORDER_QUANTITY"):
            await desk.submit(quantity="9")

    assert len(desk.asked) == 1


async def test_orders_without_an_id_are_different_orders(desk: Desk) -> None:
    one, two = await desk.submit(None), await desk.submit(None)

    assert one.body.order_id != two.body.order_id


async def test_an_unknown_symbol_is_refused_before_risk_is_asked(desk: Desk) -> None:
    with pytest.raises(Refused, match="symbol NOPE is not listed"):
        await desk.submit(symbol="NOPE")
    assert desk.asked == []


async def test_an_order_for_a_venue_that_nobody_knows_is_refused_before_risk_is_asked(desk: Desk) -> None:
    leg = {"order_type": "LIMIT", "price": "110", "venue": "nasdaq"}
    for sent in (desk.submit(venue="nasdaq"), desk.bracket(entry={"venue": "nasdaq"}), desk.pair(leg, leg)):
        with pytest.raises(Refused, match="there is no venue nasdaq; known: paper, binance") as refused:
            await sent
        assert (refused.value.code, refused.value.field) == ("UNKNOWN_VENUE", "venue")
    assert desk.asked == []


async def test_without_risk_there_is_no_order(desk: Desk) -> None:
    del desk.kit.bus.answers[subjects.RISK_CHECK.pattern]

    with pytest.raises(Unavailable):
        await desk.submit()
    assert (await desk.get("/orders"))["orders"] == []


async def test_an_approval_that_lapsed_is_not_used(desk: Desk) -> None:
    async def slow(check: RiskCheck) -> Verdict:
        verdict = await desk.risk.judge(check)
        desk.advance(6)
        return verdict

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = slow

    with pytest.raises(Unavailable, match="lapsed"):
        await desk.submit()


async def test_a_fill_moves_the_order_the_position_and_the_cash_together(desk: Desk) -> None:
    order = (await desk.submit()).body
    await desk.report(order, "PARTIALLY_FILLED", ("e1", "1", "100"), 1)
    await desk.report(order, "FILLED", ("e2", "2", "101"), 2)

    account = await desk.get("/accounts/{account}", "default")
    assert Decimal(account["cash"]) == Decimal(1_000_000) - 100 - 202 - 1
    position = (await desk.get("/positions/{account}", "default"))["BTCUSDT"]
    assert (position.quantity, position.fees) == (3, 1)
    fills = (await desk.get("/orders/{order_id}/fills", order.order_id))["fills"]
    assert [fill.fill_id for fill in fills] == ["paper:e1", "paper:e2"]
    assert [fill.fill_id for fill in await desk.said(subjects.FILL)] == ["paper:e1", "paper:e2"]
    last = (await desk.said(subjects.ORDER_EVENT))[-1]
    assert (last.order.status, last.position.quantity, last.balance.cash) == ("FILLED", 3, Decimal(account["cash"]))


async def test_a_fill_heard_twice_even_after_a_restart_counts_once(desk: Desk) -> None:
    order = (await desk.submit()).body
    for _ in range(2):
        await desk.report(order, "FILLED", fill=("e1", "3", "100"))
    after = await desk.restarted()
    await after.report(order, "FILLED", fill=("e1", "3", "100"))

    assert (await after.get("/positions/{account}", "default"))["BTCUSDT"].quantity == 3
    assert len(await after.said(subjects.FILL)) == 1


async def test_after_a_crash_every_acknowledged_order_is_there_and_goes_on(desk: Desk) -> None:
    desk.kit.bus.said.clear()
    orders = [(await desk.submit(f"c{n}")).body for n in range(5)]
    after = await desk.restarted()

    assert (await after.get("/orders"))["orders"] == orders[::-1]
    assert {c.order_id for c in await after.said(subjects.ORDER_NEW)} == {order.order_id for order in orders}
    await after.report(orders[0], "FILLED", fill=("e1", "3", "100"))
    assert (await after.get("/orders/{order_id}", orders[0].order_id)).status is OrderStatus.FILLED
    again = await after.submit("c1")
    assert again.headers == {"Idempotency-Replayed": "true"}


async def test_an_order_whose_commit_failed_is_not_acknowledged_and_not_remembered(desk: Desk) -> None:
    desk.kit.valkey.away = False
    await desk.submit("c1")
    judged = desk.kit.bus.answers[subjects.RISK_CHECK.pattern]

    async def then_lose_the_store(check: RiskCheck) -> Verdict:
        desk.kit.valkey.away = True
        return await judged(check)

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = then_lose_the_store
    with pytest.raises(Unavailable):
        await desk.submit("c2")
    desk.kit.valkey.away = False
    await desk.service.recovers()

    assert [order.client_order_id for order in (await desk.get("/orders"))["orders"]] == ["c1"]


async def test_a_cancel_is_committed_said_once_and_ended_by_the_venue(desk: Desk) -> None:
    order = (await desk.submit()).body
    await desk.cancel(order.order_id)
    leaving = await desk.cancel(order.order_id)
    assert leaving.status is OrderStatus.PENDING_CANCEL
    assert len(await desk.said(subjects.ORDER_CANCEL)) == 1

    await desk.report(order, "CANCELED")
    with pytest.raises(Conflict, match="CANCELED"):
        await desk.cancel(order.order_id)


async def test_cancelling_an_unknown_order_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.cancel("default-none")


async def test_a_silent_venue_is_told_again_and_the_order_says_unknown(desk: Desk) -> None:
    order = (await desk.submit()).body
    await desk.said(subjects.ORDER_NEW)
    desk.advance(6)
    await desk.each("ask_again")

    assert len(await desk.said(subjects.ORDER_NEW)) == 2
    assert (await desk.get("/orders/{order_id}", order.order_id)).status is OrderStatus.PENDING_UNKNOWN
    await desk.report(order, "WORKING")
    assert (await desk.get("/orders/{order_id}", order.order_id)).status is OrderStatus.WORKING


async def test_a_day_order_expires_when_its_day_is_over_and_others_do_not(desk: Desk) -> None:
    day = (await desk.submit("day", time_in_force="DAY")).body
    stays = (await desk.submit("gtc", time_in_force="GTC")).body
    await desk.each("expire")
    assert await desk.said(subjects.ORDER_CANCEL) == [], "not yet"

    desk.advance(86_400)
    await desk.each("expire")
    await desk.each("expire")
    assert [cancel.order_id for cancel in await desk.said(subjects.ORDER_CANCEL)] == [day.order_id]
    await desk.report(day, "CANCELED")

    gone = await desk.get("/orders/{order_id}", day.order_id)
    assert (gone.status, gone.reason) == (OrderStatus.EXPIRED, "its day is over")
    assert (await desk.get("/orders/{order_id}", stays.order_id)).status is OrderStatus.ACCEPTED


async def test_orders_are_listed_newest_first_page_by_page(desk: Desk) -> None:
    ids = [(await desk.submit(f"c{n}", account="a")).body.order_id for n in range(5)]
    await desk.submit("other", account="b")

    page = await desk.get("/orders", account="a", limit=2)
    rest = await desk.get("/orders", account="a", limit=10, cursor=page["next_cursor"])

    assert [order.order_id for order in page["orders"] + rest["orders"]] == ids[::-1]
    assert rest["next_cursor"] is None
    assert len((await desk.get("/orders"))["orders"]) == 6
    with pytest.raises(Refused, match="cursor"):
        await desk.get("/orders", cursor="x")


async def test_orders_are_found_by_status_symbol_and_whether_they_stand(desk: Desk) -> None:
    done = (await desk.submit("c1")).body
    await desk.submit("c2")
    await desk.report(done, "FILLED", fill=("e1", "3", "100"))

    assert [o.client_order_id for o in (await desk.get("/orders", active_only=True))["orders"]] == ["c2"]
    assert [o.client_order_id for o in (await desk.get("/orders", status=OrderStatus.FILLED))["orders"]] == ["c1"]
    assert (await desk.get("/orders", symbol="ETHUSDT"))["orders"] == []


async def test_an_account_that_never_traded_has_nothing(desk: Desk) -> None:
    assert await desk.get("/positions/{account}", "nobody") == {}
    with pytest.raises(NotFound):
        await desk.get("/accounts/{account}", "nobody")
