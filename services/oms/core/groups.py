"""Groups: what the orders of a bracket or an OCO pair mean for one another.

Everything follows from the orders as they stand. The exits of a bracket may fill what the entry has filled, the legs of
a pair the quantity they share; `left` is that, less what exits or legs have filled. So each of them is to fill
`left` more and no more: it shrinks or grows to that, and when nothing is left it ends.

A stop that is reached while a venue may still fill its sibling waits here, the sibling is cancelled, and the stop goes
out with the sibling's end. So where all peers but one are stops, no two of them are ever at a venue together, and of
the group no more than the largest can fill. Two LIMIT legs are there together from the beginning: both may fill.

What only ends or shrinks needs nobody's leave and happens with the change that it follows from, in one commit; to go
live or to grow, an exit needs risk's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.oms.core.order import WAITING, may_fill, queued, untold
from shared.contract.orders import STOPPED, Order, OrderStatus, Role
from shared.domain.lifecycle import OPEN

ENTRY_UNFILLED = "its entry ended unfilled"
EXITED = "all that was filled is closed again"
SIBLING_FILLED = "its sibling was filled"
SIBLING_REACHED = "its sibling's stop was reached"

AT_WORK = frozenset({OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED})
"""The venue has said that it has it; before that, and in doubt, new terms might overtake the order."""


@dataclass(frozen=True, slots=True)
class Group:
    """The orders of one group."""

    orders: Sequence[Order]

    @property
    def entry(self) -> Order | None:
        return next((order for order in self.orders if order.role is Role.ENTRY), None)

    @property
    def peers(self) -> list[Order]:
        """Exits or legs."""
        return [order for order in self.orders if order.role is not Role.ENTRY]

    @property
    def whole(self) -> Decimal:
        """What the peers may fill together."""
        if self.entry is not None:
            return self.entry.filled_quantity
        return max((order.pair_quantity or order.quantity for order in self.peers), default=Decimal(0))

    @property
    def left(self) -> Decimal:
        return self.whole - sum((order.filled_quantity for order in self.peers), Decimal(0))

    @property
    def netted(self) -> bool:
        """Whether no more than the largest of the peers can fill: never two of them are at a venue together."""
        return sum(order.order_type not in STOPPED for order in self.peers) <= 1

    def occupied(self, order: Order) -> bool:
        """Whether a venue may still fill a sibling of it."""
        return any(may_fill(one) for one in self.peers if one.order_id != order.order_id)

    def waits(self, order: Order) -> bool:
        """Whether a stop that is reached must not go out yet: its sibling may fill, or the entry alone can. The entry
        itself waits for nobody."""
        return order.role is not Role.ENTRY and (self.left <= 0 or self.occupied(order))

    def going_out(self) -> Order | None:
        """The stop that was reached and need not wait any more."""
        return next((order for order in self.peers if queued(order) and not self.waits(order)), None)

    def ending(self) -> list[tuple[Order, str]]:
        """The orders that have to end now, and why."""
        entry, whole = self.entry, self.whole
        standing = [order for order in self.peers if _stands(order)]
        entered = entry is not None and entry.status in OPEN
        if whole <= 0:
            return [] if entered else [(order, ENTRY_UNFILLED) for order in standing]
        if self.left > 0:
            reached = any(queued(order) for order in self.peers)
            return [(order, SIBLING_REACHED) for order in standing if reached and not untold(order)]
        if entry is None or not entered:
            return [(order, SIBLING_FILLED) for order in standing]
        # The entry may fill yet while it is being cancelled. What waits here waits on, to close that as well.
        ending = [(order, SIBLING_FILLED) for order in standing if not untold(order)]
        return [(entry, EXITED), *ending] if _stands(entry) else ending

    def shrinking(self) -> list[tuple[Order, Decimal]]:
        """The peers that could fill more than is left, and their new wholes."""
        left = self.left
        if left <= 0:
            return []
        wanted = [(order, order.filled_quantity + left) for order in self.peers if _can_change(order)]
        return [
            (order, whole)
            for order, whole in wanted
            if whole < order.quantity and (order.role is Role.LEG or order.status is not OrderStatus.NEW)
        ]

    def growing(self) -> list[tuple[Order, Decimal]]:
        """The exits that could fill less than is left, or are not live yet, and their new wholes."""
        left = self.left
        if left <= 0 or self.entry is None:
            return []
        wanted = [(order, order.filled_quantity + left) for order in self.peers if _can_change(order)]
        return [
            (order, whole)
            for order, whole in wanted
            if (whole > order.quantity if order.status is not OrderStatus.NEW else self._may_begin(order))
        ]

    def _may_begin(self, order: Order) -> bool:
        """A stop waits here first; what goes to the venue at once must find no sibling there."""
        return order.held or not self.occupied(order)


def _stands(order: Order) -> bool:
    """Whether it is open and nobody has asked for its end."""
    return order.status in OPEN and not order.leaving and order.status is not OrderStatus.PENDING_CANCEL


def _can_change(order: Order) -> bool:
    if not _stands(order) or order.replacing is not None:
        return False
    return untold(order) or order.status in WAITING or order.status in AT_WORK
