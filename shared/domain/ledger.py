"""Fills folded into positions and cash: netting, through zero, shorts.

Average cost: a fill that grows a position adds to what it cost; one that shrinks it takes off that cost's share and
realises the difference to what it brought; one that goes through zero does both, the second at the fill's own price.
The same fold keeps an account's position and, over its own fills only, a strategy's share of it.

Money of a position is in its instrument's currency, money of a balance in the account's; `rate` leads from the first to
the second. Costs are kept exactly, so what is realised and held always equals the cash that moved, to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal

from shared.contract.accounts import Balance, Entry, Position, Posting
from shared.contract.orders import Fill

ZERO, ONE = Decimal(0), Decimal(1)
STEP = Decimal("1e-12")
"""Quotients and conversions are kept to twelve decimals, rounded half to even. Nothing else is ever rounded."""

_WIDE = Context(prec=60)


def signed(fill: Fill) -> Decimal:
    """The fill's quantity: positive when bought."""
    return fill.quantity * fill.side.sign


def notional(fill: Fill, multiplier: Decimal = ONE) -> Decimal:
    """What the fill is paid for with, before fees: positive when bought."""
    return _kept(signed(fill) * fill.price * multiplier)


def cost(position: Position, multiplier: Decimal = ONE) -> Decimal:
    """What the position was taken on for: positive when long."""
    if position.cost is not None:
        return position.cost
    return _kept(position.quantity * position.average_price * multiplier)


def hold(position: Position, fill: Fill, multiplier: Decimal = ONE) -> Position:
    """The position after a fill."""
    change = signed(fill)
    before, after = position.quantity, position.quantity + change
    paid, borne = notional(fill, multiplier), cost(position, multiplier)
    average, realized = position.average_price, position.realized_pnl
    if before * change >= 0:
        borne += paid
        average = _kept(borne / (after * multiplier))
    elif after * before > 0:
        relieved = _kept(borne * -change / before)
        borne -= relieved
        realized -= paid + relieved
    else:
        opened = _kept(after * fill.price * multiplier) if after else ZERO
        realized -= paid - opened + borne
        borne = opened
        average = fill.price if after else ZERO
    return position.altered(
        quantity=after,
        average_price=average,
        cost=borne,
        realized_pnl=realized,
        fees=position.fees + fill.fee,
        last_price=fill.price,
        updated_ns=fill.committed_ns,
        version=position.version + 1,
    )


def pay(balance: Balance, fill: Fill, multiplier: Decimal = ONE, rate: Decimal = ONE) -> Balance:
    """The account's money after a fill: notional against quantity, and the fee."""
    return balance.altered(
        cash=balance.cash - _charge(fill, multiplier, rate),
        fees=balance.fees + _kept(fill.fee * rate),
        version=balance.version + 1,
        updated_ns=fill.committed_ns,
    )


def entry(
    fill: Fill,
    before: Position,
    multiplier: Decimal,
    currency: str,
    rate: Decimal,
    account_currency: str,
    after: Position | None = None,
) -> Entry:
    """What a fill did to the books, as `hold` and `pay` did it; `after` is what `hold` made of `before`, if at hand.

    Per unit (the instrument's currency, the account's, the symbol) the postings sum to zero.
    """
    after = after or hold(before, fill, multiplier)
    change, charge = signed(fill), _charge(fill, multiplier, rate)
    lines = [
        ("position", fill.symbol, change),
        ("market", fill.symbol, -change),
        ("position", currency, cost(after, multiplier) - cost(before, multiplier)),
        ("realized", currency, before.realized_pnl - after.realized_pnl),
        ("fees", currency, fill.fee),
        ("cash", account_currency, -charge),
    ]
    if currency != account_currency:
        lines.append(("conversion", currency, -notional(fill, multiplier) - fill.fee))
        lines.append(("conversion", account_currency, charge))
    return Entry.made(
        account=fill.account,
        fill_id=fill.fill_id,
        postings=tuple(Posting.made(ledger=at, unit=unit, amount=amount) for at, unit, amount in lines if amount),
        at_ns=fill.committed_ns,
    )


def unrealized(position: Position, price: Decimal, multiplier: Decimal = ONE) -> Decimal:
    """What would be realised if all of it were closed at that price, in the instrument's currency."""
    return worth(position, price, multiplier) - cost(position, multiplier)


def worth(position: Position, price: Decimal, multiplier: Decimal = ONE, rate: Decimal = ONE) -> Decimal:
    """What the position counts as at that price: negative when short."""
    return _kept(_kept(position.quantity * price * multiplier) * rate)


def equity(balance: Balance, worths: Iterable[Decimal]) -> Decimal:
    """What the account would have if every position were closed: its cash, and what they are worth to it."""
    return sum(worths, balance.cash)


def average_fill_price(filled: Decimal, average: Decimal | None, quantity: Decimal, price: Decimal) -> Decimal:
    """An order's average price after `quantity` more was filled at `price`."""
    return _kept((filled * (average or ZERO) + quantity * price) / (filled + quantity))


def _charge(fill: Fill, multiplier: Decimal, rate: Decimal) -> Decimal:
    """What the fill takes out of the account's cash."""
    return _kept((notional(fill, multiplier) + fill.fee) * rate)


def _kept(value: Decimal) -> Decimal:
    rounded = value.quantize(STEP, context=_WIDE)
    return value if rounded == value else rounded.normalize() + ZERO
