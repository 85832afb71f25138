"""The exchange: a real venue's own side. What it has is the truth, whoever lives to hear of it.

It matches by the quotes of the market, in parts, and says what it does in words of which some come late, twice, out of
order or not at all. It knows nothing of the project but the terms of the orders that reach it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from shared.contract.dealing import (
    Absent,
    Accepted,
    Answer,
    Found,
    Leg,
    Outcome,
    Rejected,
    Unsure,
    VenueTrade,
    VenueWord,
)
from shared.contract.orders import AT_ONCE, OrderStatus, OrderType, TimeInForce, VenueFill
from tests.simulation.market import SYMBOLS, Market
from tests.simulation.store import NOBODY
from tests.simulation.world import World

ZERO = Decimal(0)
FEE = Decimal("0.0001")
LATE_S = 0.6
"""How long after an order's end its last fill may come to be told."""

LIVING = (OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED)


@dataclass(eq=False)
class Placed:
    """One order there."""

    leg: Leg
    venue_order_id: str
    created_ns: int
    quantity: Decimal
    status: OrderStatus = OrderStatus.WORKING
    fills: list[VenueFill] = field(default_factory=list[VenueFill])
    untold: list[VenueFill] = field(default_factory=list[VenueFill])

    @property
    def filled(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), ZERO)

    @property
    def left(self) -> Decimal:
        return self.quantity - self.filled


