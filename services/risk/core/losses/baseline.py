"""What losses are measured from: the equity at the start of day and week, and the peak."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from shared.contract.base import Message, Nanos
from shared.contract.risk import TradingState

Exact = Annotated[Decimal, Field(allow_inf_nan=False)]
"""Money as it comes out of a sum, however small."""


class Baseline(Message):
    """What the losses of a scope are measured from, kept under keys.baseline(scope).

    `equity` is what it was when this was last kept. Tripped: `state` is not ACTIVE; `code`, `reason` and `tripped_ns`
    say why and since when. `actor` is who last reset it.
    """

    scope: str
    day: int
    day_equity: Exact
    week: int
    week_equity: Exact
    peak_equity: Exact
    equity: Exact
    at_ns: Nanos
    state: TradingState = TradingState.ACTIVE
    code: str = ""
    reason: str = ""
    tripped_ns: Nanos = 0
    actor: str = ""


@dataclass(slots=True)
class Mark:
    """A scope's latest value over its baseline. `valued_ns` is when that was; -1: not in this life."""

    baseline: Baseline
    equity: Decimal = field(init=False)
    peak: Decimal = field(init=False)
    valued_ns: int = -1

    def __post_init__(self) -> None:
        self.equity = self.baseline.equity
        self.peak = self.baseline.peak_equity

    def day_loss(self) -> Decimal:
        return self.baseline.day_equity - self.equity

    def week_loss(self) -> Decimal:
        return self.baseline.week_equity - self.equity

    def drawdown(self) -> Decimal:
        return self.peak - self.equity

    def saved(self) -> Baseline:
        """The baseline with everything that was learned since."""
        update: dict[str, object] = {"equity": self.equity, "peak_equity": self.peak}
        if self.valued_ns >= 0:
            update["at_ns"] = self.valued_ns
        return self.baseline.altered(**update)


def week_of(day: int) -> int:
    """Weeks begin on Monday; day 0 was a Thursday."""
    return (day + 3) // 7


def opened(scope: str, day: int, equity: Decimal, at_ns: int) -> Baseline:
    """Measured from here."""
    return Baseline(
        scope=scope,
        day=day,
        day_equity=equity,
        week=week_of(day),
        week_equity=equity,
        peak_equity=equity,
        equity=equity,
        at_ns=at_ns,
    )


def renewed(baseline: Baseline, day: int, equity: Decimal) -> Baseline:
    """A new day begins with the last equity of the old one, so that what happens overnight counts."""
    update: dict[str, object] = {"day": day, "day_equity": equity}
    if week_of(day) > baseline.week:
        update |= {"week": week_of(day), "week_equity": equity}
    return baseline.altered(**update)
