"""Risk's knobs."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field, field_validator

from shared.contract.base import Message, normal_symbol
from shared.contract.risk import Limits
from shared.kit import Settings as KitSettings


class AccountLimits(Message):
    """An account's limits by symbol; `*` stands for every symbol that is not named."""

    symbols: dict[str, Limits] = Field(default_factory=dict[str, Limits])

    @field_validator("symbols")
    @classmethod
    def _normal(cls, given: dict[str, Limits]) -> dict[str, Limits]:
        return {normal_symbol(symbol): limits for symbol, limits in given.items()}

    def limits(self, symbol: str) -> Limits | None:
        return self.symbols.get(symbol) or self.symbols.get("*")


class Settings(KitSettings):
    accounts: dict[str, AccountLimits] = Field(default_factory=dict[str, AccountLimits])
    """Limits by account; `*` stands for every account that is not named. Without limits nothing passes."""

    reference_age_max_s: Decimal = Field(default=Decimal(3), gt=0)
    """How old the latest quote may be for an order to be judged against it."""

    market_slippage_fraction: Decimal = Field(default=Decimal("0.02"), ge=0, lt=1)
    """How far above the ask a market order to buy is taken to fill at worst."""

    short_margin: Decimal = Field(default=Decimal("0.5"), ge=0)
    """Collateral for a short position beyond its value, as a fraction of it."""

    fee_fraction: Decimal = Field(default=Decimal("0.0005"), ge=0, lt=1)
    """The highest fee a venue may charge, as a fraction of notional."""

    decision_budget_ms: float = Field(default=50, gt=0)
    """A decision that took longer than this is a denial."""

    approval_valid_s: float = Field(default=5, gt=0)
    """How long the asker has to commit an approved order."""

    reservation_age_max_s: float = Field(default=30, gt=0)
    """A reservation this old whose order was never committed is released; well above `approval_valid_s`."""