class Exchange:
    """One account's orders."""

    def __init__(self, world: World, market: Market) -> None:
        self._world = world
        self._market = market
        self.placed: dict[str, Placed] = {}
        self.hears: Callable[[VenueWord], None] = lambda word: None
        self.accepts: Callable[[Placed], None] = lambda placed: None
        self.excuse: Callable[[Leg], None] = lambda leg: None
        self._executions = 0
        self.busy = 0
        """What is under way to it and from it."""

    # What is asked of it.

    def submit(self, leg: Leg) -> Outcome:
        if leg.client_id in self.placed:
            return Rejected("duplicate client id")
        if self._world.fate("venue_rejects"):
            return Rejected("the venue wants no such order")
        if leg.post_only and self._touch(leg) is not None:
            return Rejected("it would take")
        one = Placed(leg, f"V{len(self.placed) + 1}", self._world.loop.now_ns(), leg.quantity)
        self.placed[leg.client_id] = one
        self.accepts(one)
        self._say(one)
        self._world.loop.call_later(self._world.hop_s(), self._arrived, one, context=NOBODY)
        return Accepted(one.venue_order_id)

    def cancel(self, leg: Leg) -> Outcome:
        one = self.placed.get(leg.client_id)
        if one is None or one.status not in LIVING:
            return Rejected("unknown order sent")
        if self._world.fate("fill_crosses") and one.left:
            self._fill(one, self._some(one), self._market.price(leg.symbol, 0), told=False)
        if one.status not in LIVING:
            return Rejected("unknown order sent")
        self._end(one, OrderStatus.CANCELED, "cancelled by its sender")
        if self._world.fate("fill_after_end"):
            self._later(one)
        return Accepted(one.venue_order_id)

    def amend(self, leg: Leg, quantity: Decimal) -> Outcome:
        """Less of it, in its place."""
        one = self.placed.get(leg.client_id)
        if one is None or one.status not in LIVING or quantity <= one.filled:
            return Rejected("too late")
        one.quantity = quantity
        self._say(one)
        return Accepted(one.venue_order_id)

    def find(self, leg: Leg) -> Answer:
        one = self.placed.get(leg.client_id)
        if one is None:
            return Absent()
        if one.untold:
            return Unsure("the trades and the order do not agree yet")
        return Found(self._word(one), tuple(one.fills))

    def open_orders(self) -> list[VenueWord]:
        return [self._word(one) for one in self.placed.values() if one.status in LIVING]

    def trades(self, since_ns: int) -> list[VenueTrade]:
        return [
            VenueTrade(one.leg.client_id, one.venue_order_id, one.leg.symbol, one.leg.side, fill)
            for one in self.placed.values()
            for fill in one.fills
            if fill.event_ns >= since_ns and fill not in one.untold
        ]

    def holdings(self) -> dict[str, Decimal]:
        bought = (one for one in self.placed.values() if one.leg.symbol == "BTCUSD")
        return {"BTC": sum((one.leg.side.sign * one.filled for one in bought), Decimal(7))}

    # What it does by itself.

    def quoted(self, symbol: str) -> None:
        """The market moved."""
        for one in list(self.placed.values()):
            if one.leg.symbol != symbol or one.status not in LIVING or self._world.rng.random() < 0.5:
                continue
            if (price := self._touch(one.leg)) is not None:
                self._fill(one, self._some(one), price)

    def _arrived(self, one: Placed) -> None:
        """It takes what is there; what may not rest ends."""
        leg, price = one.leg, self._touch(one.leg)
        if one.status not in LIVING:
            return
        whole = leg.time_in_force is TimeInForce.FOK
        if price is not None and not (whole and self._world.rng.random() < 0.3):
            self._fill(one, one.left if whole else self._some(one), price)
        if one.status in LIVING and leg.time_in_force in AT_ONCE:
            self._end(one, OrderStatus.EXPIRED, "the rest could not be filled at once")

    def _touch(self, leg: Leg) -> Decimal | None:
        """The price at which it would trade now."""
        far = self._market.price(leg.symbol, leg.side.sign)
        if leg.order_type is OrderType.MARKET or leg.price is None:
            return far
        return far if (leg.price - far) * leg.side.sign >= 0 else None

    def _some(self, one: Placed) -> Decimal:
        lot, rng = SYMBOLS[one.leg.symbol].lot, self._world.rng
        return one.left if rng.random() < 0.6 else min(one.left, lot * rng.randint(1, 2))

    def _fill(self, one: Placed, quantity: Decimal, price: Decimal, *, told: bool = True) -> None:
        self._executions += 1
        fill = VenueFill(
            execution_id=f"X{self._executions}",
            price=price,
            quantity=quantity,
            fee=(price * quantity * FEE).quantize(FEE * FEE),
            event_ns=self._world.loop.now_ns(),
        )
        one.fills.append(fill)
        if one.status in LIVING:
            one.status = OrderStatus.PARTIALLY_FILLED if one.left else OrderStatus.FILLED
        if told:
            self._say(one, fill)
        else:
            one.untold.append(fill)
            self.busy += 1
            self._world.loop.call_later(self._world.rng.uniform(0.0, LATE_S), self._tell, one, fill, context=NOBODY)

    def _tell(self, one: Placed, fill: VenueFill) -> None:
        self.busy -= 1
        one.untold.remove(fill)
        self._say(one, fill)

    def _later(self, one: Placed) -> None:
        """It says that an order is over, and then that more of it was filled."""
        self.busy += 1
        self._world.loop.call_later(self._world.rng.uniform(0.0, LATE_S), self._too_late, one, context=NOBODY)

    def _too_late(self, one: Placed) -> None:
        self.busy -= 1
        self.excuse(one.leg)
        self._fill(one, self._some(one), self._market.price(one.leg.symbol, 0))

    def _end(self, one: Placed, status: OrderStatus, reason: str) -> None:
        one.status = status
        self._say(one, reason=reason)

    def _say(self, one: Placed, fill: VenueFill | None = None, reason: str = "") -> None:
        self.hears(self._word(one, fill, reason))

    def _word(self, one: Placed, fill: VenueFill | None = None, reason: str = "") -> VenueWord:
        leg = one.leg
        return VenueWord(
            client_id=leg.client_id,
            venue_order_id=one.venue_order_id,
            symbol=leg.symbol,
            side=leg.side,
            order_type=leg.order_type,
            status=one.status,
            quantity=one.quantity,
            price=leg.price,
            cumulative_quantity=one.filled,
            at_ns=self._world.loop.now_ns(),
            created_ns=one.created_ns,
            fill=fill,
            reason=reason,
        )
