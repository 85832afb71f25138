"""The paper venue over the kit's twins: what is committed before it is said, and what comes back after a crash."""

from __future__ import annotations

import numpy as np
import pytest

from services.live_gateway.settings import Settings
from shared.contract import keys, subjects
from shared.contract.errors import NotFound, Unavailable
from shared.contract.market import Frame
from shared.contract.orders import CancelOrder, ReplaceOrder
from shared.contract.ticks import TickColumns
from shared.contract.venue import StatementRequest
from shared.kit.fakes import FakeClock, fake_kit, question
from shared.kit.frames import encode_frame
from tests.services.live_gateway.conftest import INSTRUMENTS, NOW_NS, D, quote, route, tick
from tests.services.live_gateway.room import Room


@pytest.fixture
async def room() -> Room:
    room = await Room(fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)).begin()
    await room.hear(subjects.QUOTE, quote())
    return room


async def test_an_order_and_its_report_are_committed_together_before_it_is_said(room: Room) -> None:
    room.kit.bus.away = True
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", None))
    assert room.reports() == []

    room.kit.bus.away = False
    room = await room.killed()

    assert await room.said() == [("a", "FILLED", 1)]
    (report,) = room.reports()
    assert report.fill is not None
    assert report.fill.execution_id == "a-1"


async def test_the_same_order_again_has_its_latest_report_said_again_and_fills_once(room: Room) -> None:
    for _ in range(3):
        await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", None))
    room = await room.killed()
    await room.hear(subjects.QUOTE, quote())
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", None))

    assert await room.said() == [("a", "FILLED", 1)] * 4
    assert {report.fill and report.fill.execution_id for report in room.reports()} == {"a-1"}


async def test_a_report_is_not_repeated_before_it_is_committed(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "100"))
    room.kit.valkey.away = True
    with pytest.raises(Unavailable):
        await room.hear(subjects.TICK, tick("99", "1"))

    with pytest.raises(Unavailable):
        await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "100"))

    room.kit.valkey.away = False
    await room.begin()
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "100"))
    assert await room.said() == [("a", "WORKING", 1), ("a", "WORKING", 1)]


async def test_a_resting_order_outlives_a_crash_with_its_place_in_the_queue(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "99"))
    await room.hear(subjects.TICK, tick("99", "8"))
    for row in room.service.every:
        await row.handler()

    room = await room.killed()
    await room.hear(subjects.TICK, tick("99", "3"))

    assert await room.said() == [("a", "WORKING", 1), ("a", "PARTIALLY_FILLED", 2)]
    assert room.reports()[-1].cumulative_quantity == 1


async def test_the_numbering_of_fills_goes_on_after_a_crash(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "15", "101"))
    room = await room.killed()
    await room.hear(subjects.TICK, tick("100", "9"))

    await room.said()
    assert [r.fill.execution_id for r in room.reports() if r.fill] == ["a-1", "a-2"]
    assert await room.kit.valkey.members(keys.venue_open("default")) == set()


async def test_a_cancel_ends_an_order_and_comes_twice_without_harm(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "99"))
    for _ in range(2):
        await room.hear(subjects.ORDER_CANCEL, CancelOrder(account="default", order_id="a"))
    room = await room.killed()
    await room.hear(subjects.ORDER_CANCEL, CancelOrder(account="default", order_id="a"))

    assert await room.said() == [("a", "WORKING", 1)] + [("a", "CANCELED", 2)] * 3


async def test_a_cancel_that_comes_before_its_order_ends_it(room: Room) -> None:
    await room.hear(subjects.ORDER_CANCEL, CancelOrder(account="default", order_id="a"))
    room = await room.killed()
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", None))

    assert await room.said() == [("a", "REJECTED", 1)] * 2
    assert room.reports()[0].reason == "unknown order"


async def test_an_order_for_another_venue_is_rejected(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", venue="nasdaq"))

    assert await room.said() == [("a", "REJECTED", 1)]


async def test_a_market_order_nobody_answers_is_cancelled_in_time() -> None:
    room = await Room(fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)).begin()
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", None))

    room = await room.killed()
    room.kit.clock.advance(5)  # type: ignore[attr-defined]
    for row in room.service.every:
        await row.handler()

    assert await room.said() == [("a", "WORKING", 1), ("a", "CANCELED", 2)]


