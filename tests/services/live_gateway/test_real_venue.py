"""Orders at a real venue: sent once, asked for ever after, and never guessed about."""

from __future__ import annotations

import asyncio
from dataclasses import replace as changed
from typing import Any

import pytest

from shared.contract import keys, subjects
from shared.contract.dealing import Rejected, Throttled, Unsure, client_id
from shared.contract.errors import Unavailable
from shared.contract.orders import CancelOrder, OrderStatus, ReplaceOrder
from shared.contract.venue import StatementRequest, VenueOrder
from shared.kit.fakes import FakeClock, fake_kit, question
from tests.services.live_gateway.conftest import INSTRUMENTS, NOW_NS, D, quote, route
from tests.services.live_gateway.room import ENABLED, Room

ORDER = "default-0123456789abcdef0123"
SECOND = f"{ORDER[:-1]}b"
CANCEL = CancelOrder(account="default", order_id=ORDER, venue="binance")
LATER_S = 7
"""Longer than two absences must lie apart."""


def wanted(**words: Any) -> Any:
    given = {"order_id": ORDER, "side": "BUY", "quantity": "5", "price": "100", "venue": "binance"}
    return route(**(given | words))


def terms(number: int = 1, price: str = "99", quantity: str = "5") -> ReplaceOrder:
    return ReplaceOrder(
        account="default", order_id=ORDER, venue="binance", number=number, price=D(price), quantity=D(quantity)
    )


@pytest.fixture
async def room() -> Room:
    kit = fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await (await Room(kit, **ENABLED).begin()).live()
    await room.hear(subjects.QUOTE, quote())
    return room


async def sent(room: Room, **words: Any) -> Room:
    await room.hear(subjects.ORDER_NEW, wanted(**words))
    await room.settled()
    return room


async def test_an_order_is_written_down_before_it_leaves(room: Room) -> None:
    room.kit.valkey.away = True
    with pytest.raises(Unavailable):
        await sent(room)

    assert room.venue.asked == []


async def test_an_order_works_fills_and_is_over_each_told_once(room: Room) -> None:
    await sent(room)
    room.venue.fill("2")
    room.venue.fill("3")

    assert await room.statuses() == ["WORKING", "PARTIALLY_FILLED", "FILLED"]
    last = room.reports()[-1]
    assert (last.cumulative_quantity, last.venue_order_id, last.sent_ns) == (5, "V1", NOW_NS)
    assert [report.fill.execution_id for report in room.reports() if report.fill] == ["X1", "X2"]


async def test_the_same_order_again_is_asked_for_and_never_sent_again(room: Room) -> None:
    await sent(room)
    await sent(room)
    room = await room.killed()
    await sent(room)

    assert room.venue.count("submit") == 1
    assert set(await room.statuses()) == {"WORKING"}


async def test_a_refusal_is_final(room: Room) -> None:
    room.venue.plan["submit"] = [Rejected("insufficient balance")]
    await sent(room)

    assert await room.statuses() == ["REJECTED"]
    assert room.reports()[0].reason == "insufficient balance"


@pytest.mark.parametrize(
    ("words", "reason"),
    [({"symbol": "DOGE"}, "unknown symbol DOGE"), ({"price": "100.001"}, "price 100.001 is not a multiple of 0.01")],
)
async def test_what_cannot_be_worked_is_rejected_here(room: Room, words: dict[str, str], reason: str) -> None:
    await sent(room, **words)

    assert await room.statuses() == ["REJECTED"]
    assert (room.reports()[0].reason, room.venue.asked) == (reason, [])


async def test_accepted_but_no_reply_is_unknown_until_the_venue_is_asked(room: Room) -> None:
    room.venue.silent = True
    room.venue.plan["submit"] = [(Unsure("timeout"), True)]
    await sent(room)
    assert await room.statuses() == ["PENDING_UNKNOWN"]

    await room.after(1)

    assert await room.statuses() == ["PENDING_UNKNOWN", "WORKING"]
    assert room.venue.count("submit") == 1


async def test_an_unknown_order_is_known_by_the_venues_own_word(room: Room) -> None:
    room.venue.plan["submit"] = [(Unsure("timeout"), True)]
    await sent(room)

    assert (await room.statuses())[-1] == "WORKING"


