"""The normalizer's knobs."""

from __future__ import annotations

from pydantic import Field

from shared.kit import Settings as ServiceSettings


class Settings(ServiceSettings):
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

    says_at_once: int = Field(default=64, ge=1, le=1024)
    """How many bars may be on their way to the stream at one time."""
