"""The limits an order is in reach of, by the scope that sets them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from shared.contract.base import plain_text
from shared.contract.risk import Limits

NS = 1_000_000_000
MEASURED_KINDS = ("firm", "account", "strategy")

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
    return tuple(
        Bound(scope, most, max(float(most), 0.0), plain_text(most)) for scope, most in given if most is not None
    )


def tightest(given: Iterable[tuple[str, Decimal | None]]) -> Bound:
    """The most restrictive of those that are set."""
    return min(bounds(given), key=lambda bound: bound.most, default=UNSET)


class Rate(NamedTuple):
    """A rate that a scope allows: what its bucket holds, and how long a token takes to come back."""

    scope: str
    room: int
    step_ns: int
    words: str

    @classmethod
    def of(cls, bound: Bound) -> Rate:
        """A bucket holds one second's worth, or one message where the rate is below one a second."""
        if bound.most <= 0:
            return cls(bound.scope, 0, NS, bound.words)
        return cls(bound.scope, max(int(bound.most), 1), max(int(NS / bound.most), 1), bound.words)


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """The limits of flow in reach of an order; what no scope sets is 0.

    A message rate is measured in each scope that sets one, at the order's venue; of the others the tightest counts.
    Make one per reach and keep it for as long as the limits stand.
    """

    messages: tuple[Rate, ...]
    cancels: tuple[Rate, ...]
    orders_per_trade: Bound
    executions: Bound

    @classmethod
    def of(cls, reach: Reach) -> FlowLimits:
        return cls(
            messages=_rates((scope, limits.messages_per_s_max) for scope, limits in reach),
            cancels=_rates((scope, limits.cancels_per_s_max) for scope, limits in reach),
            orders_per_trade=tightest((scope, limits.orders_per_trade_max) for scope, limits in reach),
            executions=tightest((scope, limits.executions_max) for scope, limits in reach),
        )


UNSET_RATE = Rate.of(UNSET)


def _rates(given: Iterable[tuple[str, Decimal | None]]) -> tuple[Rate, ...]:
    return tuple(Rate.of(bound) for bound in bounds(given)) or (UNSET_RATE,)


@dataclass(frozen=True, slots=True)
class LossLimits:
    """The loss limits in reach of an order. Profit is known of firm, accounts and strategies, so only theirs count.

    What none of them sets is 0, save for the week's. Make one per reach and keep it for as long as the limits stand.
    """

    scopes: tuple[str, ...]
    losses: tuple[Bound, ...]
    drawdowns: tuple[Bound, ...]
    weeks: tuple[Bound, ...]

    @classmethod
    def of(cls, reach: Reach, owners: Iterable[str] = ()) -> LossLimits:
        """`owners` are in reach even without limits: what tripped once stays tripped when its limits are gone."""
        known = [(scope, limits) for scope, limits in reach if measured(scope)]
        return cls(
            scopes=tuple(dict.fromkeys((*owners, *(scope for scope, _ in known)))),
            losses=bounds((scope, limits.loss_max) for scope, limits in known) or (UNSET,),
            drawdowns=bounds((scope, limits.drawdown_max) for scope, limits in known) or (UNSET,),
            weeks=bounds((scope, limits.week_loss_max) for scope, limits in known),
        )


def measured(scope: str) -> bool:
    """Whether profit is known of this scope: `firm`, `account.x`, `strategy.y`, and no part of them."""
    return scope.split(".", 1)[0] in MEASURED_KINDS and scope.count(".") <= 1
