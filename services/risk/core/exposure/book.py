"""What a scope holds and has open, by symbol, and what all of it is worth: kept as running sums.

A line counts; a book values its lines, each anew only when its counts changed or its price moved. So a question costs
the same with one open order as with a hundred thousand, and with one account as with a thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal

from services.risk.core.market import Market, Touch
from shared.contract.accounts import Position

ZERO = Decimal(0)
ONE = Decimal(1)
WIDE = Context(prec=80)
STEP = Decimal("1e-8")


class Line:
    """One symbol in one scope: what is held, the sums of what may still fill on either side, and their last value.

    `held` is the sum of the accounts' holdings without their signs, `basis` what the holdings have cost and brought so
    far, fees included; both in the symbol's own units and currency, as are the notionals.
    """

    __slots__ = (
        "basis",
        "book",
        "bound",
        "buy_notional",
        "buys",
        "buys_value",
        "gross",
        "held",
        "last_price",
        "multiplier",
        "net",
        "orders",
        "profit",
        "quantity",
        "rate",
        "sell_notional",
        "sells",
        "sells_value",
        "symbol",
    )

    def __init__(self, book: Book, symbol: str, multiplier: Decimal, rate: Decimal | None) -> None:
        self.book = book
        self.symbol = symbol
        self.multiplier = multiplier
        self.rate = rate
        self.quantity = self.held = self.basis = ZERO
        self.buys = self.sells = self.buy_notional = self.sell_notional = ZERO
        self.orders = 0
        self.last_price = ZERO
        self.gross = self.net = self.buys_value = self.sells_value = self.bound = self.profit = ZERO

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

    def room(self, side: str) -> Decimal:
        """How much an order of this side may still shrink what is held."""
        return self.coverable if side == "BUY" else self.reducible

    def open(self, side: str, quantity: Decimal, notional: Decimal, orders: int) -> None:
        """So much more may fill; negative: so much less."""
        if side == "BUY":
            self.buys += quantity
            self.buy_notional += notional
        else:
            self.sells += quantity
            self.sell_notional += notional
        self.orders += orders
        self.book.orders += orders
        self.book.dirty.add(self)

    def hold(self, before: Position | None, after: Position) -> None:
        """An account's (or a strategy's) holding went from one position to another."""
        then = before.quantity if before else ZERO
        self.quantity += after.quantity - then
        self.held += abs(after.quantity) - abs(then)
        self.basis += _basis(after, self.multiplier) - (_basis(before, self.multiplier) if before else ZERO)
        self.last_price = after.last_price or self.last_price
        self.book.dirty.add(self)


def _basis(position: Position, multiplier: Decimal) -> Decimal:
    return position.realized_pnl - position.fees - position.quantity * position.average_price * multiplier


class Book:
    """Every line of one scope, valued in one currency.

    gross, net      what is held, without and with its sign
    buys_value, …   what is open on either side, at its worst price
    bound           what of an account's money the shorts bind and the open orders may cost
    profit          realised and unrealised, after fees
    unvalued        symbols without any price or without a rate to `currency`
    unquoted        symbols that nobody has quoted yet, so that their profit is not known
    """

    def __init__(
        self,
        currency: str,
        market: Market,
        instrument: Callable[[str], tuple[Decimal, Decimal | None]],
        binds: tuple[Decimal, Decimal] | None = None,
    ) -> None:
        """`instrument(symbol)`: its multiplier, and the rate from its currency to this book's.

        `binds`: the margin of shorts and the highest fee, of a book whose orders bind money.
        """
        self.currency = currency
        self.lines: dict[str, Line] = {}
        self.dirty: set[Line] = set()
        self.orders = 0
        self.gross = self.net = self.buys_value = self.sells_value = self.bound = self.profit = ZERO
        self.unvalued: set[str] = set()
        self.unquoted: set[str] = set()
        self._binds = binds is not None
        self._margin, self._fee = binds or (ZERO, ZERO)
        self._market = market
        self._instrument = instrument
        self._moves = market.moves

    def line(self, symbol: str) -> Line:
        """The symbol's line; one that nothing is in yet is not kept."""
        return self.lines.get(symbol) or Line(self, symbol, *self._instrument(symbol))

    def kept(self, symbol: str) -> Line:
        """The symbol's line, to change it."""
        line = self.lines.get(symbol)
        if line is None:
            line = self.lines[symbol] = self.line(symbol)
        return line

    def refresh(self) -> None:
        """Value what changed since the last time."""
        market = self._market
        if self._moves != market.moves:
            moved = market.moved_since(self._moves)
            self._moves = market.moves
            for symbol in self.lines if moved is None else moved:
                line = self.lines.get(symbol)
                if line is not None and (line.held or line.orders):
                    self.dirty.add(line)
        while self.dirty:
            self._value(self.dirty.pop())

    def _value(self, line: Line) -> None:
        gross, net, profit = line.gross, line.net, line.profit
        touch = self._market.touch(line.symbol)
        self._value_holdings(line, touch)
        self.gross += line.gross - gross
        self.net += line.net - net
        self.profit += line.profit - profit
        buys_value, sells_value, bound = line.buys_value, line.sells_value, line.bound
        rate = line.rate or ZERO
        line.buys_value = line.buy_notional * rate
        line.sells_value = line.sell_notional * rate
        self.buys_value += line.buys_value - buys_value
        self.sells_value += line.sells_value - sells_value
        if self._binds:
            line.bound = self._bound(line, touch.bought if touch is not None else ZERO)
            self.bound += line.bound - bound

    def _value_holdings(self, line: Line, touch: Touch | None) -> None:
        """What is held: by the last quote, else by its last fill; profit by quotes alone."""
        rate, held = line.rate, line.held
        if not held:
            line.gross = line.net = ZERO
            line.profit = line.basis * (rate or ZERO)
            self._know(line, valued=rate is not None or not line.orders, quoted=rate is not None or not line.basis)
            return
        shown = touch
        if shown is None and line.last_price:
            shown = Touch(line.last_price, line.last_price)
        if shown is None or rate is None:
            line.gross = line.net = line.profit = ZERO
            self._know(line, valued=False, quoted=False)
            return
        unit = line.multiplier * rate
        line.gross = held * shown.bought * unit
        line.net = line.quantity * (shown.sold if line.quantity > 0 else shown.bought) * unit
        line.profit = line.net + line.basis * rate
        self._know(line, valued=True, quoted=touch is not None)

    def _know(self, line: Line, *, valued: bool, quoted: bool) -> None:
        if valued and quoted and not self.unvalued and not self.unquoted:
            return
        for symbols, known in ((self.unvalued, valued), (self.unquoted, quoted)):
            if known:
                symbols.discard(line.symbol)
            else:
                symbols.add(line.symbol)

    def _bound(self, line: Line, bought: Decimal) -> Decimal:
        """What of an account's money one line binds.

        shorts    |quantity|·reference·(1 + margin)
        orders    buys at their worst price, the fees of both sides, and `margin` on what open sells would make short.
                  A buy that only buys back a short is reserved whole: too much, never too little.
        """
        if line.quantity >= 0 and not line.orders:
            return ZERO
        unit = line.multiplier * (line.rate or ZERO)
        bound = ZERO
        if line.quantity < 0:
            bound -= line.quantity * bought * unit * (ONE + self._margin)
        if line.orders:
            bound += line.buys_value + (line.buys_value + line.sells_value) * self._fee
            opening = line.sells - max(ZERO, line.quantity)
            if line.sells and opening > 0:
                # The only quotient here: kept to so many digits that a sum of it goes back to what it was.
                dearest = WIDE.quantize(line.sells_value / line.sells, STEP)
                bound += opening * max(dearest, bought * unit) * self._margin
        return bound
