"""The knobs of the oms."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from shared.kit import Settings as KitSettings


class Settings(KitSettings):
    risk_timeout_s: float = Field(default=1.0, gt=0, le=30)
    """How long risk may take to answer before an order is refused with 503."""

    unknown_after_s: float = Field(default=5.0, gt=0)
    """How long a venue may be silent about an order before its status says PENDING_UNKNOWN."""

    ask_again_every_s: float = Field(default=2.0, gt=0)
    """How often the venue is told again of orders it has not spoken of. It knows them by their id."""

    release_wait_s: float = Field(default=300.0, gt=0)
    """How long an order over a soft limit waits for a second person before it is denied."""

    stop_trigger: Literal["QUOTE", "TRADE"] = "QUOTE"
    """What reaches a stop: the bid (to sell) and the ask (to buy), or a trade."""

    opening_cash: Decimal = Field(default=Decimal(0), ge=0)
    """Cash of an account that config/accounts.yaml does not list; 0 trades nothing."""

    reconcile_every_s: float = Field(default=30.0, gt=0)
    """How often each account is reconciled with each venue it has dealt with; the first time at the start."""

    statement_timeout_s: float = Field(default=10.0, gt=0)
    """How long a venue may take to state what it has of an account."""