async def test_a_frame_fills_resting_orders_and_is_not_looked_into_without_any(room: Room) -> None:
    broken = Frame.model_construct(venue="sim", payload=b"not a frame")
    await room.hear(subjects.FRAME, broken)
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "98.5"))

    with pytest.raises(ValueError):
        await room.hear(subjects.FRAME, broken)
    columns = TickColumns(
        venue="sim",
        symbols=["BTCUSDT"],
        codes=np.zeros(2, dtype=np.int32),
        event_ns=np.full(2, NOW_NS, dtype=np.int64),
        receive_ns=np.full(2, NOW_NS, dtype=np.int64),
        price=np.array([98.75, 98.25]),
        quantity=np.array([50.0, 1.25]),
        side=np.zeros(2, dtype=np.int8),
        trade_id=["1", "2"],
        sequence=np.arange(2, dtype=np.int64),
    )
    await room.hear(subjects.FRAME, Frame.model_construct(venue="sim", payload=encode_frame(columns)))

    assert await room.said() == [("a", "WORKING", 1), ("a", "PARTIALLY_FILLED", 2)]
    assert str(room.reports()[-1].cumulative_quantity) == "1.25"


async def test_an_order_travels_before_the_venue_sees_it() -> None:
    kit = fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await Room(kit, latency_ms=250).begin()
    await room.hear(subjects.QUOTE, quote())

    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", None))

    await room.said()
    assert room.reports()[0].event_ns == NOW_NS + 250_000_000


async def test_the_venue_answers_for_an_order_by_either_id(room: Room) -> None:
    order_id = "alice-0123456789"
    room.kit.valkey.store[keys.client("alice", "mine")] = order_id.encode()
    await room.hear(subjects.ORDER_NEW, route(order_id, "BUY", "5", None, account="alice"))
    room = await room.killed()

    assert (await room.call("/orders/{order_id}", order_id)).report.status == "FILLED"
    assert (await room.call("/orders/{order_id}", "mine", "alice")).order_id == order_id
    with pytest.raises(NotFound):
        await room.call("/orders/{order_id}", "mine")


def test_the_shipped_configuration_is_that_of_the_settings() -> None:
    from shared.kit.settings import load

    assert load(Settings, "live-gateway", fake_kit().suite) == Settings()


async def test_an_order_that_is_certain_to_be_new_costs_one_commit_and_no_question(room: Room) -> None:
    asked: list[str] = []
    room.kit.valkey.raw = asked.append  # type: ignore[assignment]
    writes = room.kit.valkey.writes

    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", None))

    assert room.kit.valkey.writes == writes + 1
    assert asked == []


async def test_an_order_that_the_store_knows_does_not_fill_again_nor_rest(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "99"))
    await room.hear(subjects.ORDER_CANCEL, CancelOrder(account="default", order_id="a"))
    room = await room.killed()
    await room.hear(subjects.QUOTE, quote())

    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "99"))
    await room.hear(subjects.TICK, tick("98", "50"))

    assert await room.said() == [("a", "WORKING", 1), ("a", "CANCELED", 2), ("a", "CANCELED", 2)]


async def test_what_the_market_shows_while_an_order_is_written_down_is_its_to_take(room: Room) -> None:
    venue = room.gateway._paper
    changes = venue.arrive(route("a", "BUY", "5", "100"), NOW_NS)
    await room.hear(subjects.QUOTE, quote(ask="100", ask_quantity="2"))

    (filled,) = venue.join(changes, NOW_NS)

    assert (filled.report.cumulative_quantity, filled.report.fill and filled.report.fill.maker) == (2, True)


async def test_every_fill_is_said_again_to_somebody_who_asks_again(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "15", "101"))
    await room.hear(subjects.TICK, tick("100.5", "2"))
    await room.hear(subjects.TICK, tick("100.5", "3"))
    room = await room.killed()
    first = len(await room.said())

    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "15", "101"))

    again = room.reports()[first:]
    assert [r.fill.execution_id for r in again if r.fill] == ["a-1", "a-2", "a-3"]
    assert [r.cumulative_quantity for r in again] == [10, 12, 15]


