"""What an account comes to: its money, what is set aside of it, and its positions at the latest prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from shared.contract.accounts import Balance, Position
from shared.contract.errors import Refused
from shared.contract.market import Instrument
from shared.contract.orders import Side
from shared.contract.risk import Reservation
from shared.domain import ledger

ZERO = Decimal(0)


def opening(listed: Mapping[str, Any], opening_cash: Decimal, account: str) -> Balance:
    """What a new account opens with: the cash that config/accounts.yaml gives it, by name or to any."""
    terms = listed.get(account) or listed.get("*") or {}
    return Balance(
        account=account,
        currency=str(terms.get("currency", "USD")),
        cash=Decimal(str(terms.get("opening_cash", opening_cash))),
    )


def opens(listed: Mapping[str, Any], opening_cash: Decimal) -> Callable[[str], Balance | None]:
    """What an account that has not traded yet opens with, if it is named; None says that there is no such account."""
    return lambda account: opening(listed, opening_cash, account) if account in listed else None


class Appraiser:
    """Puts a value on what accounts hold.

    `price_of` gives the latest price of a symbol, None while there is none; the last fill's then stands in. `rate`
    leads from one currency to another; a sum over a currency it does not know is None, never a guess.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        rate: Callable[[str, str], Decimal],
        price_of: Callable[[str], Decimal | None],
    ) -> None:
        self._instruments = instruments
        self._rate = rate
        self._price_of = price_of

    def account(
        self, balance: Balance, positions: Iterable[Position], reservations: Iterable[Reservation]
    ) -> dict[str, Any]:
        """Money, and everything the positions come to, in the account's currency."""
        reserved = self.reserved(balance.currency, reservations)
        standing = self.positions(balance.currency, positions)
        worth = standing["worth"]
        return {
            **balance.model_dump(mode="json"),
            "reserved": _said(reserved),
            "free": _said(None if reserved is None else balance.cash - reserved),
            "equity": _said(None if worth is None else balance.cash + Decimal(worth)),
            **{name: standing[name] for name in ("realized_pnl", "unrealized_pnl", "positions")},
        }

    def positions(self, currency: str, positions: Iterable[Position]) -> dict[str, Any]:
        """Positions by symbol, each in its instrument's currency, and their sums in `currency`."""
        sums: dict[str, Decimal | None] = {"realized_pnl": ZERO, "unrealized_pnl": ZERO, "fees": ZERO, "worth": ZERO}
        by_symbol: dict[str, Any] = {}
        for position in positions:
            own = self._one(position)
            rate = self._known_rate(self._currency(position.symbol, currency), currency)
            for name, before in sums.items():
                sums[name] = None if before is None or rate is None else before + own[name] * rate
            words = {name: _said(value) for name, value in own.items()}
            source = "market" if self._price_of(position.symbol) is not None else "last_fill"
            by_symbol[position.symbol] = {**position.model_dump(mode="json"), **words, "price_from": source}
        return {**{name: _said(value) for name, value in sums.items()}, "positions": by_symbol}

    def reserved(self, currency: str, reservations: Iterable[Reservation]) -> Decimal | None:
        """The money that open orders to buy may take; of one group only the largest can."""
        worst: dict[str, Decimal] = {}
        for one in reservations:
            if one.side != Side.BUY:
                continue
            rate = self._known_rate(self._currency(one.symbol, currency), currency)
            if rate is None:
                return None
            money = one.quantity * one.price * self._multiplier(one.symbol) * rate
            key = f"group {one.group}" if one.group else one.order_id
            worst[key] = max(money, worst.get(key, ZERO))
        return sum(worst.values(), ZERO)

    def _one(self, position: Position) -> dict[str, Decimal]:
        price = self._price_of(position.symbol)
        price = position.last_price if price is None else price
        multiplier = self._multiplier(position.symbol)
        return {
            "price": price,
            "worth": ledger.worth(position, price, multiplier),
            "realized_pnl": position.realized_pnl,
            "unrealized_pnl": ledger.unrealized(position, price, multiplier),
            "fees": position.fees,
        }

    def _multiplier(self, symbol: str) -> Decimal:
        return self._instruments[symbol].multiplier if symbol in self._instruments else Decimal(1)

    def _currency(self, symbol: str, otherwise: str) -> str:
        return self._instruments[symbol].currency if symbol in self._instruments else otherwise

    def _known_rate(self, held: str, wanted: str) -> Decimal | None:
        try:
            return self._rate(held, wanted)
        except Refused:
            return None


def _said(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
