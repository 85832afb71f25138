"""Whatever a venue does to our requests, and whenever we crash: in the end we say what the venue says."""

from __future__ import annotations

import random
from typing import Any

import pytest

from shared.contract import subjects
from shared.contract.dealing import Throttled, Unsure, client_id
from shared.contract.orders import CancelOrder, OrderStatus, ReplaceOrder
from shared.kit.fakes import FakeClock, fake_kit
from tests.services.live_gateway.conftest import INSTRUMENTS, NOW_NS, D, quote, route
from tests.services.live_gateway.room import ENABLED, Room

OVER = (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED)
ANSWERS: dict[str, list[Any]] = {
    "submit": [(Unsure("timeout"), True), Unsure("502"), Throttled("429", 0.3)],
    "cancel": [(Unsure("timeout"), True), Unsure("502"), Throttled("429", 0.3)],
    "replace": [(Unsure("timeout"), True), Unsure("502"), Throttled("429", 0.3)],
    "find": [Unsure("502")],
}


class Storm:
    def __init__(self, room: Room, seed: int) -> None:
        self.room = room
        self.chance = random.Random(seed)
        self.orders: list[str] = []
        self.numbers: dict[str, int] = {}
        room.venue.in_place = bool(seed % 2)

    async def blow(self) -> None:
        chance, venue = self.chance, self.room.venue
        venue.silent = chance.random() < 0.3
        for errand, answers in ANSWERS.items():
            venue.plan[errand] = [chance.choice(answers)] if chance.random() < 0.4 else []
        await chance.choices(
            [self.submit, self.repeat, self.cancel, self.replace, self.trade, self.wait, self.crash],
            [4, 1, 2, 2, 5, 4, 1],
        )[0]()

    async def submit(self) -> None:
        order_id = f"default-{len(self.orders):020x}"
        self.orders.append(order_id)
        await self.repeat(order_id)

    async def repeat(self, order_id: str = "") -> None:
        if order_id := order_id or self.any():
            order = route(order_id, "BUY", "5", "100", venue="binance")
            await self.room.hear(subjects.ORDER_NEW, order)

    async def cancel(self) -> None:
        if order_id := self.any():
            cancel = CancelOrder(account="default", order_id=order_id, venue="binance")
            await self.room.hear(subjects.ORDER_CANCEL, cancel)

    async def replace(self) -> None:
        if order_id := self.any():
            number = self.numbers[order_id] = self.numbers.get(order_id, 0) + 1
            quantity = D(self.chance.randint(1, 8))
            terms = ReplaceOrder(account="default", order_id=order_id, number=number, price=D(99), quantity=quantity)
            await self.room.hear(subjects.ORDER_REPLACE, terms)

    async def trade(self) -> None:
        live = [leg for leg in self.room.venue.legs.values() if leg.status not in OVER]
        if live:
            leg = self.chance.choice(live)
            most = leg.quantity - leg.cumulative_quantity
            if most > 0:
                told = self.chance.random() < 0.7
                self.room.venue.fill(str(min(most, D(2))), client_id=leg.client_id, told=told)

    async def wait(self) -> None:
        await self.room.after(self.chance.choice([0.1, 1, 8]))

    async def crash(self) -> None:
        self.room = await self.room.killed()

    def any(self) -> str:
        return self.chance.choice(self.orders) if self.orders else ""

    async def calm(self) -> None:
        self.room.venue.plan.clear()
        self.room.venue.silent = False
        await self.room.gateway.dealer.reconcile()
        for _ in range(14):
            await self.room.after(20)
        await self.room.gateway.dealer.reconcile()
        for _ in range(4):
            await self.room.after(20)
        await self.room.said()


@pytest.mark.parametrize("seed", range(100))
async def test_after_the_storm_we_say_what_the_venue_says(seed: int) -> None:
    kit = fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    words = ENABLED | {"breaker_failures": 1000, "rate_wait_s": 5}
    room = await (await Room(kit, **words).begin()).live()
    await room.hear(subjects.QUOTE, quote())
    storm = Storm(room, seed)
    for _ in range(60):
        await storm.blow()
        await storm.room.settled()
    await storm.calm()

    venue = storm.room.venue
    assert len(set(venue.let_in)) == len(venue.let_in), "nothing is sent twice"
    latest = {report.order_id: report for report in storm.room.reports()}
    for order_id in storm.orders:
        numbers = range(storm.numbers.get(order_id, 0) + 1)
        legs = [venue.legs[name] for n in numbers if (name := client_id(order_id, n)) in venue.legs]
        report = latest.get(order_id)
        assert report is not None, f"{order_id} was never answered"
        assert sum(leg.status not in OVER for leg in legs) <= 1, "one leg at a time"
        assert report.status is not OrderStatus.PENDING_UNKNOWN
        told = {r.fill.execution_id: r.fill.quantity for r in storm.room.reports() if r.order_id == order_id and r.fill}
        filled = sum((leg.cumulative_quantity for leg in legs), D(0))
        assert sum(told.values(), D(0)) == filled == report.cumulative_quantity
        assert (report.status in OVER) == (not any(leg.status not in OVER for leg in legs))