async def test_fills_of_an_unknown_order_are_found_with_it(room: Room) -> None:
    room.venue.silent = True
    room.venue.plan["submit"] = [(Unsure("timeout"), True)]
    await sent(room)
    room.venue.fill("2", told=False)
    room.venue.fill("3", told=False)
    await room.after(1)

    assert await room.statuses() == ["PENDING_UNKNOWN", "PARTIALLY_FILLED", "FILLED"]


async def test_one_absence_proves_nothing_two_some_time_apart_do(room: Room) -> None:
    room.venue.plan["submit"] = [Unsure("timeout")]
    await sent(room)
    await room.after(1)
    await room.after(1)
    assert await room.statuses() == ["PENDING_UNKNOWN"]

    await room.after(LATER_S)

    assert await room.statuses() == ["PENDING_UNKNOWN", "REJECTED"]
    assert room.reports()[-1].reason == "never reached the venue"
    assert room.venue.count("submit") == 1


async def test_an_order_that_arrives_between_two_questions_is_not_given_up(room: Room) -> None:
    room.venue.plan["submit"] = [Unsure("timeout")]
    await sent(room)
    await room.after(1)
    leg = room.gateway._desk.leg(ORDER)
    assert leg is not None
    await room.venue.submit(leg)
    await room.after(LATER_S)

    assert await room.statuses() == ["PENDING_UNKNOWN", "WORKING"]


async def test_an_answer_that_the_venue_cannot_give_proves_nothing(room: Room) -> None:
    room.venue.plan = {"submit": [Unsure("timeout")], "find": [Unsure("502")] * 20}
    await sent(room)
    for _ in range(12):
        await room.after(LATER_S)

    assert await room.statuses() == ["PENDING_UNKNOWN"]
    assert room.venue.count("find") <= 13


async def test_doubt_does_not_outlast_an_outage_by_more_than_two_questions(room: Room) -> None:
    room.venue.plan = {"submit": [Unsure("timeout")], "find": [Unsure("502")] * 40}
    await sent(room)
    for _ in range(20):
        await room.after(LATER_S)
    room.venue.plan = {}

    await room.after(5)
    await room.after(LATER_S)

    assert await room.statuses() == ["PENDING_UNKNOWN", "REJECTED"]


async def test_a_cancel_said_again_has_the_venue_asked_about_an_order_in_doubt(room: Room) -> None:
    room.venue.plan = {"submit": [Unsure("timeout")], "cancel": [Unsure("502")], "find": [Unsure("502")] * 40}
    await sent(room)
    await room.hear(subjects.ORDER_CANCEL, CANCEL)
    for _ in range(20):
        await room.after(LATER_S)
    asked = room.venue.count("find")

    await room.hear(subjects.ORDER_CANCEL, CANCEL)
    await room.settled()

    assert room.venue.count("find") == asked + 1


async def test_a_cancel_that_finds_its_order_on_disk_before_it_stands_here_waits_for_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, coming = room.kit.valkey.get, list[asyncio.Task[None]]()

    async def get_while_it_comes(key: str, kind: Any) -> Any:
        if not coming:
            coming.append(asyncio.create_task(room.hear(subjects.ORDER_NEW, wanted())))
            while keys.venue_order("default", ORDER) not in room.kit.valkey.store:
                await asyncio.sleep(0)
        return await get(key, kind)

    monkeypatch.setattr(room.kit.valkey, "get", get_while_it_comes)
    await room.hear(subjects.ORDER_CANCEL, CANCEL)
    await coming[0]
    await room.settled()

    assert room.venue.count("submit") == 1
    assert (await room.statuses())[-1] == "CANCELED"


async def test_an_order_that_is_over_and_comes_again_is_not_begun_anew_by_its_own_cancel(room: Room) -> None:
    await sent(room)
    room.venue.fill("5")
    await room.settled()
    before = room.kit.valkey.store[keys.venue_order("default", ORDER)]
    room = await room.killed()

    await asyncio.gather(room.hear(subjects.ORDER_NEW, wanted()), room.hear(subjects.ORDER_CANCEL, CANCEL))
    await room.settled()

    assert room.kit.valkey.store[keys.venue_order("default", ORDER)] == before
    assert room.venue.let_in == [client_id(ORDER, 0)]


