"""What an account has at risk in the worst case: what it holds, and everything of its own still open filling as well.

Filled + open + unknown (SEC 15c3-5 (c)(1)(i); MiFID II RTS 6 Art. 15(2): an order counts from when it is sent). Every
change is counted at once in the account, in its strategy and in the firm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from services.risk.core.exposure.book import Book, Line
from services.risk.core.exposure.holds import UNDECIDED, Hold, standing
from services.risk.core.exposure.resting import Resting
from shared.contract.accounts import Balance, Position
from shared.contract.orders import Order
from shared.contract.risk import Reservation
from shared.domain.lifecycle import TERMINAL

ZERO = Decimal(0)
GroupKey = tuple[str, str, str, str | None]


class Exposure:
    """One account. `wider` are the books that count its orders besides its own: the firm's and its strategy's."""

    def __init__(self, balance: Balance, book: Book, wider: Callable[[str | None], tuple[Book, ...]]) -> None:
        self.balance = balance
        self.book = book
        self.holds: dict[str, Hold] = {}
        self.positions: dict[str, Position] = {}
        self.shares: dict[tuple[str, str], Position] = {}
        self._wider = wider
        self._groups: dict[GroupKey, dict[str, tuple[Decimal, Decimal]]] = {}
        self._resting: dict[tuple[str, str], Resting] = {}

    def line(self, symbol: str) -> Line:
        """The symbol's line as it stands; an empty one when there is none."""
        return self.book.line(symbol)

    @property
    def free(self) -> Decimal:
        """The money that nothing binds; the book must be fresh."""
        return self.balance.cash - self.book.bound

    def resting(self, symbol: str, side: str) -> tuple[Decimal, str] | None:
        """The best price at which the account's own orders of a side may rest, and the order."""
        resting = self._resting.get((symbol, side))
        return resting.best() if resting is not None else None

    def more(self, wanted: Reservation) -> tuple[Decimal, Decimal]:
        """By how much quantity and notional an order would add to what is open: of one group only the largest fills."""
        quantity = wanted.quantity
        notional = quantity * wanted.price * self.book.line(wanted.symbol).multiplier
        if wanted.group is None or not (others := self._groups.get(_key(wanted))):
            return quantity, notional
        open_quantity, open_notional = _largest(others)
        return max(ZERO, quantity - open_quantity), max(ZERO, notional - open_notional)

    # Setting aside.

    def keep(self, hold: Hold) -> None:
        """Set a worst case aside, in place of what stood under the same order id."""
        wanted = hold.reservation
        standing = self.holds.get(wanted.order_id)
        if standing is not None and _same(standing.reservation, wanted):
            if standing.rests != hold.rests:
                self._rest(standing, hold)
            self.holds[wanted.order_id] = hold
            return
        self.release(wanted.order_id)
        self.holds[wanted.order_id] = hold
        self._shift(wanted, 1)
        self._rest(None, hold)

    def release(self, order_id: str) -> bool:
        """True when there was something to release."""
        hold = self.holds.pop(order_id, None)
        if hold is not None:
            self._shift(hold.reservation, -1)
            self._rest(hold, None)
        return hold is not None

    def _shift(self, reservation: Reservation, sign: int) -> None:
        symbol, side = reservation.symbol, reservation.side
        line = self.book.kept(symbol)
        notional = reservation.quantity * reservation.price * line.multiplier * sign
        quantity = reservation.quantity * sign
        if reservation.group is not None:
            quantity, notional = self._regroup(reservation, quantity, notional)
        line.open(side, quantity, notional, sign)
        for book in self._wider(reservation.strategy):
            book.kept(symbol).open(side, quantity, notional, sign)

    def _regroup(self, reservation: Reservation, quantity: Decimal, notional: Decimal) -> tuple[Decimal, Decimal]:
        key = _key(reservation)
        group = self._groups.setdefault(key, {})
        before = _largest(group)
        if quantity > 0:
            group[reservation.order_id] = quantity, notional
        else:
            group.pop(reservation.order_id, None)
        after = _largest(group)
        if not group:
            del self._groups[key]
        return after[0] - before[0], after[1] - before[1]

    def _rest(self, before: Hold | None, after: Hold | None) -> None:
        hold = after or before
        if hold is None or (hold.rests is None and (before is None or before.rests is None)):
            return
        reservation = hold.reservation
        key = reservation.symbol, reservation.side
        resting = self._resting.get(key)
        if resting is None:
            resting = self._resting[key] = Resting(1 if reservation.side == "SELL" else -1)
        if after is not None and after.rests is not None:
            resting.put(reservation.order_id, after.rests)
        else:
            resting.drop(reservation.order_id)

    # What the oms committed.

    def settle(self, position: Position | None, share: Position | None, balance: Balance | None) -> None:
        """Take over a position, a strategy's share of it and a balance; what is older than known changes nothing."""
        if balance is not None and balance.version > self.balance.version:
            self.balance = balance
        if position is not None:
            known = self.positions.get(position.symbol)
            if known is None or position.version > known.version:
                self.positions[position.symbol] = position
                self.book.kept(position.symbol).hold(known, position)
                self._wider(None)[0].kept(position.symbol).hold(known, position)
        if share is not None and share.strategy is not None:
            known = self.shares.get((share.strategy, share.symbol))
            if known is None or share.version > known.version:
                self.shares[share.strategy, share.symbol] = share
                for book in self._wider(share.strategy)[1:]:
                    book.kept(share.symbol).hold(known, share)

    def follow(self, order: Order, worst: Callable[[Order], Decimal]) -> bool:
        """Make an order's hold what the order's state demands; True when a hold ended with it.

        An order that is open and unknown here is set aside now, at its `worst` price: counting too much is safe, too
        little never. What is older than the hold changes nothing.
        """
        hold = self.holds.get(order.order_id)
        if order.status in UNDECIDED or (hold is not None and order.version <= hold.version):
            return False
        if order.status in TERMINAL or order.leaves <= 0:
            return self.release(order.order_id)
        self.keep(standing(order, hold, worst))
        return False

    def unheard(self) -> list[Hold]:
        """What was approved, and no event has shown it yet."""
        return [hold for hold in self.holds.values() if hold.version == 0 or hold.asked is not None]

    def lapse(self, hold: Hold) -> bool:
        """Let go of what was approved and never committed, unless it was renewed or heard of meanwhile."""
        order_id = hold.reservation.order_id
        if self.holds.get(order_id) is not hold:
            return False
        if hold.version == 0:
            return self.release(order_id)
        self.keep(replace(hold, asked=None, terms=(None, None)))
        return True


def _same(one: Reservation, other: Reservation) -> bool:
    return one is other or (one.quantity == other.quantity and one.price == other.price and one.group == other.group)


def _key(reservation: Reservation) -> GroupKey:
    return reservation.group or "", reservation.symbol, reservation.side, reservation.strategy


def _largest(group: dict[str, tuple[Decimal, Decimal]]) -> tuple[Decimal, Decimal]:
    if not group:
        return ZERO, ZERO
    return max(quantity for quantity, _ in group.values()), max(notional for _, notional in group.values())
