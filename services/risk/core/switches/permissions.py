"""R03: who may trade what, and who may sell it short."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.risk.core.findings import Measured
from shared.contract.base import normal_symbol
from shared.contract.risk import Permission, RiskCheck

ANSWERS_MAX = 100_000
NOBODY = "-"
"""Stands for the strategy of an order that has none."""


class Permissions:
    """Without any permission, whoever has limits for a symbol may trade it. With some, only what one of them names.

    Limits are what fails closed: without them nothing trades (R00), and without a short limit nothing is sold short
    (R08). Permissions narrow that to people, strategies and symbols.
    """

    def __init__(self, given: Sequence[Permission]) -> None:
        self._given = [(_names(p.accounts), _names(p.strategies), _symbols(p.symbols), p.short) for p in given]
        self._answers: dict[tuple[str, str, str], tuple[bool, bool]] = {}

    @property
    def narrow(self) -> bool:
        """Whether there are any."""
        return bool(self._given)

    def look(self, check: RiskCheck, shorts: Callable[[], bool]) -> Measured:
        """`shorts` tells whether the order could open or add to a short; it is asked only where that matters."""
        if not self._given:
            return Measured("R03", "RISK_NOT_PERMITTED", True, "permitted", "permitted", check.account)
        may_trade, may_short = self._answer(check.account, check.strategy or NOBODY, check.symbol)
        who = f"account {check.account}" if check.strategy is None else f"strategy {check.strategy} of {check.account}"
        if not may_trade:
            reason = f"{who} has no permission to trade {check.symbol}"
            return Measured("R03", "RISK_NOT_PERMITTED", False, "none", "permitted", check.account, reason)
        if check.side == "SELL" and not may_short and shorts():
            reason = f"{who} has no permission to sell {check.symbol} short"
            return Measured("R03", "RISK_SHORT_NOT_PERMITTED", False, "none", "permitted", check.account, reason)
        return Measured("R03", "RISK_NOT_PERMITTED", True, "permitted", "permitted", check.account)

    def _answer(self, account: str, strategy: str, symbol: str) -> tuple[bool, bool]:
        asked = (account, strategy, symbol)
        known = self._answers.get(asked)
        if known is None:
            named = [
                short
                for accounts, strategies, symbols, short in self._given
                if _in(account, accounts) and _in(strategy, strategies) and _in(symbol, symbols)
            ]
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()
            known = self._answers[asked] = (bool(named), any(named))
        return known


def _names(given: Sequence[str]) -> frozenset[str]:
    return frozenset(given)


def _symbols(given: Sequence[str]) -> frozenset[str]:
    return frozenset(symbol if symbol == "*" else normal_symbol(symbol) for symbol in given)


def _in(name: str, names: frozenset[str]) -> bool:
    return "*" in names or name in names
