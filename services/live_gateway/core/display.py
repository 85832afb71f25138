"""What a venue displays at its best price, and how much of it has been taken already."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from shared.contract.market import Quote

ZERO = Decimal(0)


def whole_lots(quantity: Decimal, lot: Decimal) -> Decimal:
    """As much of a quantity as can be filled, without trailing zeros."""
    return max(ZERO, quantity // lot * lot).normalize() + ZERO


@dataclass(slots=True)
class Display:
    """One side's best price and the quantity shown there.

    The market does not know of our fills, so a displayed quantity is consumed once by this rule: what was taken stays
    taken for as long as the price stands, whatever quantity is shown next; only what is shown beyond it is new. When
    less is shown than was taken, the difference has left anyway. Another price is another display.
    """

    price: Decimal | None = None
    shown: Decimal = ZERO
    taken: Decimal = ZERO

    @property
    def free(self) -> Decimal:
        return self.shown - self.taken

    def show(self, price: Decimal | None, quantity: Decimal | None) -> None:
        shown = quantity or ZERO
        self.taken = min(self.taken, shown) if price == self.price else ZERO
        self.price, self.shown = price, shown

    def take(self, wanted: Decimal, lot: Decimal) -> Decimal:
        """As much of `wanted` as is free, in whole lots; taken once it is returned."""
        taken = min(wanted, whole_lots(self.free, lot))
        self.taken += taken
        return taken


@dataclass(slots=True)
class Touch:
    """Best bid and ask of one data venue."""

    bid: Display = field(default_factory=Display)
    ask: Display = field(default_factory=Display)

    def show(self, quote: Quote) -> None:
        self.bid.show(quote.bid, quote.bid_quantity)
        self.ask.show(quote.ask, quote.ask_quantity)
