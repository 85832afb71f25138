"""What an account has at risk in the worst case: what it holds, and everything of its own still open filling as well.

Filled + open + unknown (SEC 15c3-5 (c)(1)(i); MiFID II RTS 6 Art. 15(2): an order counts from when it is sent). Kept as
running sums per symbol, so that a check costs the same with one open order as with a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from shared.contract.accounts import Balance, Position
from shared.contract.orders import Order, OrderStatus
from shared.contract.risk import Reservation, Verdict
from shared.domain.lifecycle import OPEN, TERMINAL

ZERO = Decimal(0)
UNDECIDED = frozenset({OrderStatus.NEW, OrderStatus.PENDING_RISK})
"""Not yet approved, so not yet exposure: risk itself has still to be asked."""

EXPOSED = OPEN - UNDECIDED
"""These may fill."""


@dataclass(slots=True)
class Line:
    """One symbol of one account: what is held, and the sums of what may still fill on either side."""

    multiplier: Decimal
    quantity: Decimal = ZERO
    version: int = -1
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    buy_notional: Decimal = ZERO
    sell_notional: Decimal = ZERO

    @property
    def worst_long(self) -> Decimal:
        return self.quantity + self.buys

    @property
    def worst_short(self) -> Decimal:
        return self.sells - self.quantity

    @property
    def coverable(self) -> Decimal:
        """How much a further buy may buy before it opens a long, all open buys having filled before it."""
        return max(ZERO, -self.quantity - self.buys)

    @property
    def reducible(self) -> Decimal:
        """How much a further sell may sell before it opens a short, all open sells having filled before it."""
        return max(ZERO, self.quantity - self.sells)

    def add(self, reservation: Reservation, sign: int) -> None:
        quantity = reservation.quantity * sign
        notional = quantity * reservation.price * self.multiplier
        if reservation.side == "BUY":
            self.buys += quantity
            self.buy_notional += notional
        else:
            self.sells += quantity
            self.sell_notional += notional


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation, and the version of its order as last heard (0: not yet heard of).

    `verdict` is kept for as long as it may be asked for again: once the order is heard of, the oms has it on disk.
    """

    reservation: Reservation
    version: int = 0
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Money:
    """An account's money at one moment. `unpriced` is a short that nothing is known to value by, or None."""

    cash: Decimal
    shorts: Decimal
    reserved: Decimal
    unpriced: str | None

    @property
    def free(self) -> Decimal:
        return self.cash - self.shorts - self.reserved


@dataclass(slots=True)
class Exposure:
    """One account."""

    balance: Balance
    multiplier: Callable[[str], Decimal]
    lines: dict[str, Line] = field(default_factory=dict[str, Line])
    holds: dict[str, Hold] = field(default_factory=dict[str, Hold])

    def line(self, symbol: str) -> Line:
        """The symbol's line as it stands; an empty one when there is none."""
        return self.lines.get(symbol) or Line(self.multiplier(symbol))

    def _line(self, symbol: str) -> Line:
        return self.lines.setdefault(symbol, self.line(symbol))

    def keep(self, hold: Hold) -> None:
        """Set a worst case aside, in place of what stood under the same order id."""
        self.release(hold.reservation.order_id)
        self.holds[hold.reservation.order_id] = hold
        self._line(hold.reservation.symbol).add(hold.reservation, 1)

    def release(self, order_id: str) -> bool:
        """True when there was something to release."""
        hold = self.holds.pop(order_id, None)
        if hold is not None:
            self._line(hold.reservation.symbol).add(hold.reservation, -1)
        return hold is not None

    def settle(self, position: Position | None, balance: Balance | None) -> None:
        """Take over a position and a balance; an older one than what is known changes nothing."""
        if balance is not None and balance.version > self.balance.version:
            self.balance = balance
        if position is not None:
            line = self._line(position.symbol)
            if position.version > line.version:
                line.quantity, line.version = position.quantity, position.version

    def follow(self, order: Order, price: Callable[[], Decimal]) -> bool:
        """Make an order's hold what the order's state demands; True when no reservation may be left of it.

        An order that is open and unknown here is set aside now, at `price()`: counting too much is safe, too little
        never. What is older than the hold changes nothing.
        """
        hold = self.holds.get(order.order_id)
        if order.status in UNDECIDED or (hold is not None and order.version <= hold.version):
            return False
        if order.status in TERMINAL:
            released = self.release(order.order_id)
            # After a restart only the store may still hold one; a denied order never had one.
            return released or order.status is not OrderStatus.DENIED
        reservation = hold.reservation if hold else _reservation(order, price())
        left = reservation.model_copy(update={"quantity": order.leaves})
        self.keep(Hold(left, order.version))
        return False

    def renew(self, order_id: str, now_ns: int) -> Reservation:
        """The same reservation, dated anew."""
        hold = self.holds[order_id]
        reservation = hold.reservation.model_copy(update={"reserved_ns": now_ns})
        self.holds[order_id] = replace(hold, reservation=reservation)
        return reservation

    def money(self, buy_back: Callable[[str], Decimal | None], margin: Decimal, fee: Decimal) -> Money:
        """cash, what the shorts bind, and what the open orders may cost.

        shorts    Σ |quantity|·reference·(1 + margin) over the short positions
        reserved  Σ buys at their worst price, and the fees of both sides, and `margin` on what open sells would make
                  short. A buy that only buys back a short is reserved whole: too much, never too little.
        """
        shorts = reserved = ZERO
        unpriced = None
        for symbol, line in self.lines.items():
            reference = None
            if line.quantity < 0 or line.sells:
                reference = buy_back(symbol)
            if line.quantity < 0:
                if reference is None:
                    unpriced = symbol
                else:
                    shorts -= line.quantity * reference * line.multiplier * (1 + margin)
            if line.buys or line.sells:
                reserved += line.buy_notional + (line.buy_notional + line.sell_notional) * fee
                reserved += _short_margin(line, reference, margin)
        return Money(self.balance.cash, shorts, reserved, unpriced)


def _short_margin(line: Line, reference: Decimal | None, margin: Decimal) -> Decimal:
    opening = line.sells - max(ZERO, line.quantity)
    if not line.sells or opening <= 0:
        return ZERO
    unit = max(line.sell_notional / line.sells, (reference or ZERO) * line.multiplier)
    return opening * unit * margin


def _reservation(order: Order, price: Decimal) -> Reservation:
    return Reservation(
        account=order.account,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side.value,
        quantity=order.quantity,
        price=price,
        strategy=order.strategy,
        reserved_ns=order.created_ns,
    )


def need(line: Line, side: str, quantity: Decimal, price: Decimal, rates: tuple[Decimal, Decimal, Decimal]) -> Decimal:
    """The most by which an order can lower the free money, if it fills at its worst price.

    rates are (margin, fee, what a unit of a short costs to buy back).
    buy       opening part: price and fee; the part that buys back a short: only what exceeds the collateral it frees
    sell      opening part: margin and fee; the part that sells what is held: nothing, its proceeds pay its fee
    The margin is there for what moves after the decision, the slippage of a short's own sale included.
    """
    margin, fee, reference = rates
    if side == "SELL":
        return (quantity - min(quantity, line.reducible)) * price * (margin + fee) * line.multiplier
    covering = min(quantity, line.coverable)
    excess = max(ZERO, price * (1 + fee) - reference * (1 + margin))
    return ((quantity - covering) * price * (1 + fee) + covering * excess) * line.multiplier
