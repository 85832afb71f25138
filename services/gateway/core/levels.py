"""A venue's book as it tells of it: a quantity at each price, in the digits the venue wrote.

Changes are taken in at once, at the speed of a `dict`, and put in their places when somebody looks: most levels change
many times between two looks. Measured on a recording of 68 levels a message: 0.8 µs a level when each is put in its
place at once, 0.07 µs to take one in.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

from shared.contract.feeds import Level

WORTH_MAX = 1e20


class Side:
    """One side. `sign` puts the best first: -1 for bids, 1 for asks. A venue writes a price always in the same way."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._fresh: dict[str, str] = {}
        self._levels: dict[float, Level] = {}
        self._ranks: list[float] = []
        self._broken = ""

    def __len__(self) -> int:
        return len(self._ranks)

    def replace(self, levels: Iterable[Level]) -> None:
        """Only these, from now on."""
        self._levels, self._ranks, self._broken = {}, [], ""
        self._fresh = dict(levels)

    def change(self, levels: Iterable[Level]) -> None:
        """New quantities at some prices."""
        self._fresh.update(levels)

    def settle(self, depth_max: int | None = None) -> None:
        """Put what has changed in its place, and forget all below `depth_max`.

        ValueError when something cannot be read, and from then on until all is replaced.
        """
        fresh, self._fresh = self._fresh, {}
        try:
            if self._broken:
                raise ValueError(self._broken)
            self._place(fresh.items())
        except ValueError as error:
            self._broken = str(error)
            raise
        if depth_max is not None:
            for rank in self._ranks[depth_max:]:
                del self._levels[rank]
            del self._ranks[depth_max:]

    def _place(self, fresh: Iterable[Level]) -> None:
        known, ranks, sign = self._levels, self._ranks, self._sign
        for level in fresh:
            rank, quantity = sign * float(level[0]), float(level[1])
            if 0 < quantity < WORTH_MAX:
                if rank not in known:
                    if not 0 < sign * rank < WORTH_MAX:
                        raise ValueError(f"{level[0][:40]} is no price")
                    insort(ranks, rank)
                known[rank] = level
            elif quantity == 0:
                if known.pop(rank, None) is not None:
                    del ranks[bisect_left(ranks, rank)]
            else:
                raise ValueError(f"{level[1][:40]} is no quantity")

    def best(self, levels: int = 1) -> list[Level]:
        """The best of what is settled, the very best first."""
        return [self._levels[rank] for rank in self._ranks[:levels]]

    @property
    def rank(self) -> float | None:
        return self._ranks[0] if self._ranks else None


class Levels:
    """Both sides. What was changed is seen once it is settled."""

    def __init__(self, depth_max: int | None = None) -> None:
        self.bids = Side(-1)
        self.asks = Side(1)
        self._depth_max = depth_max

    def replace(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        self.bids.replace(bids)
        self.asks.replace(asks)

    def change(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        self.bids.change(bids)
        self.asks.change(asks)

    def settle(self) -> None:
        """ValueError when something in it was no price or no quantity: then it cannot be trusted any more."""
        self.bids.settle(self._depth_max)
        self.asks.settle(self._depth_max)

    def depth(self, levels: int) -> tuple[Sequence[Level], Sequence[Level]]:
        """The best of either side, the very best first."""
        return self.bids.best(levels), self.asks.best(levels)

    @property
    def crossed(self) -> bool:
        bid, ask = self.bids.rank, self.asks.rank
        return bid is not None and ask is not None and -bid >= ask