async def test_a_crash_while_sending_leaves_it_unknown_and_it_is_asked_for(room: Room) -> None:
    decision = room.gateway._desk.accept(wanted(), "", NOW_NS, NOW_NS, NOW_NS)
    assert decision.state is not None
    await room.gateway._store.keep_deal(decision.state, [], new=True)
    room = await room.killed()
    await room.after(0)
    assert await room.statuses() == ["PENDING_UNKNOWN"]

    await room.after(LATER_S)
    assert (await room.statuses())[-1] == "REJECTED"
    assert room.venue.count("submit") == 0


async def test_what_was_missed_while_the_gateway_was_down_is_found(room: Room) -> None:
    await sent(room)
    await room.gateway.errands.close()
    room.venue.fill("2", told=False)
    room = await room.killed()
    await room.after(0)

    assert await room.statuses() == ["WORKING", "PARTIALLY_FILLED"]


async def test_a_venue_that_lets_nothing_in_is_tried_again_for_a_moment(room: Room) -> None:
    room.venue.plan["submit"] = [Throttled("429", 0.5), Throttled("429", 0.2)]
    await sent(room)
    await room.after(0.5)
    await room.after(0.2)

    assert await room.statuses() == ["WORKING"]
    assert room.venue.count("submit") == 3


async def test_a_venue_that_lets_nothing_in_for_longer_has_the_order_rejected(room: Room) -> None:
    room.venue.plan["submit"] = [Throttled("429", 60)]
    await sent(room)

    assert await room.statuses() == ["REJECTED"]
    assert room.reports()[0].reason == "not let in: 429"


async def test_a_fill_told_five_times_and_again_after_a_restart_counts_once(room: Room) -> None:
    await sent(room)
    room.venue.fill("2")
    word = changed(room.venue.legs[client_id(ORDER, 0)], fill=room.venue.fills[client_id(ORDER, 0)][0])
    for _ in range(5):
        room.venue.say(word)
    await room.settled()
    room = await room.killed()
    room.venue.say(word)

    await room.statuses()
    assert room.reports()[-1].cumulative_quantity == 2
    assert len([report for report in room.reports() if report.fill]) == 1


async def test_a_fill_may_come_before_the_order_is_acknowledged(room: Room) -> None:
    room.venue.plan["submit"] = [(Unsure("slow"), True)]
    room.venue.silent = True
    await room.hear(subjects.ORDER_NEW, wanted())
    while not room.venue.legs:
        await room.settled()
    room.venue.fill("5")

    assert await room.statuses() == ["PENDING_UNKNOWN", "FILLED"]


async def test_words_out_of_order_lead_to_the_same_end(room: Room) -> None:
    await sent(room)
    room.venue.fill("2", told=False)
    room.venue.fill("3", told=False)
    first, second = room.venue.fills[client_id(ORDER, 0)]
    whole = room.venue.legs[client_id(ORDER, 0)]
    room.venue.say(changed(whole, fill=second))
    await room.settled()
    half = changed(whole, status=OrderStatus.PARTIALLY_FILLED, cumulative_quantity=D(2), fill=first)
    room.venue.say(half)
    room.venue.say(changed(half, status=OrderStatus.WORKING, cumulative_quantity=D(0), fill=None))

    assert await room.statuses() == ["WORKING", "PARTIALLY_FILLED", "FILLED"]


async def test_an_end_is_not_believed_before_every_fill_is_here(room: Room) -> None:
    await sent(room)
    room.venue.fill("2", told=False)
    room.venue.say(changed(room.venue.legs[client_id(ORDER, 0)], status=OrderStatus.CANCELED))
    assert (await room.statuses())[-1] == "WORKING"

    room.venue.legs[client_id(ORDER, 0)] = changed(room.venue.legs[client_id(ORDER, 0)], status=OrderStatus.CANCELED)
    await room.after(1)
    assert (await room.statuses())[-2:] == ["PARTIALLY_FILLED", "CANCELED"]


async def test_a_cancel_ends_an_order_by_the_venues_word(room: Room) -> None:
    await sent(room)
    await room.hear(subjects.ORDER_CANCEL, CANCEL)
    await room.hear(subjects.ORDER_CANCEL, CANCEL)

    assert (await room.statuses())[:2] == ["WORKING", "CANCELED"]
    assert room.venue.count("cancel") == 1


