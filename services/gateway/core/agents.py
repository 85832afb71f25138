"""The traders of the simulated market: makers who quote, and takers with and without an opinion.

Every agent looks at the book and at the value it believes in, and acts only by submitting and cancelling orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from services.gateway.core.book import Book, Trade


class Dice(Protocol):
    """Seeded chance, handed in: the methods of `random.Random` that the agents use."""

    def random(self) -> float: ...

    def gauss(self, mu: float, sigma: float) -> float: ...

    def lognormvariate(self, mu: float, sigma: float) -> float: ...


@dataclass(frozen=True)
class Scale:
    """What is usual for a symbol: `unit` is the typical half spread in price ticks, `lots` a typical small order."""

    unit: int
    lots: int


@dataclass
class Maker:
    """Quotes `levels` prices on both sides around its own opinion, and leans against its inventory."""

    owner: int
    scale: Scale
    levels: int = 5
    patience: float = 0.6
    inventory: int = 0
    orders: list[int] = field(default_factory=list[int])

    def act(self, book: Book, value: float, dice: Dice) -> None:
        if dice.random() >= self.patience or not self.complete(book):
            self.requote(book, value, dice)

    def complete(self, book: Book) -> bool:
        """Whether all its quotes still wait."""
        return len(self.orders) == 2 * self.levels and all(book.holds(order) for order in self.orders)

    def requote(self, book: Book, value: float, dice: Dice) -> None:
        """Replace every quote. It never takes: a quote that would cross stands back behind the other side."""
        for order in self.orders:
            book.cancel(order)
        unit, lots = self.scale.unit, self.scale.lots
        lean = self.inventory / (40 * lots) * unit
        centre = value + dice.gauss(0, 0.3 * unit) - max(-3 * unit, min(3 * unit, lean))
        self.orders = []
        bid = round(centre - unit * (0.3 + 0.7 * dice.random()))
        ask = max(bid + 1, round(centre + unit * (0.3 + 0.7 * dice.random())))
        if book.asks.best is not None:
            bid = min(bid, book.asks.best - 1)
        self._quote(book, dice, buy=True, best=bid)
        if book.bids.best is not None:
            ask = max(ask, book.bids.best + 1)
        self._quote(book, dice, buy=False, best=ask)

    def _quote(self, book: Book, dice: Dice, *, buy: bool, best: int) -> None:
        away = -self.scale.unit if buy else self.scale.unit
        for level in range(self.levels):
            lots = max(1, round(self.scale.lots * (1 + level) * (0.5 + dice.random())))
            price = best + level * away
            if price > 0:
                self.orders.append(book.submit_limit(buy=buy, price=price, lots=lots, owner=self.owner)[0])


@dataclass
class NoiseTaker:
    """Trades for reasons of its own: any side, any time, mostly little."""

    owner: int
    scale: Scale
    chance: float = 0.25

    def act(self, book: Book, value: float, dice: Dice) -> list[Trade]:
        if dice.random() >= self.chance:
            return []
        lots = max(1, round(self.scale.lots * 0.4 * dice.lognormvariate(0.0, 0.9)))
        return book.submit_market(buy=dice.random() < 0.5, lots=lots, owner=self.owner)


@dataclass
class InformedTaker:
    """Knows the value, and takes whatever is offered too cheaply or bid too dearly."""

    owner: int
    scale: Scale
    chance: float = 0.5

    def act(self, book: Book, value: float, dice: Dice) -> list[Trade]:
        if dice.random() >= self.chance:
            return []
        lots = max(1, round(self.scale.lots * (0.5 + dice.random())))
        ask, bid = book.asks.best, book.bids.best
        if ask is not None and value - ask > self.scale.unit:
            return book.submit_market(buy=True, lots=lots, limit=int(value), owner=self.owner)
        if bid is not None and bid - value > self.scale.unit:
            return book.submit_market(buy=False, lots=lots, limit=int(value) + 1, owner=self.owner)
        return []


@dataclass
class MomentumTaker:
    """Follows where the price has lately gone."""

    owner: int
    scale: Scale
    chance: float = 0.1
    average: float | None = None

    def act(self, book: Book, value: float, dice: Dice) -> list[Trade]:
        ask, bid = book.asks.best, book.bids.best
        if ask is None or bid is None:
            return []
        middle = (ask + bid) / 2
        self.average = middle if self.average is None else self.average + 0.02 * (middle - self.average)
        gone = middle - self.average
        if abs(gone) < 2 * self.scale.unit or dice.random() >= self.chance:
            return []
        lots = max(1, round(self.scale.lots * 0.5 * (0.5 + dice.random())))
        return book.submit_market(buy=gone > 0, lots=lots, owner=self.owner)
