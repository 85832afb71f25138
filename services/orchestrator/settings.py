"""The knobs of the orchestrator."""

from __future__ import annotations

from pydantic import Field

from shared.kit import Settings as KitSettings


class Settings(KitSettings):
    peer_timeout_s: float = Field(default=10.0, gt=0, le=120)
    """How long a service behind the door may take to answer."""

    status_timeout_s: float = Field(default=1.0, gt=0, le=30)
    """How long a service may take to say how it is before it counts as down."""
