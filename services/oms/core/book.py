"""The book: every open order and every account as decided so far, ahead of the disk by the commits in flight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from services.oms.core.due import Deadlines, Owed
from services.oms.core.holdings import Holdings, Terms
from services.oms.core.order import WAITING
from services.oms.core.stops import Stops
from shared.contract.accounts import Balance, Entry, Position
from shared.contract.orders import Command, Fill, Order, OrderEvent, OrderStatus, Report
from shared.contract.risk import Reservation, Verdict
from shared.domain.lifecycle import OPEN, TERMINAL

OVER_KEPT = 20_000
"""So many orders that are over are still known to have been, so that asking for one again costs risk nothing."""


@dataclass(frozen=True, slots=True)
class Change:
    """One order's change, with all that is to be committed together with it."""

    event: OrderEvent
    commands: tuple[Command, ...] = ()
    verdict: Verdict | None = None
    entry: Entry | None = None
    reservation: Reservation | None = None
    released: bool = False

    @property
    def order(self) -> Order:
        return self.event.order


class Book:
    """Open orders by id, with their fills and what is set aside for them; groups that still have an open order."""

    def __init__(self, terms: Terms, release_wait_s: float, turn: tuple[int, int] = (1, 1)) -> None:
        self._terms = terms
        self._turn = turn
        self._release_wait_s = release_wait_s
        self._newest_ns = 0
        self.orders: dict[str, Order] = {}
        self.fills: dict[str, set[str]] = {}
        self.groups: dict[str, set[str]] = {}
        self.reservations: dict[str, Reservation] = {}
        self.holdings = Holdings(terms)
        self.stops = Stops()
        self.deadlines = Deadlines(release_wait_s)
        self.owed = Owed()
        self._in_flight: Counter[str] = Counter()
        self._resting: dict[str, list[str]] = {}
        self._over: dict[str, None] = {}

    def blank(self) -> Book:
        """An empty book of the same terms, to be filled from the store; what the market shows stands."""
        other = Book(self._terms, self._release_wait_s, self._turn)
        other._newest_ns = self._newest_ns
        other.stops = self.stops.emptied()
        return other

    def next_ns(self, now_ns: int) -> int:
        """A time that no other order or fill has, so that it can serve as a cursor: now, in whole microseconds.

        Copies of the oms that work side by side take turns: of two, one has the even microseconds, the other the odd.
        """
        at_us, (index, count) = max(now_ns // 1000, self._newest_ns // 1000 + 1), self._turn
        self._newest_ns = (at_us + (index - at_us) % count) * 1000
        return self._newest_ns

    def open_orders(self) -> Iterator[Order]:
        """All of them; to be asked for by people and at a start, never for each order or tick."""
        return (order for order in self.orders.values() if order.status in OPEN)

    def knows(self, order_id: str) -> bool:
        """Whether there certainly is such an order; the store may know of more."""
        return order_id in self.orders or order_id in self._over

    def members(self, group: str) -> list[Order]:
        """The orders of a group, the first one first; none of a group that is over."""
        members = [self.orders[order_id] for order_id in self.groups.get(group, ())]
        return sorted(members, key=_created)

    # As it was committed.

    def restore(
        self, balance: Balance | None, positions: Iterable[Position], reservations: Iterable[Reservation]
    ) -> None:
        """Take up an account."""
        self.holdings.restore(balance, positions)
        self.reservations |= {one.order_id: one for one in reservations}

    def take(self, order: Order, fills: set[str]) -> None:
        """Take up an order."""
        self.fills[order.order_id] = fills
        self._newest_ns = max(self._newest_ns, order.created_ns, order.updated_ns)
        self._put(order)

    # As it is decided.

    def opening(
        self,
        order: Order,
        commands: tuple[Command, ...] = (),
        verdict: Verdict | None = None,
    ) -> Change:
        """The change by which an order begins. It stands here only once it is committed, by `enter`."""
        balance = self.holdings.balance(order.account)
        opening = None if balance.version else balance
        event = OrderEvent.made(account=order.account, order=order, balance=opening)
        reservation = verdict.reservation if verdict is not None and order.status is OrderStatus.ACCEPTED else None
        return Change(event, commands, verdict, reservation=reservation)

    def enter(self, change: Change) -> None:
        """An order began."""
        order = change.order
        if order.status not in OPEN:
            self._remember(order.order_id)
        if order.status not in OPEN or order.order_id in self.orders:
            return
        if change.reservation is not None:
            self.reservations[order.order_id] = change.reservation
        self._put(order)

    def note(
        self,
        order: Order,
        commands: tuple[Command, ...] = (),
        *,
        fill: Fill | None = None,
        report: Report | None = None,
        reservation: Reservation | None = None,
    ) -> Change:
        """Enter a decided change; what it did to the account, and what is left set aside."""
        posted = self.holdings.post(fill) if fill else None
        if fill is not None:
            self.fills.setdefault(order.order_id, set()).add(fill.fill_id)
        event = OrderEvent.made(
            account=order.account,
            order=order,
            fill=fill,
            report=report,
            position=posted.position if posted else None,
            strategy_position=posted.strategy_position if posted else None,
            balance=posted.balance if posted else None,
        )
        left, released = self._set_aside(order, reservation)
        self._in_flight[order.order_id] += 1
        self._put(order)
        return Change(event, commands, None, posted.entry if posted else None, left, released)

    @contextmanager
    def resting(self, order: Order, epoch: str) -> Generator[None]:
        """Meanwhile a change of the order is on its way to the disk that holds only in that life of risk."""
        key = order.group or order.order_id
        lives = self._resting.setdefault(key, [])
        lives.append(epoch)
        try:
            yield
        finally:
            lives.remove(epoch)
            if not lives:
                self._resting.pop(key, None)

    def rest_on(self, changes: Iterable[Change]) -> set[str]:
        """The lives of risk in which alone these changes hold, because what they are built upon holds in no other."""
        if not self._resting:
            return set()
        keys = {change.order.group or change.order.order_id for change in changes}
        return {epoch for key in keys for epoch in self._resting.get(key, ())}

    def undo(self, change: Change, before: Order, reservation: Reservation | None) -> bool:
        """Take back a change that was not committed after all; False when something was built upon it meanwhile."""
        order_id = before.order_id
        self._landed(order_id)
        if self.orders.get(order_id) is not change.order:
            return False
        self.reservations.pop(order_id, None)
        if reservation is not None:
            self.reservations[order_id] = reservation
        self._put(before)
        return True

    def settled(self, change: Change) -> None:
        """A change is committed. Once an order is over, with all of its group, only the store knows it."""
        order_id = change.order.order_id
        if change.order.version > 1:
            self._landed(order_id)
        self.let_go(order_id)

    def unsettled(self, order_id: str) -> bool:
        """Whether a change of the order is on its way to the disk."""
        return order_id in self._in_flight

    def let_go(self, order_id: str) -> None:
        """Drop an order if it is over, with all of its group, and nothing of them is on its way to the disk."""
        order = self.orders.get(order_id)
        if order is None or order.status in OPEN:
            return
        together = tuple(self.groups.get(order.group, ())) if order.group else (order_id,)
        if any(one in self._in_flight or self.orders[one].status in OPEN for one in together):
            return
        for one in together:
            self._remember(one)
            self.orders.pop(one, None)
            self.fills.pop(one, None)
        if order.group:
            self.groups.pop(order.group, None)

    def _remember(self, order_id: str) -> None:
        self._over[order_id] = None
        if len(self._over) > OVER_KEPT:
            del self._over[next(iter(self._over))]

    def _landed(self, order_id: str) -> None:
        """One change fewer of the order is on its way to the disk."""
        self._in_flight[order_id] -= 1
        if self._in_flight[order_id] <= 0:
            del self._in_flight[order_id]

    def _put(self, order: Order) -> None:
        order_id = order.order_id
        self.orders[order_id] = order
        if order.group:
            self.groups.setdefault(order.group, set()).add(order_id)
        self.owed.note(order, order.updated_ns)
        self.deadlines.note(order)
        if order.held and order.status in OPEN - WAITING:
            self.stops.put(order)
        else:
            self.stops.drop(order_id)

    def _set_aside(self, order: Order, reservation: Reservation | None) -> tuple[Reservation | None, bool]:
        """What is left set aside for the order if that changed, and whether it was all released."""
        order_id = order.order_id
        held = self.reservations.get(order_id)
        wanted = reservation or held
        if wanted is None:
            return None, False
        left = _may_still_fill(order)
        if order.status in TERMINAL or left <= 0:
            self.reservations.pop(order_id, None)
            return None, held is not None
        price = max(wanted.price, held.price) if held is not None and order.replacing else wanted.price
        if (left, price) != (wanted.quantity, wanted.price):
            wanted = wanted.altered(quantity=left, price=price)
        self.reservations[order_id] = wanted
        return (None if wanted is held else wanted), False


def _may_still_fill(order: Order) -> Decimal:
    """By the terms that stand, and by those that are on their way."""
    whole = max(order.quantity, order.replacing.quantity) if order.replacing else order.quantity
    return whole - order.filled_quantity


def _created(order: Order) -> int:
    return order.created_ns
