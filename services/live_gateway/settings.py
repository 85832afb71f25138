"""The live gateway's knobs."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from shared.kit import Settings as KitSettings


class Settings(KitSettings):
    maker_fee_fraction: Decimal = Field(default=Decimal("0.0002"), ge=0, lt=1)
    """What the paper venue charges a fill of a resting order, as a fraction of its notional."""

    taker_fee_fraction: Decimal = Field(default=Decimal("0.0005"), ge=0, lt=1)
    """What it charges a fill that took what was displayed."""

    latency_ms: float = Field(default=0, ge=0, le=10_000)
    """How long an order or a cancel travels before the paper venue sees it."""

    market_wait_s: float = Field(default=5, gt=0)
    """How long a market order waits for something to trade with before the rest of it is cancelled."""
