"""Things in order of a rank, the lowest at hand at once; putting, moving and dropping one costs O(log n)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from decimal import Decimal
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
Rank = int | Decimal

SLACK = 64
"""So many dropped entries may lie about in the heap, or as many as live ones, before it is cleared of them."""


class Ranked(Generic[K]):
    """Each thing once. What is dropped or moved leaves its old entry in the heap until it surfaces or is cleared."""

    def __init__(self) -> None:
        self._live: dict[K, tuple[Rank, int]] = {}
        self._heap: list[tuple[Rank, int, K]] = []
        self._count = count()

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, key: K) -> bool:
        return key in self._live

    def items(self) -> Iterator[tuple[K, Rank]]:
        """All of them, in no order."""
        return ((key, rank) for key, (rank, _) in self._live.items())

    def put(self, key: K, rank: Rank) -> None:
        """Add it, or move it to another rank."""
        known = self._live.get(key)
        if known is not None and known[0] == rank:
            return
        number = next(self._count)
        self._live[key] = (rank, number)
        heappush(self._heap, (rank, number, key))
        if len(self._heap) > 2 * len(self._live) + SLACK:
            self._heap = [(rank, number, key) for key, (rank, number) in self._live.items()]
            heapify(self._heap)

    def drop(self, key: K) -> None:
        """Nothing happens when it is not there."""
        self._live.pop(key, None)

    def first(self) -> tuple[K, Rank] | None:
        """The one of the lowest rank; of equals, the one that came first."""
        heap, live = self._heap, self._live
        while heap:
            rank, number, key = heap[0]
            if live.get(key) == (rank, number):
                return key, rank
            heappop(heap)
        return None

    def up_to(self, rank: Rank) -> list[K]:
        """Take out everything of this rank or below."""
        taken: list[K] = []
        while (first := self.first()) is not None and first[1] <= rank:
            taken.append(first[0])
            self.drop(first[0])
        return taken
