"""Risk's knobs."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

from pydantic import Field, field_validator

from shared.contract.base import normal_symbol
from shared.contract.errors import Refused
from shared.contract.risk import Limits, Permission
from shared.kit import Settings as KitSettings

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
SCOPE = re.compile(
    rf"firm|(?:(?:account|strategy)\.(?:{NAME}|\*)|symbol\.(?P<symbol>.+)|account\.(?:{NAME}|\*)\.symbol\.(?P<own>.+))"
)
SYMBOL = re.compile(r"\*|[A-Z0-9][A-Z0-9_]{0,31}")


def limit_scope(scope: str) -> str:
    """The one spelling of a scope that can have limits; a bare name is an account's."""
    if scope == "*" or (scope != "firm" and re.fullmatch(NAME, scope)):
        scope = f"account.{scope}"
    match = SCOPE.fullmatch(scope)
    symbol = match and (match["symbol"] or match["own"])
    if match is None or (symbol and not SYMBOL.fullmatch(normal_symbol(symbol))):
        detail = f"{scope} is no scope; give firm, account.…, strategy.…, symbol.… or account.….symbol.… (* is any)"
        raise Refused("UNKNOWN_SCOPE", detail, field="scope")
    return scope if not symbol else scope.removesuffix(symbol) + normal_symbol(symbol)


class Settings(KitSettings):
    limits: dict[str, Limits] = Field(default_factory=dict[str, Limits])
    """Limits by scope: firm, account.…, strategy.…, symbol.…, account.….symbol.… (`*` is any that is not named)."""

    restricted: dict[str, str] = Field(default_factory=dict[str, str])
    """Symbols that nobody may trade, and why."""

    permissions: tuple[Permission, ...] = ()
    """Who may trade what; without any, whoever has limits for a symbol may trade it."""

    currency: str = Field(default="USD", pattern=r"^[A-Z]{3,5}$")
    """The firm's currency: limits of firm, strategies and symbols are amounts of it."""

    reference_age_max_s: Decimal = Field(default=Decimal(3), gt=0)
    """How old the latest quote may be for an order to be judged against it."""

    divergence_fraction_max: Decimal = Field(default=Decimal("0.05"), gt=0)
    """How far apart two venues may quote a symbol, as a fraction, before neither is believed."""

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
    """An approval this old whose order was never committed is void; well above `approval_valid_s`."""

    release_valid_s: float = Field(default=60, gt=0)
    """How long a second person's release lets an order pass its soft limits."""

    event_age_max_s: float = Field(default=5, gt=0)
    """While the oms's events arrive later than this, no new risk is taken."""

    stream_silence_max_s: float = Field(default=10, gt=0)
    """When the stream of orders has not answered for this long, no new risk is taken."""

    clock_skew_max_s: float = Field(default=1.0, gt=0)
    """When an event is from further in the future than this, clocks differ and no new risk is taken."""

    duplicate_window_s: float = Field(default=1.0, ge=0)
    """For so long the same order may not be sent again under another id; 0: it may."""

    orders_per_trade_grace: int = Field(default=100, ge=0)
    """So many messages of a day go by before the ratio of orders to trades counts."""

    executions_window_s: float = Field(default=60.0, gt=0)
    """For so long executions of one strategy on one side of a symbol are counted together."""

    collar_hits_max: int = Field(default=20, ge=0)
    """So many prices beyond the collar disable a strategy, or an account without one, in the symbol; 0: they do not."""

    collar_hits_window_s: float = Field(default=60.0, gt=0)
    """For so long prices beyond the collar are counted together."""

    loss_action: Literal["REDUCING", "HALTED"] = "REDUCING"
    """The state a scope falls into when it lost more than it may."""

    @field_validator("limits")
    @classmethod
    def _normal(cls, given: dict[str, Limits]) -> dict[str, Limits]:
        try:
            return {limit_scope(scope): limits for scope, limits in given.items()}
        except Refused as refused:
            raise ValueError(refused.detail) from None
