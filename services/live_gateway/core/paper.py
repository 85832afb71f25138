"""The paper venue: every open order by symbol, and the last word on those that are over."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from decimal import Decimal

import numpy as np

from services.live_gateway.core.book import Book
from services.live_gateway.core.orders import VENUE, Terms, arrive, become, never_seen
from shared.contract.market import Aggressor, Instrument, Quote, Tick
from shared.contract.orders import CancelOrder, OrderStatus, RouteOrder
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

    def open_count(self) -> int:
        return len(self._symbols)

    def accept(self, route: RouteOrder, at_ns: int) -> list[VenueOrder]:
        """An order that is not known yet."""
        order = arrive(route, self._arrival(at_ns), at_ns)
        if trouble := self._trouble(route):
            return self._noted(route.symbol, [become(order, OrderStatus.REJECTED, at_ns, trouble)])
        return self._noted(route.symbol, self._book(route.symbol).arrive(order, at_ns))

    def cancel(self, cancel: CancelOrder, at_ns: int) -> list[VenueOrder]:
        """A cancel of an order that is open, or of one that was never seen."""
        symbol = self._symbols.get(cancel.order_id)
        if symbol is None:
            return self._noted("", [never_seen(cancel, self._arrival(at_ns), at_ns)])
        return self._noted(symbol, [self._books[symbol].cancel(cancel.order_id, at_ns)])

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
            self._symbols.pop(order.order_id, None)
            self._over[order.order_id] = order
            if len(self._over) > OVER_KEPT:
                self._over.popitem(last=False)
        if (book := self._books.get(symbol)) and book.bounds() != (None, None):
            self.resting.add(symbol)
        else:
            self.resting.discard(symbol)
        return changes

    def _trouble(self, route: RouteOrder) -> str:
        """Why the venue will not work an order, or nothing."""
        if route.venue != VENUE:
            return f"unknown venue {route.venue}; known: {VENUE}"
        instrument = self._instruments.get(route.symbol)
        if instrument is None:
            return f"unknown symbol {route.symbol}"
        if not _multiple(route.quantity, instrument.lot):
            return f"quantity {route.quantity} is not a multiple of {instrument.lot}"
        if route.price is not None and not _multiple(route.price, instrument.price_tick):
            return f"price {route.price} is not a multiple of {instrument.price_tick}"
        return ""

    def _book(self, symbol: str) -> Book:
        if symbol not in self._books:
            self._books[symbol] = Book(self._instruments[symbol], self._terms)
        return self._books[symbol]

    def _arrival(self, at_ns: int) -> int:
        self._newest = max(at_ns, self._newest + 1)
        return self._newest


def _multiple(value: Decimal, step: Decimal) -> bool:
    # A quotient of more digits than Decimal carries has no remainder to look at.
    return value < step * QUOTIENT_MAX and value % step == 0
