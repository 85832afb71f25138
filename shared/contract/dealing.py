"""What a gateway and a venue say to one another: orders as the venue holds them, its answers, its words.

Plain values that stay inside one process, so they are dataclasses and not messages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from shared.contract.orders import OrderStatus, OrderType, RouteOrder, Side, TimeInForce, VenueFill

CLIENT_ID_MARK = "t26"
_OURS = re.compile(rf"{CLIENT_ID_MARK}-([A-Za-z0-9_]{{1,24}})-(\d{{1,6}})")


def client_id(order_id: str, number: int) -> str:
    """The id under which the venue gets an order: 36 characters at most, and the order can be read off it.

    `number` is 0 for the order itself, and for the venue's order that a replacement became the replacement's number.
    """
    return f"{CLIENT_ID_MARK}-{order_id.rpartition('-')[2]}-{number}"


def order_behind(account: str, client_id: str) -> tuple[str, int] | None:
    """The order id and number behind an id that we gave to a venue; None: somebody else's order."""
    found = _OURS.fullmatch(client_id)
    return (f"{account}-{found[1]}", int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class Leg:
    """One order at the venue. An order of ours has one, and one more for each replacement not made in its place."""

    client_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    post_only: bool = False
    venue_order_id: str = ""

    @classmethod
    def of(cls, route: RouteOrder) -> Leg:
        """The order as it first goes out."""
        return cls(
            client_id(route.order_id, 0),
            route.symbol,
            route.side,
            route.order_type,
            route.quantity,
            route.price,
            route.time_in_force,
            route.post_only,
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue has done it. `venue_order_id` is what it calls the order."""

    venue_order_id: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Proof that the venue did not do it and will not: its own definitive refusal."""

    reason: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """Proof that the venue did not do it, but might if asked again later: rate limit, wrong clock, not connected."""

    why: str
    retry_after_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Unsure:
    """Nobody can say: a time-out, a 5xx, a lost connection, an answer that cannot be read."""

    why: str


Outcome = Accepted | Rejected | Throttled | Unsure


@dataclass(frozen=True, slots=True)
class VenueWord:
    """What the venue says of one of its orders: its state there, and at most one fill.

    `cumulative_quantity` is this leg's own. `client_id` is empty when the venue names none. `price` and `quantity` are
    the terms that stand there. `created_ns`, `side` and `order_type` are for orders that nobody here has sent.
    """

    client_id: str
    venue_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    status: OrderStatus
    quantity: Decimal
    price: Decimal | None
    cumulative_quantity: Decimal
    at_ns: int
    created_ns: int = 0
    fill: VenueFill | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VenueTrade:
    """An execution at the venue, as its trade listing tells it. `client_id` is empty when the listing names none."""

    client_id: str
    venue_order_id: str
    symbol: str
    side: Side
    fill: VenueFill


@dataclass(frozen=True, slots=True)
class Found:
    """The venue's authoritative answer about one order: its state now, and every fill of it so far."""

    word: VenueWord
    fills: tuple[VenueFill, ...] = ()


@dataclass(frozen=True, slots=True)
class Absent:
    """The venue's authoritative answer that it has no such order. Only one of these proves little: it may be late."""


Answer = Found | Absent | Unsure


class Errand(StrEnum):
    """What a venue can be asked to do."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    REPLACE = "replace"
    FIND = "find"


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing to ask of a venue about one leg; `price` and `quantity` are the terms of a replacement in place."""

    errand: Errand
    venue: str
    order_id: str
    number: int
    leg: Leg
    price: Decimal | None = None
    quantity: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a venue can do by itself."""

    cancel_on_disconnect: bool = False
    post_only: bool = False
    order_types: frozenset[OrderType] = frozenset({OrderType.MARKET, OrderType.LIMIT})
    times_in_force: frozenset[TimeInForce] = field(default_factory=lambda: frozenset(TimeInForce) - {TimeInForce.GTD})
