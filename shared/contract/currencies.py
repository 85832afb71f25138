"""What one unit of a currency counts as in another."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from shared.contract.base import Message, Price
from shared.contract.errors import Refused

ONE = Decimal(1)


class Rates(Message):
    """Stated conversion rates, by the currency held and the currency wanted.

    What is not stated is refused: that two currencies are worth the same is never assumed, and neither is the way back.
    """

    rates: dict[str, dict[str, Price]] = Field(default_factory=dict)

    def rate(self, held: str, wanted: str) -> Decimal:
        """How much of `wanted` one unit of `held` counts as."""
        if held == wanted:
            return ONE
        stated = self.rates.get(held, {}).get(wanted)
        if stated is None:
            raise Refused(
                "NO_CONVERSION_RATE",
                f"no rate from {held} to {wanted} is stated; add {held}: {{{wanted}: …}} to config/currencies.yaml",
                field="symbol",
            )
        return stated
