"""The worst that may come of an account's orders, worked out from the orders alone and in no way that risk does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.contract.orders import OrderStatus
from shared.domain.lifecycle import OPEN

ZERO = Decimal(0)
WAITING = {OrderStatus.NEW, OrderStatus.PENDING_RISK}
"""Open, but not let in by risk yet."""
STOPS = ("STOP", "STOP_LIMIT", "TRAILING_STOP")

Words = Mapping[str, Any]


@dataclass
class Limit:
    """How much of a symbol an account or a strategy may come to hold, long and short."""

    long: Decimal
    short: Decimal


def exposed(order: Words) -> bool:
    """Whether it may still fill, so that it counts as worst case."""
    status = OrderStatus(order["status"])
    return status in OPEN and status not in WAITING


def stopped(order: Words) -> bool:
    return order["order_type"] in STOPS


def held(order: Words) -> bool:
    """Whether it waits for its stop, unknown to the venue."""
    return stopped(order) and not int(order["triggered_ns"] or 0)


def there(order: Words) -> bool:
    """Whether the venue was told of it: a stop is ACCEPTED until it goes out."""
    return exposed(order) and not (order["status"] == "ACCEPTED" and stopped(order))


def sign(words: Words) -> int:
    return 1 if words["side"] == "BUY" else -1


def leaves(order: Words) -> Decimal:
    """What may still fill of it, a replacement on its way included."""
    quantity = Decimal(order["quantity"])
    if order["replacing"]:
        quantity = max(quantity, Decimal(order["replacing"]["quantity"]))
    return quantity - Decimal(order["filled_quantity"])


def netted(peers: list[Words]) -> bool:
    """Whether never two exits or legs of a group are at the venue together: all but one begin as stops held here."""
    return sum(not stopped(order) for order in peers) <= 1


def together(orders: list[Words]) -> Decimal:
    """What exits or legs of one group may still fill: the largest of them, or all when they are there together."""
    left = [leaves(order) for order in orders if exposed(order)]
    return max(left, default=ZERO) if netted(orders) else sum(left, ZERO)


def open_of(orders: Iterable[Words]) -> dict[int, Decimal]:
    """What may still fill of some orders in one symbol, by side."""
    sides = {1: ZERO, -1: ZERO}
    groups: dict[tuple[str, int], list[Words]] = defaultdict(list)
    for order in orders:
        if order["group"] and order["role"] != "ENTRY":
            groups[order["group"], sign(order)].append(order)
        elif exposed(order):
            sides[sign(order)] += leaves(order)
    for (_, side), some in groups.items():
        sides[side] += together(some)
    return sides
