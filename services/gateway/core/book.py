"""A limit order book with price-time priority, in whole price ticks and whole lots."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field


@dataclass(slots=True)
class Resting:
    """What is left of an order that waits in the book."""

    order_id: int
    owner: int
    lots: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A match, at the price of the order that waited. `buyer_took` says which side was the taker."""

    price: int
    lots: int
    maker_id: int
    maker: int
    taker: int
    buyer_took: bool


@dataclass
class Side:
    """One side of the book: at each price the waiting orders, the oldest first.

    `rank` sorts the best price first on either side: it is the price of an ask and the negated price of a bid.
    """

    sign: int
    ranks: list[int] = field(default_factory=list[int])
    levels: dict[int, dict[int, Resting]] = field(default_factory=dict[int, dict[int, Resting]])

    @property
    def best(self) -> int | None:
        return self.sign * self.ranks[0] if self.ranks else None

    def add(self, price: int, resting: Resting) -> None:
        if price not in self.levels:
            insort(self.ranks, self.sign * price)
            self.levels[price] = {}
        self.levels[price][resting.order_id] = resting

    def drop(self, price: int, order_id: int) -> Resting:
        level = self.levels[price]
        resting = level.pop(order_id)
        if not level:
            del self.levels[price]
            del self.ranks[bisect_left(self.ranks, self.sign * price)]
        return resting

    def depth(self, levels: int) -> list[tuple[int, int]]:
        """Price and lots of the best levels."""
        prices = [self.sign * rank for rank in self.ranks[:levels]]
        return [(price, sum(resting.lots for resting in self.levels[price].values())) for price in prices]


class Book:
    """All waiting orders of one symbol. Submitting returns the trades it made, in the order they were made."""

    def __init__(self) -> None:
        self.bids = Side(-1)
        self.asks = Side(1)
        self._where: dict[int, tuple[Side, int]] = {}
        self._orders = 0

    def __len__(self) -> int:
        return len(self._where)

    def holds(self, order_id: int) -> bool:
        """Whether something of this order still waits."""
        return order_id in self._where

    def submit_limit(self, *, buy: bool, price: int, lots: int, owner: int = 0) -> tuple[int, list[Trade]]:
        """Match down to the limit; what remains waits in the book under the order id returned."""
        if price <= 0 or lots <= 0:
            raise ValueError("price and lots must be positive")
        self._orders += 1
        trades, remaining = self._match(buy=buy, limit=price, lots=lots, owner=owner)
        if remaining:
            side = self.bids if buy else self.asks
            side.add(price, Resting(self._orders, owner, remaining))
            self._where[self._orders] = side, price
        return self._orders, trades

    def submit_market(self, *, buy: bool, lots: int, limit: int | None = None, owner: int = 0) -> list[Trade]:
        """Match at once, no worse than `limit` when one is given; what remains is dropped."""
        if lots <= 0:
            raise ValueError("lots must be positive")
        return self._match(buy=buy, limit=limit, lots=lots, owner=owner)[0]

    def cancel(self, order_id: int) -> int:
        """Take an order out; the lots it still had, 0 when it no longer waits."""
        found = self._where.pop(order_id, None)
        return found[0].drop(found[1], order_id).lots if found else 0

    def _match(self, *, buy: bool, limit: int | None, lots: int, owner: int) -> tuple[list[Trade], int]:
        side = self.asks if buy else self.bids
        worst = None if limit is None else side.sign * limit
        trades: list[Trade] = []
        while lots and side.ranks and (worst is None or side.ranks[0] <= worst):
            price = side.sign * side.ranks[0]
            resting = next(iter(side.levels[price].values()))
            traded = min(lots, resting.lots)
            trades.append(Trade(price, traded, resting.order_id, resting.owner, owner, buy))
            lots -= traded
            resting.lots -= traded
            if not resting.lots:
                self.cancel(resting.order_id)
        return trades, lots