async def test_a_late_fill_after_the_cancel_is_the_truth_also_after_a_restart(room: Room) -> None:
    await sent(room)
    await room.hear(subjects.ORDER_CANCEL, CANCEL)
    await room.settled()
    room.venue.fill("2")
    await room.settled()
    room = await room.killed()
    room.venue.fill("1")

    assert await room.statuses() == ["WORKING", "CANCELED", "CANCELED", "CANCELED"]
    assert room.reports()[-1].cumulative_quantity == 3


async def test_a_cancel_that_the_venue_refuses_because_the_order_is_filled(room: Room) -> None:
    await sent(room)
    room.venue.fill("5", told=False)
    await room.hear(subjects.ORDER_CANCEL, CANCEL)
    await room.settled()
    await room.after(1)

    assert await room.statuses() == ["WORKING", "FILLED"]


async def test_a_cancel_nobody_answers_is_sent_again_only_once_the_venue_still_has_the_order(room: Room) -> None:
    await sent(room)
    room.venue.plan = {"cancel": [Unsure("timeout")], "find": [Unsure("502")]}
    await room.hear(subjects.ORDER_CANCEL, CANCEL)
    await room.settled()
    await room.after(1)
    assert room.venue.count("cancel") == 1

    await room.after(3)
    assert room.venue.count("cancel") == 2
    assert (await room.statuses())[-1] == "CANCELED"


async def test_a_cancel_of_an_order_of_which_nobody_knows(room: Room) -> None:
    room.venue.silent = True
    room.venue.plan["submit"] = [(Unsure("timeout"), True)]
    await sent(room)
    await room.hear(subjects.ORDER_CANCEL, CANCEL)
    await room.settled()
    await room.after(3)

    assert (await room.statuses())[-1] == "CANCELED"


async def test_what_was_given_up_and_shows_up_all_the_same_is_cancelled(room: Room) -> None:
    room.venue.plan["submit"] = [Unsure("timeout")]
    await sent(room)
    leg = room.gateway._desk.leg(ORDER)
    assert leg is not None
    await room.after(1)
    await room.after(LATER_S)
    await room.venue.submit(leg)
    await room.settled()

    assert room.venue.count("cancel") == 1
    assert room.venue.legs[client_id(ORDER, 0)].status is OrderStatus.CANCELED


async def test_an_order_that_arrives_after_its_own_cancel_is_cancelled_at_once(room: Room) -> None:
    room.venue.plan = {"submit": [Unsure("timeout")], "cancel": [Rejected("unknown order")]}
    await sent(room)
    leg = room.gateway._desk.leg(ORDER)
    assert leg is not None
    await room.hear(subjects.ORDER_CANCEL, CANCEL)
    await room.settled()
    await room.after(1)
    await room.venue.submit(leg)
    await room.settled()

    assert room.venue.legs[client_id(ORDER, 0)].status is OrderStatus.CANCELED
    assert (await room.statuses())[-1] == "CANCELED"


async def test_new_terms_in_place(room: Room) -> None:
    room.venue.in_place = True
    await sent(room)
    room.venue.fill("1")
    await room.settled()
    await room.hear(subjects.ORDER_REPLACE, terms(quantity="4", price="100"))
    await room.hear(subjects.ORDER_REPLACE, terms(quantity="4", price="100"))

    await room.statuses()
    replaced = [report for report in room.reports() if report.replaced]
    assert [(r.replaced, r.quantity, r.status) for r in replaced[:1]] == [(1, 4, "PARTIALLY_FILLED")]
    assert room.venue.count("replace") == 1
    room.venue.fill("3")
    assert (await room.statuses())[-1] == "FILLED"


async def test_new_terms_in_place_that_the_venue_refuses_leave_the_order_as_it_was(room: Room) -> None:
    room.venue.in_place = True
    room.venue.plan["replace"] = [Rejected("too late")]
    await sent(room)
    await room.hear(subjects.ORDER_REPLACE, terms())

    await room.statuses()
    assert (room.reports()[-1].refused, room.reports()[-1].status, room.reports()[-1].reason) == (
        1,
        "WORKING",
        "too late",
    )


