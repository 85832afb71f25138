"""The normalizer's knobs."""

from __future__ import annotations

from pydantic import Field

from shared.contract.market import Interval, Measure
from shared.kit import Settings as ServiceSettings


class Settings(ServiceSettings):
    intervals: tuple[Interval, ...] = tuple(interval for interval in Interval if interval is not Interval.s1)
    """Which lengths are said. Not seconds unless asked for: those of 2,000 symbols are 2,000 messages a second."""

    measures: dict[str, tuple[Measure, ...]] = Field(default={})
    """Bars by what was traded (`tick-1000`), by symbol; those under `*` are for every symbol that is not named."""

    lateness_s: float = Field(default=10, ge=0, le=60)
    """How far behind a symbol's newest tick another may be and still be taken; an older one is refused as late."""

    close_after_s: float = Field(default=0.5, ge=0, le=60)
    """How long after its end the clock closes a live bar, so that the last ticks on their way are in it."""

    checkpoint_every_s: float = Field(default=1, gt=0, le=60)
    """How often the fold is saved; after a crash the ticks since then are folded again."""

    checkpoint_bytes_per_s: float = Field(default=1_000_000, gt=0)
    """A fold of very many symbols is saved less often, so that saving writes no more than this."""

    bars_kept: int = Field(default=500, ge=1, le=1000)
    """How many bars of each symbol and interval can be asked for."""

    says_at_once: int = Field(default=256, ge=1, le=1024)
    """How many bars may be on their way to the stream at one time."""
