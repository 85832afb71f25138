"""The gateway's knobs."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from shared.contract.base import Symbol
from shared.kit import Settings as ServiceSettings


def _symbols() -> dict[Symbol, Decimal]:
    return {
        "BTCUSDT": Decimal(60_000),
        "ETHUSDT": Decimal(2_500),
        "SOLUSDT": Decimal(150),
        "AAPL": Decimal(220),
        "SPY": Decimal(560),
    }


class Settings(ServiceSettings):
    simulate: bool = True
    """Whether the simulated market runs; without it only replays bring data in."""

    simulation_seed: int = 1
    """The same seed gives the same simulated trades, step by step."""

    simulation_steps_per_s: float = Field(default=10, gt=0, le=1000)
    """How often each simulated market moves, per second."""

    simulation_symbols: dict[Symbol, Decimal] = Field(default_factory=_symbols)
    """The simulated symbols, each with its opening price; every one must be a listed instrument."""

    stale_after_s: float = Field(default=5, gt=0)
    """A market that has said nothing for this long is STALE."""

    frame_rows: int = Field(default=4096, ge=1, le=65_536)
    """The most ticks that travel in one frame."""

    frame_wait_s: float = Field(default=0.005, gt=0, le=1)
    """How long a replay at finite speed gathers ticks for one frame."""

    quote_gap_s: float = Field(default=0.02, ge=0, le=60)
    """A replay at finite speed says at most one quote per symbol in this time."""

    lag_max: int = Field(default=20_000, ge=1)
    """A replay at full speed waits while the slowest hearer has more unread messages than this."""

    replays_kept: int = Field(default=100, ge=1, le=10_000)
    """How many finished replays can still be asked about."""

    markets_max: int = Field(default=10_000, ge=1)
    """How many markets are known at once; beyond it those that have ended longest ago are forgotten."""