@pytest.mark.parametrize(("done", "replaced", "refused"), [(True, 1, 0), (False, 0, 1)])
async def test_new_terms_in_place_of_which_nobody_knows_are_asked_for(
    room: Room, done: bool, replaced: int, refused: int
) -> None:
    room.venue.in_place = True
    room.venue.plan["replace"] = [(Unsure("timeout"), done) if done else Unsure("timeout")]
    await sent(room)
    await room.hear(subjects.ORDER_REPLACE, terms())
    await room.settled()
    await room.after(1)
    await room.after(LATER_S)

    await room.statuses()
    assert (room.reports()[-1].replaced, room.reports()[-1].refused) == (replaced, refused)


async def test_new_terms_that_take_another_leg_are_sent_once_the_first_is_proven_to_be_over(room: Room) -> None:
    await sent(room)
    room.venue.fill("2")
    await room.settled()
    await room.hear(subjects.ORDER_REPLACE, terms(price="99", quantity="6"))
    await room.settled()

    old, new = room.venue.legs[client_id(ORDER, 0)], room.venue.legs[client_id(ORDER, 1)]
    assert (old.status, new.status, new.price, new.quantity) == ("CANCELED", "WORKING", 99, 4)
    room.venue.fill("4", price="99")
    statuses = await room.statuses()
    assert statuses == ["WORKING", "PARTIALLY_FILLED", "PARTIALLY_FILLED", "FILLED"]
    last = room.reports()[-1]
    assert (last.cumulative_quantity, last.replaced, last.quantity) == (6, 1, 6)


async def test_a_fill_that_crosses_the_replacement_makes_the_new_leg_smaller(room: Room) -> None:
    await sent(room)
    room.venue.silent = True
    room.venue.plan["cancel"] = [(Unsure("timeout"), True)]
    await room.hear(subjects.ORDER_REPLACE, terms(quantity="5"))
    await room.settled()
    room.venue.fill("3", client_id=client_id(ORDER, 0), told=False)
    await room.after(1)

    assert room.venue.legs[client_id(ORDER, 1)].quantity == 2


async def test_a_late_fill_of_the_leg_before_that_leaves_nothing_takes_back_the_leg_that_stands(room: Room) -> None:
    await sent(room)
    await room.hear(subjects.ORDER_REPLACE, terms(quantity="5"))
    await room.settled()
    assert room.venue.legs[client_id(ORDER, 1)].status == "WORKING"

    room.venue.fill("5", client_id=client_id(ORDER, 0))

    assert (await room.statuses())[-1] == "FILLED"
    assert room.venue.legs[client_id(ORDER, 1)].status == "CANCELED"


