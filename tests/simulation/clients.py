"""Clients: they submit, cancel and replace, ask again when nobody answered, and write down every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from shared.contract.errors import Refused, Unavailable
from shared.contract.groups import SubmitBracket, SubmitPair
from shared.contract.orders import Order, SubmitOrder
from shared.domain.identity import order_id
from tests.simulation.books import Books
from tests.simulation.doors import Doors
from tests.simulation.wishes import Grouped, Wishes
from tests.simulation.world import World

TRIES_MAX = 12
PATHS = {type(None): "/orders", SubmitBracket: "/orders/bracket", SubmitPair: "/orders/oco"}
ONE = "/orders/{order_id}"


@dataclass
class Answers:
    """What clients were told: acknowledged orders, and denials, by the client's own id."""

    acknowledged: dict[str, Order] = field(default_factory=dict[str, Order])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    sent: dict[str, SubmitOrder] = field(default_factory=dict[str, SubmitOrder])
    open_ended: int = 0


class Client:
    """One trader of one account. Those who race want the same, all at once, and together more than is allowed."""

    def __init__(
        self,
        name: str,
        account: str,
        world: World,
        doors: Doors,
        books: Books,
        wishes: Wishes,
        *,
        racing: bool = False,
    ) -> None:
        self.name = name
        self.account = account
        self.answers = Answers()
        self._world = world
        self._rng = world.rng
        self._doors = doors
        self._books = books
        self._wishes = wishes
        self._racing = racing
        self._count = 0

    def races(self) -> None:
        """From now on it wants what everybody wants."""
        self._racing = True

    async def trade(self, orders: int, pause_s: float) -> None:
        """So many orders, one after the other; some are cancelled, replaced, or asked for again."""
        rng, sleep = self._rng, self._world.loop.sleep
        for _ in range(orders):
            await sleep(rng.expovariate(1 / pause_s))
            self._count += 1
            name = f"{self.name}-{self._count}"
            wanted, group = (self._wishes.keen(name), None) if self._racing else self._wishes.next(name)
            if rng.random() < 0.05:
                self._world.did["ask: twice at once"] += 1
                orders_, _ = await asyncio.gather(self.submit(wanted, group), self.submit(wanted, group))
            else:
                orders_ = await self.submit(wanted, group)
            if rng.random() < 0.12:
                await self._again(wanted, group, orders_)
            if orders_ and rng.random() < (0.7 if self._racing else 0.55):
                await sleep(rng.expovariate(1 / pause_s))
                await self._change_mind(rng.choice(orders_))

    async def submit(self, wanted: SubmitOrder, group: Grouped = None) -> tuple[Order, ...]:
        """Ask until somebody answers: always in the same words, under the same id."""
        name = wanted.client_order_id or ""
        self.answers.sent[name] = wanted
        for attempt in range(TRIES_MAX):
            try:
                answer = await self._doors.call("oms", "POST", PATHS[type(group)], group or wanted)
            except Refused as refused:
                self.answers.refused[name] = refused.code
                return ()
            except Unavailable:
                await self._world.loop.sleep(self._rng.uniform(0.02, 0.3) * (attempt + 1))
            else:
                orders: tuple[Order, ...] = (answer,) if isinstance(answer, Order) else answer.orders
                self.answers.refused.pop(name, None)  # then it was refused at the door, and nothing was written
                for order in orders:
                    self.answers.acknowledged[order.client_order_id] = order
                    self._shown(order)
                return orders
        self.answers.open_ended += 1
        return ()

    async def _again(self, wanted: SubmitOrder, group: Grouped, before: tuple[Order, ...]) -> None:
        """What was answered is answered again, word for word; under its name nothing else is taken on."""
        if self._rng.random() < 0.6:
            self._world.did["ask: again, same words"] += 1
            name = wanted.client_order_id or ""
            written = order_id(self.account, name) in self._books.orders
            code = self.answers.refused.get(name) if written else None
            after = await self.submit(wanted, group)
            if before and after and before != after:
                self._world.violated(f"I1 {wanted.client_order_id} was answered {before}, and then {after}")
            elif code and after:
                self._world.violated(f"I1 {wanted.client_order_id} was refused ({code}), and then answered {after}")
        elif before:
            self._world.did["ask: again, other words"] += 1
            path = PATHS[type(None)]
            answer = await self._insist(lambda: self._doors.call("oms", "POST", path, self._wishes.other(wanted)))
            if answer is not None:
                self._world.violated(f"I1 {wanted.client_order_id} was taken for another order: {answer}")

    def _shown(self, order: Order) -> None:
        committed = self._books.orders.get(order.order_id)
        if committed is None or committed["version"] < order.version:
            self._world.violated(f"I1 {order.order_id} version {order.version} was shown and is not committed")

    async def _change_mind(self, order: Order) -> None:
        draw, did = self._rng.random(), self._world.did
        if draw < 0.45:
            did["ask: replace"] += 1
            terms = self._wishes.terms(order)
            await self._insist(lambda: self._doors.call("oms", "PATCH", ONE, terms, order_id=order.order_id))
        elif draw < 0.9:
            did["ask: cancel"] += 1
            await self._insist(lambda: self._doors.call("oms", "DELETE", ONE, order_id=order.order_id))
        else:
            words = {"account": self.account, "strategy": order.strategy, "symbol": order.symbol}
            field_ = self._rng.choice(sorted(name for name, value in words.items() if value))
            did[f"ask: cancel all of the {field_}"] += 1
            await self._insist(lambda: self._doors.call("oms", "POST", "/orders/cancel-all", **{field_: words[field_]}))

    async def _insist(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        answer = await self._doors.insist(ask, 3)
        if isinstance(answer, Order):
            self._shown(answer)
        return answer
