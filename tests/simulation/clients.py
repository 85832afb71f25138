"""Clients: they submit, cancel and replace, ask again when nobody answered, and write down every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from shared.contract.base import Message
from shared.contract.errors import Refused, Unavailable
from shared.contract.groups import StopLoss, SubmitBracket, SubmitPair, TakeProfit
from shared.contract.orders import Order, OrderType, ReplaceRequest, Side, SubmitOrder, TimeInForce
from tests.simulation.books import Books
from tests.simulation.market import SYMBOLS, Market
from tests.simulation.process import Process
from tests.simulation.store import NOBODY
from tests.simulation.world import World

TRIES_MAX = 12
PATHS = {type(None): "/orders", SubmitBracket: "/orders/bracket", SubmitPair: "/orders/oco"}


@dataclass
class Answers:
    """What clients were told: acknowledged orders, and denials, by the client's own id."""

    acknowledged: dict[str, Order] = field(default_factory=dict[str, Order])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    sent: dict[str, SubmitOrder] = field(default_factory=dict[str, SubmitOrder])
    open_ended: int = 0


class Doors:
    """HTTP to the services: an answer, a refusal, or nobody knows."""

    def __init__(self, world: World, processes: Mapping[str, Process]) -> None:
        self._world = world
        self._processes = processes

    async def call(
        self, service: str, method: str, path: str, body: Message | None = None, timeout_s: float = 2.0, **words: Any
    ) -> Any:
        """What the door answered; Unavailable when the answer was lost, or there was none in time."""
        world = self._world
        answer: asyncio.Future[Any] = world.loop.create_future()

        def answered(told: Any, error: Exception | None) -> None:
            if not world.fate("answer_lost"):
                world.loop.call_later(world.hop_s(), settle, told, error, context=NOBODY)

        def settle(told: Any, error: Exception | None) -> None:
            if not answer.done():
                world.note("http", service, method, path, words, told if error is None else repr(error))
                _ = answer.set_result(told) if error is None else answer.set_exception(error)

        def arrive() -> None:
            self._processes[service].ask(method, path, words, body, answered)

        late = Unavailable(f"no answer within {timeout_s} s")
        timer = world.loop.call_later(timeout_s, settle, None, late, context=NOBODY)
        world.loop.call_later(world.hop_s(), arrive, context=NOBODY)
        try:
            return await answer
        finally:
            timer.cancel()

    def has(self, service: str, method: str, path: str) -> bool:
        """Whether there is such a door at all."""
        return self._processes[service].route(method, path) is not None


