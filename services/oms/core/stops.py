"""Stops held here, by symbol and side, each waiting for the market to reach it.

A stop is reached by what is seen while this runs. Where the market has been meanwhile, it is not: one that was reached
and left again while nobody looked waits on, and a trailing stop is not carried by what was not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

import numpy as np

from services.oms.core.ranked import Ranked
from services.oms.core.trailing import Trailing
from shared.contract.orders import Order, OrderType, Side
from shared.contract.ticks import TickColumns

Reached = list[tuple[str, Decimal]]
"""Order ids, each with the price at which its stop stood."""


class _Side:
    """The stops of one symbol to sell, or to buy. `sign` turns their prices into heights (see `trailing`)."""

    def __init__(self, side: Side, height: Decimal | None = None) -> None:
        self._sign = -side.sign
        self._fixed: Ranked[str] = Ranked()
        self._trailing = {share: Trailing(share=share) for share in (False, True)}
        self._unmarked: dict[str, tuple[bool, Decimal]] = {}  # placed before there was a market
        self.height = height

    def __len__(self) -> int:
        return len(self._fixed) + len(self._unmarked) + sum(map(len, self._trailing.values()))

    @property
    def price(self) -> Decimal | None:
        """Where the market was last."""
        return None if self.height is None else self.height * self._sign

    def put(self, order: Order) -> None:
        if order.order_type is not OrderType.TRAILING_STOP:
            assert order.stop_price is not None, "a stop has a price"
            self._fixed.put(order.order_id, -order.stop_price * self._sign)
            return
        share, trail = trail_of(order)
        stops = self._trailing[share]
        if order.stop_price is not None:
            stops.put(order.order_id, trail, stops.mark(order.stop_price * self._sign, trail))
        elif self.height is not None:
            stops.put(order.order_id, trail, self.height)
        else:
            self._unmarked[order.order_id] = (share, trail)

    def drop(self, order_id: str) -> None:
        self._fixed.drop(order_id)
        self._unmarked.pop(order_id, None)
        for stops in self._trailing.values():
            stops.drop(order_id)

    def at(self, price: Decimal) -> Reached:
        """The market stands at this price."""
        height = self.height = price * self._sign
        if self._unmarked:
            for order_id, (share, trail) in self._unmarked.items():
                self._trailing[share].put(order_id, trail, height)
            self._unmarked.clear()
        found: Reached = []
        while (first := self._fixed.first()) is not None and -first[1] >= height:
            found.append((first[0], Decimal(-first[1] * self._sign)))
            self._fixed.drop(first[0])
        for stops in self._trailing.values():
            if stops:
                found += [(order_id, level * self._sign) for order_id, level in stops.reached(height)]
        return found

    def moved(self) -> Iterator[tuple[str, Decimal]]:
        for stops in self._trailing.values():
            for order_id, level in stops.moved():
                yield order_id, level * self._sign

    def stands_at(self, order: Order) -> Decimal | None:
        """Where a trailing stop begins, by the latest market."""
        if self.height is None:
            return None
        share, trail = trail_of(order)
        return self._trailing[share].level(self.height, trail) * self._sign


class Stops:
    """All stops that are held. A stop is taken out when it is reached, so that it is reached once."""

    def __init__(self) -> None:
        self._sides: dict[tuple[str, Side], _Side] = {}
        self._placed: dict[str, tuple[_Side, object]] = {}
        self._carried: dict[str, Decimal] = {}

    def __len__(self) -> int:
        return len(self._placed)

    def emptied(self) -> Stops:
        """None held, and the market where it is."""
        other = Stops()
        other._sides = {key: _Side(key[1], side.height) for key, side in self._sides.items()}
        return other

    def symbols(self) -> set[str]:
        """Where stops are held."""
        return {symbol for (symbol, _), side in self._sides.items() if side}

    def put(self, order: Order) -> None:
        """Hold it. One that is held already is moved only if its terms are new: a trailing stop moves by itself."""
        terms = order.trail or order.stop_price
        placed = self._placed.get(order.order_id)
        if placed is not None and placed[1] == terms:
            return
        self.drop(order.order_id)
        side = self._side(order.symbol, order.side)
        side.put(order)
        self._placed[order.order_id] = (side, terms)

    def drop(self, order_id: str) -> None:
        """Nothing happens when it is not held."""
        placed = self._placed.pop(order_id, None)
        if placed is not None:
            placed[0].drop(order_id)

    def seen(self, symbol: str, bid: Decimal | None, ask: Decimal | None) -> Reached:
        """Stops to sell are reached by the bid, stops to buy by the ask; a trade stands for both."""
        found: Reached = []
        for price, side in ((bid, Side.SELL), (ask, Side.BUY)):
            if price is not None:
                found += self._side(symbol, side).at(price)
        for order_id, _ in found:
            del self._placed[order_id]
        return found

    def moved(self, at_most: int) -> Reached:
        """Trailing stops that the market has carried along, and where they stand; the others come the next time."""
        for side in self._sides.values():
            self._carried |= dict(side.moved())
        some = list(islice(self._carried, at_most))
        return [(order_id, self._carried.pop(order_id)) for order_id in some]

    def reached(self, symbol: str) -> Reached:
        """What the latest market reaches: a stop may be placed where the market already is."""
        bid, ask = (self._side(symbol, side).price for side in (Side.SELL, Side.BUY))
        return self.seen(symbol, bid, ask)

    def begins_at(self, order: Order) -> Decimal | None:
        """Where a new trailing stop stands by the latest market; None before there is one."""
        return self._side(order.symbol, order.side).stands_at(order)

    def price_of(self, symbol: str) -> Decimal | None:
        """Where the market was last: between bid and ask."""
        prices = [side.price for key in _both(symbol) if (side := self._sides.get(key)) and side.price is not None]
        return sum(prices, Decimal(0)) / len(prices) if prices else None

    def _side(self, symbol: str, side: Side) -> _Side:
        key = (symbol, side)
        if key not in self._sides:
            self._sides[key] = _Side(side)
        return self._sides[key]


def _both(symbol: str) -> tuple[tuple[str, Side], tuple[str, Side]]:
    return (symbol, Side.SELL), (symbol, Side.BUY)


def trail_of(order: Order) -> tuple[bool, Decimal]:
    """Whether it trails by a share of the price, and by how much: `1.5%` is (True, 1.5)."""
    assert order.trail is not None, "a trailing stop has a trail"
    return order.trail.endswith("%"), Decimal(order.trail.rstrip("%"))


def traded(columns: TickColumns, followed: set[str]) -> Iterator[tuple[str, Decimal]]:
    """A frame's trades, each symbol's in their order: all prices of those that are followed, the last of the others."""
    for code, symbol in enumerate(columns.symbols):
        rows = np.flatnonzero(columns.codes == code)
        prices = columns.price[rows if symbol in followed else rows[-1:]]
        changes = np.flatnonzero(np.diff(prices, prepend=np.nan))
        for price in prices[changes].tolist():
            yield symbol, Decimal(repr(price))
