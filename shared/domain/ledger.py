"""Fills folded into positions and cash: netting, through zero, shorts.

Average cost: a fill that grows a position moves its average price; one that shrinks it realises the difference between
its price and the average; one that goes through zero does both, the second at the fill's own price.
"""

from __future__ import annotations

from decimal import Decimal

from shared.contract.accounts import Balance, Position
from shared.contract.orders import Fill

ZERO = Decimal(0)
AVERAGE_STEP = Decimal("1e-12")
"""Averages are quotients: kept to twelve decimals, rounded half to even. Nothing else is ever rounded."""


def signed(fill: Fill) -> Decimal:
    """The fill's quantity: positive when bought."""
    return fill.quantity * fill.side.sign


def hold(position: Position, fill: Fill) -> Position:
    """The position after a fill."""
    change = signed(fill)
    before, after = position.quantity, position.quantity + change
    average, realized = position.average_price, position.realized_pnl
    if before * change >= 0:
        average = _average(before, average, change, fill.price)
    else:
        closed = min(abs(before), abs(change)) * (1 if before > 0 else -1)
        realized += closed * (fill.price - average)
        if after * before < 0:
            average = fill.price
        elif after == 0:
            average = ZERO
    return position.model_copy(
        update={
            "quantity": after,
            "average_price": average,
            "realized_pnl": realized,
            "fees": position.fees + fill.fee,
            "last_price": fill.price,
            "updated_ns": fill.committed_ns,
            "version": position.version + 1,
        }
    )


def pay(balance: Balance, fill: Fill) -> Balance:
    """The account's money after a fill: notional against quantity, and the fee."""
    return balance.model_copy(
        update={
            "cash": balance.cash - signed(fill) * fill.price - fill.fee,
            "fees": balance.fees + fill.fee,
            "version": balance.version + 1,
            "updated_ns": fill.committed_ns,
        }
    )


def average_fill_price(filled: Decimal, average: Decimal | None, quantity: Decimal, price: Decimal) -> Decimal:
    """An order's average price after `quantity` more was filled at `price`."""
    return _average(filled, average or ZERO, quantity, price)


def _average(held: Decimal, average: Decimal, change: Decimal, price: Decimal) -> Decimal:
    total = held + change
    if total == 0:
        return ZERO
    return ((held * average + change * price) / total).quantize(AVERAGE_STEP).normalize() + ZERO