async def test_a_replacement_is_answered_once_and_repeated_when_it_comes_again(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "99"))
    wanted = ReplaceOrder(account="default", order_id="a", number=1, price=D("98"), quantity=D("4"))
    await room.hear(subjects.ORDER_REPLACE, wanted)
    room = await room.killed()
    await room.hear(subjects.ORDER_REPLACE, wanted)

    assert await room.said() == [("a", "WORKING", 1), ("a", "WORKING", 2), ("a", "WORKING", 2)]
    last = room.reports()[-1]
    assert (last.replaced, last.price, last.quantity) == (1, 98, 4)


async def test_new_terms_that_overtook_their_order_wait_for_it(room: Room) -> None:
    wanted = ReplaceOrder(account="default", order_id="a", number=1, price=D("98"), quantity=D("4"))
    with pytest.raises(Unavailable):
        await room.hear(subjects.ORDER_REPLACE, wanted)


async def test_new_terms_for_an_order_that_is_over_have_its_end_said_again(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", None))
    wanted = ReplaceOrder(account="default", order_id="a", number=1, price=None, quantity=D("4"))
    await room.hear(subjects.ORDER_REPLACE, wanted)

    assert await room.said() == [("a", "FILLED", 1)] * 2


async def test_the_paper_venue_states_its_open_orders_and_its_fills(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "15", "101"))
    await room.hear(subjects.ORDER_NEW, route("b", "BUY", "5", None, venue="binance"))
    await room.hear(subjects.ORDER_NEW, route("c", "BUY", "5", None, account="other"))
    await room.hear(subjects.ORDER_NEW, route("d", "SELL", "5", None))

    asked = StatementRequest(account="default", venue="paper", since_ns=NOW_NS)
    said = await question(room.service, subjects.VENUE_STATEMENT, asked)

    assert [(order.order_id, order.cumulative_quantity) for order in said.orders] == [("a", 10)]
    assert sorted((trade.order_id, trade.fill.quantity) for trade in said.trades) == [("a", 10), ("d", 5)]
    assert said.holdings is None
    late = await question(room.service, subjects.VENUE_STATEMENT, asked.model_copy(update={"since_ns": NOW_NS + 1}))
    assert late.trades == ()


async def test_a_statement_tells_so_many_trades_at_once_and_where_the_next_one_begins(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.live_gateway.store.orders.FILLED_MAX", 2)
    monkeypatch.setattr("services.live_gateway.store.orders.CHUNK", 1)
    for name in ("a", "b", "c", "d"):
        await room.hear(subjects.ORDER_NEW, route(name, "BUY", "2", "101"))
        room.kit.clock.advance(1)  # type: ignore[attr-defined]

    asked, told = StatementRequest(account="default", venue="paper"), list[list[str | None]]()
    while True:
        said = await question(room.service, subjects.VENUE_STATEMENT, asked)
        told.append([trade.order_id for trade in said.trades])
        if said.trades_until_ns is None:
            break
        asked = asked.model_copy(update={"since_ns": said.trades_until_ns})

    assert told == [["a", "b"], ["b", "c"], ["c", "d"], ["d"]]


async def test_a_statement_tells_so_many_open_orders_at_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.live_gateway.core.views.ORDERS_MAX", 2)
    for name in ("c", "a", "d", "b", "e"):
        await room.hear(subjects.ORDER_NEW, route(name, "BUY", "2", "90"))
    await room.hear(subjects.ORDER_NEW, route("z", "BUY", "2", "90", account="other"))

    asked, told = StatementRequest(account="default", venue="paper"), list[list[str | None]]()
    while asked.orders_after is not None:
        said = await question(room.service, subjects.VENUE_STATEMENT, asked)
        told.append([stated.order_id for stated in said.orders])
        asked = asked.model_copy(update={"orders_after": said.orders_after, "since_ns": None})

    assert told == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_report_tells_when_the_order_came_and_what_the_venue_calls_it(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "99"))
    await room.hear(subjects.TICK, tick("98", "50"))

    await room.said()
    for report in room.reports():
        assert (report.received_ns, report.sent_ns, report.venue) == (NOW_NS, NOW_NS, "paper")
        assert report.venue_order_id.startswith("paper-")
