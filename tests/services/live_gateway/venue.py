"""A real venue in memory, which answers as the test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed
from decimal import Decimal
from typing import Any

from services.live_gateway.venues.venue import Hear
from shared.contract.dealing import (
    Absent,
    Accepted,
    Answer,
    Capabilities,
    Found,
    Leg,
    Outcome,
    Rejected,
    Throttled,
    VenueTrade,
    VenueWord,
)
from shared.contract.orders import OrderStatus, VenueFill
from tests.services.live_gateway.conftest import NOW_NS

ZERO = Decimal(0)
OVER = (OrderStatus.FILLED, OrderStatus.CANCELED)


class FakeVenue:
    """`legs` is what it has, `let_in` each submission that it did not prove to have kept out.

    `plan` are answers to come by errand, before it acts as it should. An answer in it may be a pair (answer, True):
    then the venue does it all the same.
    """

    name = "binance"
    capabilities = Capabilities()

    def __init__(self) -> None:
        self.legs: dict[str, VenueWord] = {}
        self.fills: dict[str, list[VenueFill]] = {}
        self.plan: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.let_in: list[str] = []
        self.in_place = False
        self.down_since_ns = 0
        self.trouble: str | None = None
        self.hear: Hear | None = None
        self.silent = False
        self.external: list[VenueWord] = []

    def details(self) -> dict[str, object]:
        return {}

    def count(self, errand: str) -> int:
        return sum(kind == errand for kind, _ in self.asked)

    async def connect(self, hear: Hear) -> None:
        self.hear = hear

    async def submit(self, leg: Leg) -> Outcome:
        def act() -> Outcome:
            assert leg.client_id not in self.legs, "a second order under one client id"
            word = VenueWord(
                client_id=leg.client_id,
                venue_order_id=f"V{len(self.legs) + 1}",
                symbol=leg.symbol,
                side=leg.side,
                order_type=leg.order_type,
                status=OrderStatus.WORKING,
                quantity=leg.quantity,
                price=leg.price,
                cumulative_quantity=ZERO,
                at_ns=NOW_NS,
                created_ns=NOW_NS,
            )
            self._become(word)
            return Accepted(word.venue_order_id)

        return self._answer("submit", leg, act)

    async def cancel(self, leg: Leg) -> Outcome:
        def act() -> Outcome:
            word = self.legs.get(leg.client_id)
            if word is None or word.status in OVER:
                return Rejected("unknown order sent")
            self._become(changed(word, status=OrderStatus.CANCELED, reason="canceled by user"))
            return Accepted(word.venue_order_id)

        return self._answer("cancel", leg, act)

    def replaces(self, leg: Leg, price: Decimal | None, quantity: Decimal) -> bool:
        return self.in_place

    async def replace(self, leg: Leg, price: Decimal | None, quantity: Decimal) -> Outcome:
        def act() -> Outcome:
            word = self.legs.get(leg.client_id)
            if word is None or word.status in OVER or word.cumulative_quantity >= quantity:
                return Rejected("too late")
            self.legs[leg.client_id] = changed(word, price=price, quantity=quantity)
            return Accepted()

        return self._answer("replace", leg, act)

    async def find(self, leg: Leg) -> Answer:
        def act() -> Answer:
            word = self.legs.get(leg.client_id)
            return Found(word, tuple(self.fills.get(leg.client_id, ()))) if word else Absent()

        return self._answer("find", leg, act)

    async def open_orders(self) -> list[VenueWord]:
        live = (OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED)
        return [*self.external, *(word for word in self.legs.values() if word.status in live)]

    async def trades(self, symbols: frozenset[str], since_ns: int) -> list[VenueTrade]:
        return [
            VenueTrade(client_id, self.legs[client_id].venue_order_id, word.symbol, word.side, fill)
            for client_id, word in self.legs.items()
            for fill in self.fills.get(client_id, ())
            if fill.event_ns >= since_ns
        ]

    async def holdings(self) -> dict[str, Decimal]:
        return {"USDT": Decimal(1000)}

    async def close(self) -> None:
        return None

    def fill(self, quantity: str, *, client_id: str = "", price: str = "100", told: bool = True, **words: Any) -> None:
        """The market trades with an order."""
        client_id = client_id or list(self.legs)[-1]
        word = self.legs[client_id]
        number = sum(len(fills) for fills in self.fills.values()) + 1
        fill = VenueFill(
            execution_id=f"X{number}", price=Decimal(price), quantity=Decimal(quantity), fee=ZERO, event_ns=NOW_NS
        )
        self.fills.setdefault(client_id, []).append(fill)
        cumulative = word.cumulative_quantity + fill.quantity
        living = OrderStatus.PARTIALLY_FILLED if cumulative < word.quantity else OrderStatus.FILLED
        status = word.status if word.status is OrderStatus.CANCELED else living
        self.legs[client_id] = changed(word, cumulative_quantity=cumulative, status=status)
        if told:
            self.say(changed(self.legs[client_id], fill=fill, **words))

    def say(self, word: VenueWord) -> None:
        assert self.hear is not None
        self.hear(word)

    def _become(self, word: VenueWord) -> None:
        self.legs[word.client_id] = word
        if not self.silent:
            self.say(word)

    def _answer(self, errand: str, leg: Leg, act: Callable[[], Any]) -> Any:
        self.asked.append((errand, leg.client_id))
        planned = self.plan.get(errand)
        match planned.pop(0) if planned else None:
            case None:
                answer = act()
            case (answer, True):
                act()
            case answer:
                pass
        if errand == "submit" and not isinstance(answer, Throttled):
            self.let_in.append(leg.client_id)
        return answer
