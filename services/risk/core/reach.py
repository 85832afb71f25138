"""The limits an order is in reach of, by the scope that sets them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from services.risk.core.findings import text
from shared.contract.risk import Limits

Reach = Sequence[tuple[str, Limits]]
"""Widest first: `firm`, `account.alice`, `strategy.trend`, `symbol.SPY`, and whatever else has limits."""


class Bound(NamedTuple):
    """A scope, the most it allows, that as a size to divide by (0: nothing is allowed), and in words."""

    scope: str
    most: Decimal
    size: float
    words: str

    def share(self, value: float | Decimal) -> float:
        """How much of the limit a value takes; of a limit of nothing, everything and more."""
        return float(value) / self.size if self.size else OVER


OVER = 2.0
UNSET = Bound("firm", Decimal(0), 0.0, "0")
"""What nobody set is 0."""


def bounds(given: Iterable[tuple[str, Decimal | None]]) -> tuple[Bound, ...]:
    """Those that are set."""
    return tuple(Bound(scope, most, max(float(most), 0.0), text(most)) for scope, most in given if most is not None)


def tightest(given: Iterable[tuple[str, Decimal | None]]) -> Bound:
    """The most restrictive of those that are set."""
    return min(bounds(given), key=lambda bound: bound.most, default=UNSET)
