"""Scripted venue: what a venue does with each order is drawn, and told many times over and in any order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from tests.chaos.evidence import AtVenue, Execution, Words
from tests.chaos.wire import Wire

POOL = 300

AT_ONCE = 50

ENDS = ("FILLED", "FILLED", "CANCELED", "REJECTED")


@dataclass
class ScriptedVenue:
    """Stands in for the live gateway: hears the orders of some accounts and reports on them. This is its record."""

    wire: Wire
    rng: Random
    repeats_max: int = 5
    kept: int = POOL
    """So many reports wait to be told; the one that is told next is any of them."""
    venue: dict[str, AtVenue] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    told: int = 0
    _pool: list[tuple[str, bytes]] = field(default_factory=list)

    async def listen(self, account: str) -> None:
        """From here on."""
        await self.wire.hear(f"orders.{account}.new", self._take)

    def _take(self, route: Words) -> None:
        """Decide what becomes of an order the first time it comes."""
        if route["order_id"] in self.venue:
            return
        reports = self._script(route)
        subject = f"orders.{route['account']}.report"
        for report in reports:
            self._pool += [(subject, json.dumps(report).encode())] * self.rng.randint(1, self.repeats_max)

    def _script(self, route: Words) -> list[Words]:
        end = self.rng.choice(ENDS)
        quantity, filled = Decimal(route["quantity"]), Decimal(0)
        reports = [self._report(route, 1, "WORKING", filled)]
        for number in range(1, 1 + (0 if end == "REJECTED" else self.rng.randint(end == "FILLED", 3))):
            part = (quantity - filled) / 2 if number < 3 or end != "FILLED" else quantity - filled
            filled += part
            status = "FILLED" if filled == quantity else "PARTIALLY_FILLED"
            reports.append(self._report(route, number + 1, status, filled, self._execute(route, number, part)))
        if end == "FILLED" and filled < quantity:
            fill = self._execute(route, 4, quantity - filled)
            reports.append(self._report(route, len(reports) + 1, "FILLED", quantity, fill))
            filled = quantity
        if end == "REJECTED":
            reports = [self._report(route, 1, "REJECTED", filled)]
        elif end == "CANCELED":
            reports.append(self._report(route, len(reports) + 1, "CANCELED", filled))
        order_id = route["order_id"]
        self.venue[order_id] = AtVenue(order_id, route["account"], end, False, filled, time.time_ns())
        return reports

    def _execute(self, route: Words, number: int, quantity: Decimal) -> Words:
        price = Decimal(route["price"] or self.rng.randrange(10_000, 99_999)) / 1
        id, at_ns = f"{route['order_id']}-{number}", time.time_ns()
        fee = Decimal(self.rng.randrange(1, 10_000)).scaleb(-6)
        one = Execution(id, route["order_id"], route["symbol"], route["side"], price, quantity, fee, at_ns)
        self.executions.append(one)
        words = {"execution_id": id, "price": str(price), "quantity": format(quantity, "f")}
        return words | {"fee": format(fee, "f"), "event_ns": at_ns}

    def _report(self, route: Words, sequence: int, status: str, filled: Decimal, fill: Words | None = None) -> Words:
        words = {name: route[name] for name in ("account", "order_id", "venue")}
        words |= {"sequence": sequence, "status": status, "cumulative_quantity": format(filled, "f"), "fill": fill}
        return words | {"event_ns": time.time_ns()}

    @asynccontextmanager
    async def telling(self) -> AsyncGenerator[None]:
        """Inside, any report of those that wait is told, while many wait; at the end all the rest."""
        ended = False

        async def tell() -> None:
            while self._pool or not ended:
                await self._tell_some(0 if ended else self.kept)
                await asyncio.sleep(0.002)

        task = asyncio.create_task(tell())
        try:
            yield
        finally:
            ended = True
            await task

    async def _tell_some(self, left: int) -> None:
        some: list[tuple[str, bytes]] = []
        while len(self._pool) > left and len(some) < AT_ONCE:
            at = self.rng.randrange(len(self._pool))
            self._pool[at], self._pool[-1] = self._pool[-1], self._pool[at]
            some.append(self._pool.pop())
        if some:
            self.told += await self.wire.say(some)
