"""What is set aside for one order: as it was approved, as it stands at the venue, and at the worst of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from shared.contract.judgement import Judgement
from shared.contract.orders import AT_ONCE, Order, OrderStatus, OrderType
from shared.contract.risk import Reservation, RiskCheck
from shared.domain.lifecycle import OPEN

UNDECIDED = frozenset({OrderStatus.NEW, OrderStatus.PENDING_RISK})
"""Not yet approved, so not yet exposure: risk itself has still to be asked."""

EXPOSED = OPEN - UNDECIDED
"""These may fill."""


class Asked(NamedTuple):
    """New terms that were approved and that no event has shown yet: the order's new whole, and its worst price."""

    quantity: Decimal
    price: Decimal | None
    stop: Decimal | None
    worst: Decimal
    asked_ns: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation, and the version of its order as last heard (0: not yet heard of).

    `verdict` is kept for as long as it may be asked for again: once the order is heard of, the oms has it on disk.
    `terms` are the limit and the stop price it was made for, `rests` the price at which it may rest at a venue.
    `filled` is what of the order had filled as last heard: so much of it is in the position by now, and no more.
    """

    reservation: Reservation
    version: int = 0
    verdict: Judgement | None = None
    terms: tuple[Decimal | None, Decimal | None] = (None, None)
    rests: Decimal | None = None
    asked: Asked | None = None
    filled: Decimal = Decimal(0)


def standing(order: Order, hold: Hold | None, worst: Callable[[Order], Decimal]) -> Hold:
    """What an open order holds: its own terms, and whatever other terms are on their way, at the worst of them."""
    terms = order.price, order.stop_price
    quantity, asked, rests = order.leaves, hold.asked if hold else None, resting_price(order)
    price = hold.reservation.price if hold and hold.terms == terms and not hold.asked else worst(order)
    if (new := order.replacing) is not None:
        quantity = max(quantity, new.quantity - order.filled_quantity)
        price = max(price, worst(order.altered(price=new.price, quantity=new.quantity)))
        rests = _keener(order.side.value, rests, new.price)
    if asked is not None and _shows(order, asked):
        asked = None
    if asked is not None:
        quantity = max(quantity, asked.quantity - order.filled_quantity)
        price = max(price, asked.worst)
        rests = _keener(order.side.value, rests, asked.price)
    # While other terms are under way, or their price is counted, the next event is valued anew.
    settled = new is None and asked is None
    if hold is not None and (hold.reservation.quantity, hold.reservation.price) == (quantity, price):
        reservation = hold.reservation
    else:
        reservation = reservation_of(order, quantity, price, order.created_ns)
    settled_terms = terms if settled else (None, None)
    return Hold(reservation, order.version, None, settled_terms, rests, asked, order.filled_quantity)


def _shows(order: Order, asked: Asked) -> bool:
    """Whether the order carries the terms that were approved, or has them on their way."""
    if (new := order.replacing) is not None and (new.quantity, new.price) == (asked.quantity, asked.price):
        return True
    return (order.quantity, order.price, order.stop_price) == (asked.quantity, asked.price, asked.stop)


def resting_price(order: Order) -> Decimal | None:
    """The price at which an order may rest at a venue; None when it never does, or is not there yet."""
    if order.held or order.time_in_force in AT_ONCE or order.order_type is OrderType.MARKET:
        return None
    return order.price


def _keener(side: str, one: Decimal | None, other: Decimal | None) -> Decimal | None:
    if one is None or other is None:
        return one
    return max(one, other) if side == "BUY" else min(one, other)


def reservation_of(wanted: RiskCheck | Order, quantity: Decimal, price: Decimal, at_ns: int) -> Reservation:
    """What an order sets aside."""
    return Reservation.made(
        account=wanted.account,
        order_id=wanted.order_id,
        symbol=wanted.symbol,
        side=str(wanted.side),
        quantity=quantity,
        price=price,
        strategy=wanted.strategy,
        group=wanted.group,
        reserved_ns=at_ns,
    )


@dataclass(slots=True)
class Ended:
    """Orders that are over, so that an old message about one makes no ghost of it. The oldest are forgotten."""

    count_max: int = 20_000
    _versions: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, order: Order) -> None:
        self._versions[order.order_id] = order.version
        if len(self._versions) > self.count_max:
            del self._versions[next(iter(self._versions))]

    def knows(self, order: Order) -> bool:
        """Whether this state of the order is older than its end, or is its end."""
        return order.version <= self._versions.get(order.order_id, -1)
