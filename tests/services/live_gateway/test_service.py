"""The paper venue over the kit's twins: what is committed before it is said, and what comes back after a crash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.live_gateway.service import wire
from services.live_gateway.settings import Settings
from shared.contract import keys, subjects
from shared.contract.errors import NotFound, Unavailable
from shared.contract.market import Frame
from shared.contract.orders import CancelOrder, Report
from shared.contract.ticks import TickColumns
from shared.kit import Service
from shared.kit.fakes import FakeClock, FakeKit, deliver, fake_kit
from shared.kit.frames import encode_frame
from tests.services.live_gateway.conftest import INSTRUMENTS, NOW_NS, quote, route, tick


class Room:
    """One running live gateway."""

    def __init__(self, kit: FakeKit, **words: Any) -> None:
        self.kit = kit
        self.words = words
        self.service: Service = wire(kit, Settings(**words))

    async def begin(self) -> Room:
        await self.kit.journal.recall()
        await self.service.recovers()
        self.kit.journal.mend()
        return self

    async def killed(self) -> Room:
        """The gateway after kill -9: only what was committed is left."""
        return await Room(self.kit.restarted(), **self.words).begin()

    async def hear(self, subject: Any, message: Any) -> None:
        await deliver(self.service, subject, message)

    async def said(self) -> list[tuple[str, str, int]]:
        await self.kit.journal.said()
        return [(r.order_id, r.status.value, r.sequence) for r in self.reports()]

    def reports(self) -> list[Report]:
        return self.kit.bus.heard(subjects.ORDER_REPORT)

    async def call(self, path: str, *args: Any) -> Any:
        return await next(r.handler for r in self.service.serves if r.path == path)(*args)


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


async def test_only_paper_trading_exists(room: Room) -> None:
    await room.hear(subjects.ORDER_NEW, route("a", "BUY", "5", "99"))

    assert await room.call("/mode") == {"mode": "PAPER"}
    assert await room.call("/venues") == [{"venue": "paper", "mode": "PAPER", "orders_open": 1}]
    assert room.service.stats() == {"mode": "PAPER", "orders_open": 1, "symbols_resting": 1}


def test_the_shipped_configuration_is_that_of_the_settings() -> None:
    from shared.kit.settings import load

    assert load(Settings, "live-gateway", fake_kit().suite) == Settings()
