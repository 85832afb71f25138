"""The sink's knobs."""

from __future__ import annotations

from pydantic import Field

from shared.kit import Settings as ServiceSettings


class Settings(ServiceSettings):
    messages_at_once: int = Field(default=64, ge=1, le=512)
    """How many messages are written together. Twice as many wait in memory, each perhaps a frame of some hundred kB."""

    wait_s: float = Field(default=0.2, gt=0, le=10)
    """How long a message may wait for others to be written with."""

    rows_at_once: int = Field(default=65_536, ge=1)
    """The most rows, give or take a frame, in one write."""
