"""Stops that follow the market: however many follow, a move of it costs what it changes and no more.

Everything is said in heights, which rise when the market moves away from a stop and fall when it moves towards it: a
bid for stops to sell, an ask turned negative for stops to buy. A stop trails by a distance behind the highest height
since it was placed, its mark. Stops of one mark stay together for good, in one crowd; a new highest height swallows all
the crowds that it passes. So a crowd is moved at once, and only its tightest stop can be reached first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from decimal import Context, Decimal

from services.oms.core.ranked import Rank, Ranked

STEP = Decimal("1e-12")
WIDE = Context(prec=60)


class _Crowd:
    """Stops of one mark, the tightest first."""

    __slots__ = ("mark", "stops")

    def __init__(self, mark: Decimal) -> None:
        self.mark = mark
        self.stops: Ranked[str] = Ranked()


class Trailing:
    """The trailing stops of one symbol and side, whose trails are all distances or all shares of the mark."""

    def __init__(self, *, share: bool) -> None:
        self._share = share
        self._crowds: list[_Crowd] = []  # from the highest mark to the lowest
        self._crowd_of: dict[str, _Crowd] = {}
        self._tops: Ranked[_Crowd] = Ranked()
        self._moved: set[_Crowd] = set()

    def __len__(self) -> int:
        return len(self._crowd_of)

    def level(self, mark: Decimal, trail: Rank) -> Decimal:
        """The height at which a stop is reached."""
        if not self._share:
            return mark - trail
        level = mark - abs(mark) * trail / 100
        rounded = level.quantize(STEP, context=WIDE)
        return level if rounded == level else rounded

    def mark(self, level: Decimal, trail: Decimal) -> Decimal:
        """The mark that leads to a level."""
        if not self._share:
            return level + trail
        return level / (1 - trail / 100 if level > 0 else 1 + trail / 100)

    def put(self, order_id: str, trail: Decimal, mark: Decimal) -> None:
        """A stop that follows from this mark on."""
        self.drop(order_id)
        at = bisect_left(self._crowds, -mark, key=_depth)
        if at == len(self._crowds) or self._crowds[at].mark != mark:
            self._crowds.insert(at, _Crowd(mark))
        crowd = self._crowds[at]
        crowd.stops.put(order_id, trail)
        self._crowd_of[order_id] = crowd
        self._moved.add(crowd)
        self._expose(crowd)

    def drop(self, order_id: str) -> None:
        """Nothing happens when it is not there."""
        crowd = self._crowd_of.pop(order_id, None)
        if crowd is not None:
            crowd.stops.drop(order_id)
            self._expose(crowd)

    def reached(self, height: Decimal) -> list[tuple[str, Decimal]]:
        """The market stands at this height: it carries marks along, or reaches stops, which are taken out."""
        if self._crowds and self._crowds[-1].mark < height:
            self._carry(height)
        found: list[tuple[str, Decimal]] = []
        while (top := self._tops.first()) is not None and -top[1] >= height:
            first = top[0].stops.first()
            assert first is not None, "a crowd without stops is not exposed"
            found.append((first[0], Decimal(-top[1])))
            self.drop(first[0])
        return found

    def moved(self) -> Iterator[tuple[str, Decimal]]:
        """The stops that were placed or carried along since this was last asked, and the levels they stand at now."""
        moved, self._moved = self._moved, set()
        for crowd in moved:
            for order_id, trail in crowd.stops.items():
                yield order_id, self.level(crowd.mark, trail)

    def _carry(self, height: Decimal) -> None:
        crowds = self._crowds
        risen = crowds.pop()
        while crowds and crowds[-1].mark <= height:
            risen = self._joined(risen, crowds.pop())
        risen.mark = height
        crowds.append(risen)
        self._moved.add(risen)
        self._expose(risen)

    def _joined(self, one: _Crowd, other: _Crowd) -> _Crowd:
        """Both as one: the fewer go over to the more, so that no stop goes over more than log n times."""
        few, many = sorted((one, other), key=_size)
        for order_id, trail in few.stops.items():
            many.stops.put(order_id, trail)
            self._crowd_of[order_id] = many
        self._tops.drop(few)
        self._moved.discard(few)
        return many

    def _expose(self, crowd: _Crowd) -> None:
        """Have the crowd stand where its tightest stop does; an empty one is gone."""
        first = crowd.stops.first()
        if first is not None:
            self._tops.put(crowd, -self.level(crowd.mark, first[1]))
            return
        self._tops.drop(crowd)
        self._moved.discard(crowd)
        del self._crowds[bisect_left(self._crowds, -crowd.mark, key=_depth)]


def _depth(crowd: _Crowd) -> Decimal:
    return -crowd.mark


def _size(crowd: _Crowd) -> int:
    return len(crowd.stops)
