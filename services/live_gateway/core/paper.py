"""The paper venue: every open order by symbol, and the last word on those that are over."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

import numpy as np

from services.live_gateway.core.book import Book
from services.live_gateway.core.orders import Terms, arrive, become, never_seen
from shared.contract.market import Aggressor, Instrument, Quote, Tick
from shared.contract.orders import CancelOrder, OrderStatus, ReplaceOrder, RouteOrder
from shared.contract.ticks import TickColumns
from shared.contract.venue import VenueOrder

OVER_KEPT = 2_000
"""How many orders that are over are known without asking the store; enough to bridge two messages about one order."""

QUOTIENT_MAX = Decimal("1e27")


class PaperVenue:
    """Takes orders, cancels, quotes and trades; every method returns the orders that changed, once for each report."""

    def __init__(self, instruments: Mapping[str, Instrument], terms: Terms) -> None:
        self._instruments = instruments
        self._terms = terms
        self._books: dict[str, Book] = {}
        self._symbols: dict[str, str] = {}
        self._over: OrderedDict[str, VenueOrder] = OrderedDict()
        self._newest = 0
        self.resting: set[str] = set()
        self.lives = 0

    def restore(self, orders: list[VenueOrder]) -> None:
        """Begin anew with the orders as they were committed; what the market displays stands."""
        self.lives += 1
        self._symbols.clear()
        self._over.clear()
        for book in self._books.values():
            book.clear()
        for order in orders:
            self._newest = max(self._newest, order.arrival)
            self._symbols[order.order_id] = order.order.symbol
            self._book(order.order.symbol).rest(order)
        self.resting = {symbol for symbol, book in self._books.items() if book.bounds() != (None, None)}

    def known(self, order_id: str) -> VenueOrder | None:
        """An order that is open, or was over a moment ago."""
        symbol = self._symbols.get(order_id)
        return self._books[symbol].orders[order_id] if symbol else self._over.get(order_id)

    @property
    def symbols(self) -> frozenset[str]:
        """Everything that may be traded."""
        return frozenset(self._instruments)

    def open_count(self) -> int:
        return len(self._symbols)

    def arrive(self, route: RouteOrder, at_ns: int, received_ns: int = 0) -> list[VenueOrder]:
        """What becomes of an order at once. Nothing of it stands here before `join`: it may turn out to be known."""
        order = arrive(route, self.next_arrival(at_ns), at_ns, received_ns=received_ns)
        if why := self._trouble(route):
            return [become(order, OrderStatus.REJECTED, at_ns, why)]
        return self._book(route.symbol).arrive(order, at_ns)

    def join(self, changes: list[VenueOrder], at_ns: int) -> list[VenueOrder]:
        """Take in an order that arrived, once it is written down; what became of it on joining."""
        last = changes[-1]
        if self.known(last.order_id) is not None:
            return []
        if not last.is_open:
            self._end(last)
            return []
        symbol = last.order.symbol
        joined = self._books[symbol].join(last, at_ns)
        return self._noted(symbol, joined or [last])[: len(joined)]

    def refuse(self, route: RouteOrder, reason: str, at_ns: int, received_ns: int = 0) -> list[VenueOrder]:
        """An order that is not let out. It stands nowhere before `join`."""
        order = arrive(route, self.next_arrival(at_ns), at_ns, received_ns=received_ns)
        return [become(order, OrderStatus.REJECTED, at_ns, reason)]

    def replace(self, wanted: ReplaceOrder, at_ns: int, why: str = "") -> list[VenueOrder]:
        """New terms for an order that is known; [] when these were answered already, or it is over. `why` they are
        refused already, or nothing."""
        symbol = self._symbols.get(wanted.order_id)
        if symbol is None:
            return []
        order = self._books[symbol].orders[wanted.order_id]
        if wanted.number <= max(order.report.replaced, order.report.refused):
            return []
        if why := why or self._trouble_with_terms(order, wanted):
            return self._noted(symbol, [self._books[symbol].refuse(wanted, why, at_ns)])
        return self._noted(symbol, self._books[symbol].replace(wanted, self.next_arrival(at_ns), at_ns))

    def orders(self) -> Iterator[VenueOrder]:
        """Every open order."""
        for order_id, symbol in self._symbols.items():
            yield self._books[symbol].orders[order_id]

    def cancel(self, cancel: CancelOrder, at_ns: int) -> list[VenueOrder]:
        """A cancel of an order that is open."""
        return self._end_all([(cancel.order_id, "cancelled on request")], at_ns)

    def never_came(self, cancel: CancelOrder, at_ns: int) -> list[VenueOrder]:
        """A cancel of an order that was never seen: should it come yet, it is over."""
        return [never_seen(cancel, self.next_arrival(at_ns), at_ns)]

    def stop(self, killed: Callable[[RouteOrder], str], at_ns: int) -> list[VenueOrder]:
        """Cancel every order in a killed scope."""
        return self._end_all([(o.order_id, why) for o in self.orders() if (why := killed(o.order))], at_ns)

    def worth(self, route: RouteOrder) -> Decimal | None:
        """An order's notional at its own price, or at the best it would find now; None without either."""
        instrument = self._instruments.get(route.symbol)
        if instrument is None:
            return None
        price = route.price or self._book(route.symbol).best(route.side)
        return price and price * route.quantity * instrument.multiplier

    def quote(self, quote: Quote, at_ns: int) -> list[VenueOrder]:
        if quote.symbol not in self._instruments:
            return []
        changes = self._book(quote.symbol).quote(quote, at_ns)
        return self._noted(quote.symbol, changes) if changes else changes

    def tick(self, tick: Tick, at_ns: int) -> list[VenueOrder]:
        if tick.symbol not in self.resting:
            return []
        return self._noted(tick.symbol, self._books[tick.symbol].trade(tick.price, tick.quantity, tick.side, at_ns))

    def frame(self, columns: TickColumns, at_ns: int) -> list[VenueOrder]:
        changes: list[VenueOrder] = []
        for row, symbol in self._reaching(columns):
            # The shortest decimal that reads back as this float is the price as it was printed.
            price, quantity = Decimal(repr(float(columns.price[row]))), Decimal(repr(float(columns.quantity[row])))
            changes += self._books[symbol].trade(price, quantity, Aggressor(int(columns.side[row])), at_ns)
        for symbol in {change.order.symbol for change in changes}:
            self._noted(symbol, [change for change in changes if change.order.symbol == symbol])
        return changes

    def expire(self, at_ns: int) -> list[VenueOrder]:
        return [change for symbol, book in self._books.items() for change in self._noted(symbol, book.expire(at_ns))]

    def queues_moved(self) -> list[VenueOrder]:
        """Orders whose place in the queue changed since this was asked last."""
        moved: list[VenueOrder] = []
        for symbol in self.resting:
            book = self._books[symbol]
            moved += [book.orders[order_id] for order_id in sorted(book.queues_moved)]
            book.queues_moved.clear()
        return moved

    def _reaching(self, columns: TickColumns) -> Iterator[tuple[int, str]]:
        """The rows, in order, whose trades reach some resting order."""
        reaching = np.zeros(len(columns), dtype=np.bool_)
        for code, symbol in enumerate(columns.symbols):
            if symbol in self.resting:
                buy, sell = self._books[symbol].bounds()
                low = -np.inf if buy is None else float(buy)
                high = np.inf if sell is None else float(sell)
                reaching |= (columns.codes == code) & ((columns.price <= low) | (columns.price >= high))
        for row in np.flatnonzero(reaching):
            yield int(row), columns.symbols[int(columns.codes[row])]

    def _noted(self, symbol: str, changes: list[VenueOrder]) -> list[VenueOrder]:
        for order in changes:
            if order.is_open:
                self._symbols[order.order_id] = symbol
                continue
            self._end(order)
        if (book := self._books.get(symbol)) and book.bounds() != (None, None):
            self.resting.add(symbol)
        else:
            self.resting.discard(symbol)
        return changes

    def _end_all(self, which: list[tuple[str, str]], at_ns: int) -> list[VenueOrder]:
        changes: list[VenueOrder] = []
        for order_id, reason in which:
            symbol = self._symbols[order_id]
            changes += self._noted(symbol, [self._books[symbol].cancel(order_id, at_ns, reason)])
        return changes

    def _end(self, order: VenueOrder) -> None:
        self._symbols.pop(order.order_id, None)
        self._over[order.order_id] = order
        if len(self._over) > OVER_KEPT:
            self._over.popitem(last=False)

    def _trouble(self, route: RouteOrder) -> str:
        """Why the venue will not work an order, or nothing."""
        return trouble(self._instruments.get(route.symbol), route.symbol, route.quantity, route.price)

    def _trouble_with_terms(self, order: VenueOrder, wanted: ReplaceOrder) -> str:
        if order.is_market and wanted.price is not None:
            return "a market order has no price to replace"
        return beyond(order, wanted) or trouble(
            self._instruments.get(order.order.symbol), order.order.symbol, wanted.quantity, wanted.price
        )

    def _book(self, symbol: str) -> Book:
        if symbol not in self._books:
            self._books[symbol] = Book(self._instruments[symbol], self._terms)
        return self._books[symbol]

    def next_arrival(self, at_ns: int) -> int:
        """The time, and no two alike."""
        self._newest = max(at_ns, self._newest + 1)
        return self._newest


def trouble(instrument: Instrument | None, symbol: str, quantity: Decimal, price: Decimal | None) -> str:
    """Why no venue can work an order of such terms, or nothing."""
    if instrument is None:
        return f"unknown symbol {symbol}"
    if not _multiple(quantity, instrument.lot):
        return f"quantity {quantity} is not a multiple of {instrument.lot}"
    if price is not None and not _multiple(price, instrument.price_tick):
        return f"price {price} is not a multiple of {instrument.price_tick}"
    return ""


def beyond(order: VenueOrder, wanted: ReplaceOrder) -> str:
    """Why an order cannot become as small as is wanted, or nothing."""
    filled = order.report.cumulative_quantity
    return f"{filled:f} of it is filled already" if wanted.quantity <= filled else ""


def _multiple(value: Decimal, step: Decimal) -> bool:
    # A quotient of more digits than Decimal carries has no remainder to look at.
    return value < step * QUOTIENT_MAX and value % step == 0
