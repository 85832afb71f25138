"""Hierarchical limits: what every scope says, and which scopes an order is in reach of.

    firm · account.<name> · strategy.<name> · symbol.<SYM> · account.<name>.symbol.<SYM>

`*` stands for every name that has no limits of its own. Merged once per account, strategy and symbol, and kept until a
limit changes.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.risk.core.limits.allowance import Allowance, Level, Scoped
from shared.contract.risk import Limits

KEPT_MAX = 20_000


class LimitTable:
    """The limits of every scope: the configuration's, under those put by hand."""

    def __init__(self, configured: Mapping[str, Limits]) -> None:
        self._limits = dict(configured)
        self._kept: dict[tuple[str, str | None, str, bool], Allowance] = {}

    def put(self, scope: str, limits: Limits) -> None:
        self._limits[scope] = limits
        self._kept.clear()

    def of(self, scope: str) -> Limits | None:
        """What one scope says by itself, or what `*` says in its place."""
        if (limits := self._limits.get(scope)) is not None:
            return limits
        kind, _, _ = scope.partition(".")
        return self._limits.get(f"{kind}.*") if scope.count(".") == 1 else None

    def shown(self, scope: str) -> Limits | None:
        """What is shown of a scope: its own limits, or those of the `*` that stands for it."""
        if scope.count(".") == 3:
            _, account, _, symbol = scope.split(".")
            return self._of_symbol(account, symbol)
        return self.of(scope)

    def listed(self) -> dict[str, Limits]:
        return dict(self._limits)

    def allowance(self, account: str, strategy: str | None, symbol: str, own_currency: bool) -> Allowance:
        """`own_currency`: the account's money is the firm's currency."""
        key = (account, strategy, symbol, own_currency)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            reach = self._reach(account, strategy, symbol)
            kept = self._kept[key] = Allowance(account, strategy, symbol, reach, own_currency)
        return kept

    def _reach(self, account: str, strategy: str | None, symbol: str) -> list[Scoped]:
        found = (
            ("firm", Level.FIRM, self.of("firm")),
            (f"account.{account}", Level.ACCOUNT, self.of(f"account.{account}")),
            (f"strategy.{strategy}", Level.STRATEGY, self.of(f"strategy.{strategy}") if strategy else None),
            (f"symbol.{symbol}", Level.SYMBOL, self.of(f"symbol.{symbol}")),
            (f"account.{account}.symbol.{symbol}", Level.ACCOUNT_SYMBOL, self._of_symbol(account, symbol)),
        )
        return [(scope, level, limits) for scope, level, limits in found if limits is not None]

    def _of_symbol(self, account: str, symbol: str) -> Limits | None:
        names = [f"account.{a}.symbol.{s}" for a in (account, "*") for s in (symbol, "*")]
        return next((self._limits[name] for name in names if name in self._limits), None)