async def test_a_leg_that_arrives_after_its_own_cancel_is_taken_back_all_the_same(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sent(room)
    arrives, submit = asyncio.Event(), room.venue.submit

    async def submit_late(leg: Any) -> Any:
        await arrives.wait()
        return await submit(leg)

    monkeypatch.setattr(room.venue, "submit", submit_late)
    await room.hear(subjects.ORDER_REPLACE, terms(quantity="5"))
    async with asyncio.timeout(5):
        while room.venue.legs[client_id(ORDER, 0)].status != "CANCELED":
            await asyncio.sleep(0)
    room.venue.fill("5", client_id=client_id(ORDER, 0))
    async with asyncio.timeout(5):
        while room.venue.count("cancel") < 2:
            await asyncio.sleep(0)
    arrives.set()

    assert (await room.statuses())[-1] == "FILLED"
    assert room.venue.legs[client_id(ORDER, 1)].status == "CANCELED"


async def test_orders_are_stopped_one_by_one_as_they_stand_by_then(room: Room) -> None:
    await sent(room)
    await sent(room, order_id=SECOND)
    stopping = room.gateway._desk.stop(lambda route: "enough", NOW_NS)
    assert next(stopping).state is not None

    room.venue.fill("5", client_id=client_id(SECOND, 0))
    await room.settled()

    assert list(stopping) == [], "an older state is not written down after a newer one"


async def test_an_order_that_fills_before_it_can_be_replaced_says_so(room: Room) -> None:
    await sent(room)
    room.venue.plan["cancel"] = [Rejected("unknown order")]
    room.venue.silent = True
    await room.hear(subjects.ORDER_REPLACE, terms(quantity="7"))
    room.venue.fill("5")
    await room.settled()
    await room.after(1)

    assert (await room.statuses())[-1] == "FILLED"
    assert room.reports()[-1].refused == 1
    assert list(room.venue.legs) == [client_id(ORDER, 0)]


async def test_a_new_leg_that_the_venue_refuses_ends_the_order(room: Room) -> None:
    await sent(room)
    room.venue.plan["submit"] = [Rejected("price out of range")]
    await room.hear(subjects.ORDER_REPLACE, terms())

    assert (await room.statuses())[-1] == "CANCELED"
    assert room.reports()[-1].refused == 1
    assert "price out of range" in room.reports()[-1].reason


async def test_a_new_leg_lost_in_a_crash_is_asked_for_and_not_sent_again(room: Room) -> None:
    await sent(room)
    room.venue.plan["submit"] = [Unsure("timeout")]
    await room.hear(subjects.ORDER_REPLACE, terms())
    await room.settled()
    room = await room.killed()
    await room.after(0)
    await room.after(LATER_S)

    assert (await room.statuses())[-1] == "CANCELED"
    assert room.venue.count("submit") == 2


async def test_a_new_leg_can_be_cancelled_though_the_cancel_of_the_leg_before_was_never_answered(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sent(room)
    answered, cancel = asyncio.Event(), room.venue.cancel

    async def cancel_without_a_word(leg: Any) -> Any:
        done = await cancel(leg)
        await answered.wait()
        return done

    monkeypatch.setattr(room.venue, "cancel", cancel_without_a_word)
    await room.hear(subjects.ORDER_REPLACE, terms(price="98"))
    async with asyncio.timeout(5):
        while client_id(ORDER, 1) not in room.venue.legs:
            await asyncio.sleep(0)
    monkeypatch.setattr(room.venue, "cancel", cancel)
    answered.set()
    await room.settled()
    await room.hear(subjects.ORDER_CANCEL, CANCEL)
    await room.settled()

    assert room.venue.legs[client_id(ORDER, 1)].status is OrderStatus.CANCELED


async def test_new_terms_wait_their_turn(room: Room) -> None:
    room.venue.in_place = True
    room.venue.plan["replace"] = [Unsure("timeout")]
    await sent(room)
    await room.hear(subjects.ORDER_REPLACE, terms(1))
    await room.hear(subjects.ORDER_REPLACE, terms(2))

    await room.statuses()
    assert (room.reports()[-1].refused, room.reports()[-1].reason) == (2, "another replacement is on its way")


async def test_every_fill_is_said_again_to_somebody_who_asks_again(room: Room) -> None:
    await sent(room)
    room.venue.fill("2")
    room.venue.fill("1")
    await room.statuses()
    room = await room.killed()
    first = len(await room.said())
    await sent(room)

    fills = [report.fill.execution_id for report in room.reports()[first:] if report.fill]
    assert fills == ["X1", "X2"]


async def test_an_order_missing_from_the_venues_listing_is_asked_for(room: Room) -> None:
    await sent(room)
    room.venue.fill("5", told=False)
    await room.gateway.dealer.reconcile()

    assert await room.statuses() == ["WORKING", "FILLED"]


async def test_fills_missed_while_the_order_still_stands_show_in_the_listing(room: Room) -> None:
    await sent(room)
    room.venue.fill("2", told=False)
    await room.gateway.dealer.reconcile()
    await room.settled()
    await room.after(1)

    assert await room.statuses() == ["WORKING", "PARTIALLY_FILLED"]


async def test_what_is_over_here_and_open_there_is_cancelled_there(room: Room) -> None:
    await sent(room)
    word = room.venue.legs[client_id(ORDER, 0)]
    room.venue.say(changed(word, status=OrderStatus.CANCELED))
    await room.settled()
    await room.gateway.dealer.reconcile()

    assert await room.statuses() == ["WORKING", "CANCELED"]
    assert room.venue.legs[client_id(ORDER, 0)].status is OrderStatus.CANCELED


async def test_orders_of_others_are_counted_and_left_alone(room: Room) -> None:
    await sent(room)
    other = changed(room.venue.legs[client_id(ORDER, 0)], client_id="web_1", venue_order_id="V77")
    room.venue.external.append(other)
    room.venue.say(other)
    await room.gateway.dealer.reconcile()

    assert await room.statuses() == ["WORKING"]
    assert room.venue.count("cancel") == 0
    assert room.kit.meter.totals["words_external"] == 2


async def test_the_statement_tells_ours_from_theirs_and_what_is_held(room: Room) -> None:
    await sent(room)
    room.venue.fill("2")
    await room.settled()
    await room.hear(subjects.ORDER_REPLACE, terms(quantity="6"))
    await room.settled()
    room.venue.external.append(changed(room.venue.legs[client_id(ORDER, 1)], client_id="web_1", venue_order_id="V77"))

    asked = StatementRequest(account="default", venue="binance")
    said = await question(room.service, subjects.VENUE_STATEMENT, asked)

    assert [(o.order_id, o.quantity, o.cumulative_quantity) for o in said.orders] == [(None, 4, 0), (ORDER, 6, 2)]
    assert [(trade.order_id, trade.fill.execution_id) for trade in said.trades] == [(ORDER, "X1")]
    assert said.holdings == {"USDT": 1000}
    other = asked.model_copy(update={"account": "other"})
    assert (await question(room.service, subjects.VENUE_STATEMENT, other)).orders == ()


async def test_orders_are_cancelled_once_the_venues_reports_stay_away_for_too_long() -> None:
    kit = fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await (await Room(kit, **ENABLED, disconnect_cancel_s=10).begin()).live()
    await sent(room)
    room.venue.down_since_ns = NOW_NS
    await room.gateway.dealer.guard()
    assert room.venue.count("cancel") == 0

    room.kit.clock.advance(11)  # type: ignore[attr-defined]
    for _ in range(2):
        await room.gateway.dealer.guard()
    assert (await room.statuses())[-1] == "CANCELED"
    assert room.venue.count("cancel") == 1
    assert room.reports()[-1].reason == "the venue's reports stay away"


async def test_an_errand_that_breaks_proves_nothing(room: Room) -> None:
    async def broken(_: Any) -> Any:
        raise RuntimeError("a bug")

    room.venue.submit = broken  # type: ignore[method-assign]
    await sent(room)

    assert await room.statuses() == ["PENDING_UNKNOWN"]


async def test_a_store_that_breaks_meanwhile_has_everything_asked_for_anew(room: Room) -> None:
    await sent(room)
    room.kit.valkey.away = True
    room.venue.fill("2")
    await room.settled()
    room.kit.valkey.away = False
    await room.begin()
    await room.after(1)

    assert await room.statuses() == ["WORKING", "PARTIALLY_FILLED"]


async def test_what_a_venue_says_while_the_orders_are_being_recalled_is_asked_for_after_that(room: Room) -> None:
    await sent(room)
    room.kit.journal.doubt("a reason")
    refused = room.kit.journal.refused
    room.venue.fill("5")
    await room.settled()
    assert room.kit.journal.refused == refused, "or the recalling would begin anew with every word of a busy venue"

    await room.begin()
    await room.after(1)

    assert (await room.statuses())[-1] == "FILLED"


async def test_an_order_for_an_account_that_does_not_trade_there_is_rejected(room: Room) -> None:
    await sent(room, order_id="other-0123456789abcdef0123", account="other")

    assert await room.statuses() == ["REJECTED"]
    assert "account default" in room.reports()[0].reason
    assert room.venue.asked == []


async def test_the_record_shows_how_an_order_stands(room: Room) -> None:
    await sent(room)

    shown = await room.call("/orders/{order_id}", ORDER)
    assert (shown.deal.proven, shown.report.venue_order_id) == (True, "V1")
    assert VenueOrder.decode(room.kit.valkey.store[keys.venue_order("default", ORDER)]) == shown


@pytest.mark.parametrize(
    ("words", "reason"),
    [({"time_in_force": "GTD"}, "takes no LIMIT orders"), ({"post_only": True}, "has no post_only")],
)
async def test_what_the_venue_is_not_able_to_do_is_rejected(room: Room, words: dict[str, Any], reason: str) -> None:
    await sent(room, **words)

    assert await room.statuses() == ["REJECTED"]
    assert reason in room.reports()[0].reason


async def test_with_too_much_under_way_new_orders_are_rejected() -> None:
    kit = fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await (await Room(kit, **ENABLED, errands_max=1).begin()).live()
    await room.hear(subjects.ORDER_NEW, wanted())
    await room.hear(subjects.ORDER_NEW, wanted(order_id="default-1123456789abcdef0123"))

    assert sorted(await room.statuses()) == ["REJECTED", "WORKING"]