class Client:
    """One trader of one account. Those who race want the same, all at once, and together more than is allowed."""

    def __init__(
        self,
        name: str,
        account: str,
        world: World,
        doors: Doors,
        books: Books,
        market: Market,
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
        self._market = market
        self._racing = racing

    async def trade(self, orders: int, pause_s: float) -> None:
        """So many orders, one after the other; some are cancelled or replaced."""
        for number in range(orders):
            await self._world.loop.sleep(self._rng.expovariate(1 / pause_s))
            order = await self.submit(*self._wish(f"{self.name}-{number}"))
            if order is not None and self._rng.random() < (0.7 if self._racing else 0.4):
                await self._world.loop.sleep(self._rng.expovariate(1 / pause_s))
                await self._change_mind(order)

    def _wish(self, client_order_id: str) -> tuple[SubmitOrder, SubmitBracket | SubmitPair | None]:
        """One order, and the group it begins, if it begins one."""
        draw = 1.0 if self._racing else self._rng.random()
        if draw < 0.12:
            return self._bracket(client_order_id)
        if draw < 0.2:
            return self._pair(client_order_id)
        return self._intent(client_order_id), None

    def _bracket(self, client_order_id: str) -> tuple[SubmitOrder, SubmitBracket]:
        rng, market = self._rng, self._market
        symbol, side = rng.choice(list(SYMBOLS)), rng.choice((Side.BUY, Side.SELL))
        words: dict[str, Any] = {"account": self.account, "client_order_id": client_order_id, "symbol": symbol}
        words |= {"side": side, "quantity": SYMBOLS[symbol].lot * rng.randint(1, 4)}
        if rng.random() < 0.5:
            words |= {"order_type": OrderType.LIMIT, "price": market.price(symbol, rng.randint(-3, 3))}
        entry = SubmitOrder(**words)
        stop = StopLoss(stop_price=market.price(symbol, -side.sign * rng.randint(4, 9)))
        if rng.random() < 0.3:
            stop = StopLoss(trail=str(SYMBOLS[symbol].price_tick * rng.randint(2, 8)))
        profit = TakeProfit(price=market.price(symbol, side.sign * rng.randint(4, 9)))
        return entry, SubmitBracket(entry=entry, take_profit=profit, stop_loss=stop)

    def _pair(self, client_order_id: str) -> tuple[SubmitOrder, SubmitPair]:
        """Take the profit above or stop the loss below: both on one side, as pairs are."""
        rng, market = self._rng, self._market
        symbol, side = rng.choice(list(SYMBOLS)), rng.choice((Side.BUY, Side.SELL))
        words: dict[str, Any] = {"account": self.account, "symbol": symbol, "side": side}
        words["quantity"] = SYMBOLS[symbol].lot * rng.randint(1, 4)
        price = market.price(symbol, -side.sign * rng.randint(1, 8))
        one = SubmitOrder(client_order_id=client_order_id, order_type=OrderType.LIMIT, price=price, **words)
        stop_price = market.price(symbol, side.sign * rng.randint(1, 8))
        other = SubmitOrder(order_type=OrderType.STOP, stop_price=stop_price, **words)
        return one, SubmitPair(legs=(one, other))

    def _intent(self, client_order_id: str) -> SubmitOrder:
        rng = self._rng
        if self._racing:
            return SubmitOrder(
                account=self.account,
                client_order_id=client_order_id,
                symbol="AAPL",
                side=Side.BUY,
                order_type=OrderType.LIMIT,
                quantity=Decimal(rng.randint(2, 4)),
                price=self._market.price("AAPL", rng.randint(-20, 2)),
            )
        symbol = rng.choice(list(SYMBOLS))
        side = rng.choice((Side.BUY, Side.BUY, Side.SELL))
        words: dict[str, Any] = {"quantity": SYMBOLS[symbol].lot * rng.randint(1, 4)}
        kind = rng.choices(
            (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP),
            (3, 6, 1, 1, 1),
        )[0]
        near = self._market.price(symbol, rng.randint(-8, 8))
        if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            words["price"] = near
        if kind in (OrderType.STOP, OrderType.STOP_LIMIT):
            words["stop_price"] = self._market.price(symbol, side.sign * rng.randint(1, 8))
        if kind is OrderType.TRAILING_STOP:
            words["trail"] = str(SYMBOLS[symbol].price_tick * rng.randint(1, 8))
        if kind is OrderType.LIMIT:
            words["time_in_force"] = rng.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK))
        return SubmitOrder(
            account=self.account,
            client_order_id=client_order_id,
            symbol=symbol,
            side=side,
            order_type=kind,
            **words,
        )

    async def submit(self, intent: SubmitOrder, group: SubmitBracket | SubmitPair | None = None) -> Order | None:
        """Ask until somebody answers: always in the same words, under the same id."""
        assert intent.client_order_id is not None
        self.answers.sent[intent.client_order_id] = intent
        path = PATHS[type(group)]
        for attempt in range(TRIES_MAX):
            try:
                answer = await self._doors.call("oms", "POST", path, group or intent)
            except Refused as refused:
                self._refused(intent.client_order_id, refused)
                return None
            except Unavailable:
                await self._world.loop.sleep(self._rng.uniform(0.02, 0.3) * (attempt + 1))
            else:
                orders: tuple[Order, ...] = (answer,) if isinstance(answer, Order) else answer.orders
                for order in orders:
                    self._acknowledged(order)
                return orders[0]
        self.answers.open_ended += 1
        return None

    def _acknowledged(self, order: Order) -> None:
        self.answers.acknowledged[order.client_order_id] = order
        self._shown(order)

    def _shown(self, order: Order) -> None:
        committed = self._books.orders.get(order.order_id)
        if committed is None or committed["version"] < order.version:
            self._world.violated(f"I1 {order.order_id} version {order.version} was shown and is not committed")

    def _refused(self, client_order_id: str, refused: Refused) -> None:
        self.answers.refused[client_order_id] = refused.code

    async def _change_mind(self, order: Order) -> None:
        path = "/orders/{order_id}"
        if self._rng.random() < 0.4 and self._doors.has("oms", "PATCH", path):
            quantity = order.quantity + SYMBOLS[order.symbol].lot * self._rng.randint(-1, 2)
            words: dict[str, Any] = {"quantity": max(quantity, SYMBOLS[order.symbol].lot)}
            if order.price is not None and self._rng.random() < 0.5:
                words["price"] = self._market.price(order.symbol, self._rng.randint(-8, 8))
            await self._insist(
                lambda: self._doors.call("oms", "PATCH", path, ReplaceRequest(**words), order_id=order.order_id)
            )
        else:
            await self._insist(lambda: self._doors.call("oms", "DELETE", path, order_id=order.order_id))

    async def _insist(self, ask: Callable[[], Any]) -> None:
        for attempt in range(3):
            try:
                answer = await ask()
            except Refused:
                return
            except Unavailable:
                await self._world.loop.sleep(self._rng.uniform(0.02, 0.2) * (attempt + 1))
            else:
                if isinstance(answer, Order):
                    self._shown(answer)
                return
