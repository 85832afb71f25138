"""What is due when: orders that end by the clock, and orders of which a venue owes a word."""

from __future__ import annotations

from collections.abc import Iterator

from services.oms.core.order import untold
from services.oms.core.ranked import Ranked
from shared.contract.orders import Order, OrderStatus
from shared.domain.lifecycle import TERMINAL

ASKED = (OrderStatus.ACCEPTED, OrderStatus.ROUTED, OrderStatus.PENDING_UNKNOWN, OrderStatus.PENDING_CANCEL)


def owes(order: Order) -> bool:
    """Whether the venue has been asked something about the order that it has not answered."""
    if order.status in TERMINAL or untold(order):
        return False
    return order.status in ASKED or order.replacing is not None or bool(order.leaving)


class Owed:
    """Orders a venue owes a word of, the one that has waited longest first."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._since)

    def note(self, order: Order, now_ns: int) -> None:
        """The order changed: the wait begins anew, or is over."""
        self._since.pop(order.order_id, None)
        if owes(order):
            self._since[order.order_id] = now_ns

    def drop(self, order_id: str) -> None:
        self._since.pop(order_id, None)

    def longest(self, now_ns: int, age_s: float) -> Iterator[str]:
        """Those that have waited for so long. They wait anew from now on."""
        before_ns = now_ns - round(age_s * 1e9)
        while self._since:
            order_id, since_ns = next(iter(self._since.items()))
            if since_ns > before_ns:
                return
            del self._since[order_id]
            self._since[order_id] = now_ns
            yield order_id


class Deadlines:
    """When orders end by the clock: their own time, or a second person's time to let them through."""

    def __init__(self, release_wait_s: float) -> None:
        self._release_wait_ns = round(release_wait_s * 1e9)
        self._due: Ranked[str] = Ranked()

    def note(self, order: Order) -> None:
        """The order changed."""
        due_ns = self.of(order)
        if due_ns is None:
            self._due.drop(order.order_id)
        else:
            self._due.put(order.order_id, due_ns)

    def drop(self, order_id: str) -> None:
        self._due.drop(order_id)

    def of(self, order: Order) -> int | None:
        """When the order ends by the clock unless something ends it before; None: never, or it is on its way out."""
        if order.status in TERMINAL or order.leaving:
            return None
        if order.status is not OrderStatus.PENDING_RISK:
            return order.expire_ns
        lapse_ns = order.created_ns + self._release_wait_ns
        return min(lapse_ns, order.expire_ns or lapse_ns)

    def passed(self, now_ns: int) -> list[str]:
        """Take out what is due."""
        return self._due.up_to(now_ns)
