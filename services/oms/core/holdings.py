"""Holdings: every account's money and positions as decided so far, and what a fill does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.oms.core.accounts import opening
from shared.contract.accounts import Balance, Entry, Position
from shared.contract.errors import Refused, Unavailable
from shared.contract.market import Instrument
from shared.contract.orders import Fill
from shared.domain import ledger

Rate = Callable[[str, str], Decimal]
"""What one unit of the first currency counts as in the second; Refused when nobody states it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the books are kept by: what is listed, at which rates, and what new accounts open with."""

    instruments: Mapping[str, Instrument]
    rate: Rate
    accounts: Mapping[str, Any]
    opening_cash: Decimal


@dataclass(frozen=True, slots=True)
class Posted:
    """What one fill led to."""

    position: Position
    strategy_position: Position | None
    balance: Balance
    entry: Entry


class Holdings:
    """Positions by account, strategy and symbol; strategy None is the account's own, into which the others net."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._positions: dict[tuple[str, str | None, str], Position] = {}
        self._balances: dict[str, Balance] = {}

    def restore(self, balance: Balance | None, positions: Iterable[Position]) -> None:
        """Take up an account as it was committed."""
        if balance is not None:
            self._balances[balance.account] = balance
        for position in positions:
            self._positions[position.account, position.strategy, position.symbol] = position

    def balance(self, account: str) -> Balance:
        """The account's money; a new account opens with the cash that config/accounts.yaml gives it."""
        known = self._balances.get(account)
        if known is None:
            known = self._balances[account] = opening(self._terms.accounts, self._terms.opening_cash, account)
        return known

    def quantity(self, account: str, symbol: str) -> Decimal:
        """The net position, signed."""
        held = self._positions.get((account, None, symbol))
        return held.quantity if held else ledger.ZERO

    def check_currency(self, account: str, symbol: str) -> None:
        """Refused while the symbol could not be booked into the account."""
        instrument = self._terms.instruments[symbol]
        self._terms.rate(instrument.currency, self.balance(account).currency)

    def post(self, fill: Fill) -> Posted:
        """Enter a fill. Unavailable while it cannot be valued: it is never guessed at, and comes again."""
        instrument = self._terms.instruments.get(fill.symbol)
        if instrument is None:
            raise Unavailable(f"{fill.symbol} was filled and is not listed in config/instruments.yaml; list it")
        balance = self.balance(fill.account)
        try:
            rate = self._terms.rate(instrument.currency, balance.currency)
        except Refused as refused:
            raise Unavailable(refused.detail) from refused
        multiplier = instrument.multiplier
        before = self._position(fill, None)
        position = ledger.hold(before, fill, multiplier)
        entry = ledger.entry(fill, before, multiplier, instrument.currency, rate, balance.currency, position)
        share = ledger.hold(self._position(fill, fill.strategy), fill, multiplier) if fill.strategy else None
        balance = ledger.pay(balance, fill, multiplier, rate)
        self.restore(balance, [position, share] if share else [position])
        return Posted(position, share, balance, entry)

    def _position(self, fill: Fill, strategy: str | None) -> Position:
        known = self._positions.get((fill.account, strategy, fill.symbol))
        return known or Position(account=fill.account, symbol=fill.symbol, strategy=strategy)
