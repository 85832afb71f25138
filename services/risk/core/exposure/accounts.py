"""Every account's exposure, and what they add up to for the firm and for each strategy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from services.risk.core.exposure.account import Exposure
from services.risk.core.exposure.book import ONE, ZERO, Book
from services.risk.core.market import Market
from services.risk.settings import Settings
from shared.contract.accounts import Balance, Position
from shared.contract.currencies import Rates
from shared.contract.errors import Refused
from shared.contract.market import Instrument


class Exposures:
    """What is known of accounts. Only what really happens to one is kept: a question about a name costs no memory."""

    def __init__(
        self,
        settings: Settings,
        instruments: Mapping[str, Instrument],
        accounts: Mapping[str, Any],
        market: Market,
        rates: Rates,
    ) -> None:
        self.accounts: dict[str, Exposure] = {}
        self.strategies: dict[str, Book] = {}
        self._settings = settings
        self._instruments = instruments
        self._listed = accounts
        self._market = market
        self._rates = rates
        self._cash = ZERO
        self.firm = self._book(settings.currency)

    def of(self, account: str) -> Exposure:
        """The account as it stands; one never heard of opens with the cash that config/accounts.yaml gives it."""
        if known := self.accounts.get(account):
            return known
        listed = self._listed.get(account) or self._listed.get("*") or {}
        cash = Decimal(str(listed.get("opening_cash", 0)))
        opening = Balance(account=account, currency=str(listed.get("currency", "USD")), cash=cash, version=-1)
        settings = self._settings
        book = self._book(opening.currency, (settings.short_margin, settings.fee_fraction))
        return Exposure(opening, book, self._wider)

    def taken(self, account: str) -> Exposure:
        """The account, to change it."""
        if known := self.accounts.get(account):
            return known
        exposure = self.accounts[account] = self.of(account)
        self._count_cash(exposure.balance, 1)
        return exposure

    def settle(
        self, account: str, positions: Iterable[Position], shares: Iterable[Position], balance: Balance | None
    ) -> Exposure:
        """Take over what was committed, each by its version."""
        exposure = self.taken(account)
        before = exposure.balance
        exposure.settle(None, None, balance)
        if exposure.balance is not before:
            self._count_cash(before, -1)
            self._count_cash(exposure.balance, 1)
        for position in positions:
            exposure.settle(position, None, None)
        for share in shares:
            exposure.settle(None, share, None)
        return exposure

    def strategy(self, strategy: str | None) -> Book | None:
        """What a strategy holds and has open in all accounts."""
        if strategy is None:
            return None
        return self.strategies.get(strategy) or self._book(self._settings.currency)

    def rate(self, held: str, wanted: str) -> Decimal | None:
        """How much of `wanted` one unit of `held` counts as; None when nobody states it."""
        if held == wanted:
            return ONE
        try:
            return self._rates.rate(held, wanted)
        except Refused:
            return None

    def firm_equity(self, exposure: Exposure | None) -> Decimal:
        """In the firm's currency, with the account that asks, known or not; the firm's book must be fresh."""
        equity = self._cash + self.firm.net
        if exposure is not None and exposure.balance.account not in self.accounts:
            equity += exposure.balance.cash * (self.rate(exposure.balance.currency, self.firm.currency) or ZERO)
        return equity

    def profit(self, scope: str) -> Decimal | None:
        """What `firm`, an account or a strategy has won or lost, in the firm's currency; None: it cannot be valued."""
        kind, _, name = scope.partition(".")
        books = {"firm": self.firm, "strategy": self.strategies.get(name)}
        book = self.accounts[name].book if kind == "account" else books[kind]
        if book is None:
            return None
        book.refresh()
        rate = self.rate(book.currency, self._settings.currency)
        return None if book.unquoted or rate is None else book.profit * rate

    def _wider(self, strategy: str | None) -> tuple[Book, ...]:
        if strategy is None:
            return (self.firm,)
        book = self.strategies.get(strategy)
        if book is None:
            book = self.strategies[strategy] = self._book(self._settings.currency)
        return self.firm, book

    def _book(self, currency: str, binds: tuple[Decimal, Decimal] | None = None) -> Book:
        def instrument(symbol: str) -> tuple[Decimal, Decimal | None]:
            listed = self._instruments.get(symbol)
            return (listed.multiplier, self.rate(listed.currency, currency)) if listed else (ONE, ONE)

        return Book(currency, self._market, instrument, binds)

    def _count_cash(self, balance: Balance, sign: int) -> None:
        rate = self.rate(balance.currency, self._settings.currency)
        if rate is None:
            self.firm.unvalued.add(f"cash in {balance.currency}")
        else:
            self._cash += balance.cash * rate * sign
