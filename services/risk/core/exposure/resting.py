"""An account's own orders that rest at a venue, best price first: what a new order of the account might trade with."""

from __future__ import annotations

import heapq
from decimal import Decimal

SLACK = 64


class Resting:
    """The resting limit orders of one side of one symbol. `sign` is 1 when the lowest price is the best (sells)."""

    __slots__ = ("_heap", "_prices", "_sign")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._prices: dict[str, Decimal] = {}
        self._heap: list[tuple[Decimal, str]] = []

    def put(self, order_id: str, price: Decimal) -> None:
        if self._prices.get(order_id) != price:
            self._prices[order_id] = price
            heapq.heappush(self._heap, (price * self._sign, order_id))

    def drop(self, order_id: str) -> None:
        # Its entry stays in the heap until it comes up, or until most of the heap is of such.
        self._prices.pop(order_id, None)
        if len(self._heap) > 2 * len(self._prices) + SLACK:
            self._heap = [(price * self._sign, order_id) for order_id, price in self._prices.items()]
            heapq.heapify(self._heap)

    def best(self) -> tuple[Decimal, str] | None:
        """The best price and whose it is."""
        while self._heap:
            price, order_id = self._heap[0]
            if self._prices.get(order_id) == price * self._sign:
                return price * self._sign, order_id
            heapq.heappop(self._heap)
        return None
