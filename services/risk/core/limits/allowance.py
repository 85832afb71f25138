"""What the limits of all the scopes in reach of an order allow it together, and what is said of that, prepared.

The most restrictive scope wins, and what no scope sets is 0. Of what adds up (positions, exposure, open orders) every
scope that sets a limit has its own sum to hold to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import IntEnum

from services.risk.core.findings import Most
from services.risk.core.limits.bounds import FlowLimits, LossLimits
from shared.contract.judgement import Phrase, phrase
from shared.contract.risk import Limits

ZERO = Decimal(0)


class Level(IntEnum):
    """Whose sum a limit is held against. The first two are counted in the account's currency."""

    ACCOUNT_SYMBOL = 0
    ACCOUNT = 1
    STRATEGY_SYMBOL = 2
    STRATEGY = 3
    SYMBOL = 4
    FIRM = 5


Scoped = tuple[str, Level, Limits]
"""A scope, the level of its sums, and what it says."""

Bounds = tuple[tuple[Level, Most], ...]

OF_ONE_SYMBOL = {Level.ACCOUNT: Level.ACCOUNT_SYMBOL, Level.STRATEGY: Level.STRATEGY_SYMBOL, Level.FIRM: Level.SYMBOL}
"""A position is always one symbol's: whatever the scope, only its line of that symbol counts."""


class Allowance:
    """What orders of one account and strategy in one symbol may do, with everything that is said of it prepared."""

    def __init__(
        self, account: str, strategy: str | None, symbol: str, reach: list[Scoped], own_currency: bool
    ) -> None:
        self._account = f"account.{account}"
        self._reach = reach
        self.scopes = [(scope, limits) for scope, _, limits in reach]
        self.flow = FlowLimits.of(self.scopes)
        self.losses = LossLimits.of(self.scopes, _owners(account, strategy))
        self.quantity = self._one("R07", "RISK_ORDER_QUANTITY", "quantity", "order_quantity_max")
        # An amount in the account's currency cannot be compared with one in the firm's: one bound for each.
        currency = _first if own_currency else _currency
        self.notional = self._each("R07", "RISK_ORDER_NOTIONAL", "notional", "order_notional_max", currency)
        self.volume = self._if_set("R07", "RISK_ORDER_VOLUME", "share of a day's volume", "order_volume_fraction_max")
        limit = "collar_aggressive_fraction_max"
        self.aggressive = self._one("R06", "RISK_COLLAR_AGGRESSIVE", "distance beyond the far touch", limit)
        limit = "collar_passive_fraction_max"
        self.passive = self._one("R06", "RISK_COLLAR_PASSIVE", "distance behind the near touch", limit)
        code = "RISK_POSITION_LIMIT"
        self.long = self._each("R08", code, "worst-case long position", "long_quantity_max", _line)
        self.short = self._each("R08", code, "worst-case short position", "short_quantity_max", _line)
        self.gross = self._each("R09", "RISK_GROSS_EXPOSURE", "worst-case gross exposure", "gross_notional_max")
        self.net = self._each("R09", "RISK_NET_EXPOSURE", "worst-case net exposure", "net_notional_max")
        limit = "concentration_fraction_max"
        self.concentration = self._each("R09", "RISK_CONCENTRATION", f"share of equity in {symbol}", limit, _line)
        self.leverage = self._each("R09", "RISK_LEVERAGE", "leverage", "leverage_max")
        self.open_orders = self._each("R10", "RISK_OPEN_ORDERS", "number of open orders", "open_orders_max")
        self.open_notional = self._each("R10", "RISK_OPEN_NOTIONAL", "value of open orders", "open_notional_max")
        added = (self.gross, self.net, self.concentration, self.leverage, self.open_notional)
        self.levels = tuple(sorted({level for bounds in added for level, _ in bounds}))
        # What is said of nearly every order is written here, once.
        self.is_set = phrase("R00", "RISK_NO_LIMITS", "set", "set", f"{account}.{symbol}")
        self.not_killed = phrase("R19", "RISK_KILLED", "none", "none", "firm")
        self.active = phrase("R18", "RISK_TRADING_STATE", "ACTIVE", "ACTIVE", account)
        self.unblocked = phrase("R03", "RISK_SYMBOL_BLOCKED", "open", "open", symbol)
        self.permitted = phrase("R03", "RISK_NOT_PERMITTED", "permitted", "permitted", account)
        self.no_crossing = phrase("R16", "RISK_SELF_TRADE", "none", "none", account)
        self.well = phrase("R20", "RISK_UNHEALTHY", "well", "well", "risk")
        # What is said of losses, for as long as nobody's are measured anew.
        self.lost: tuple[tuple[Phrase, ...], tuple[str, ...]] = (), ()
        self.lost_at = -1

    def _one(self, rule: str, code: str, what: str, limit: str) -> Most:
        most = self._if_set(rule, code, what, limit)
        return most if most and most.hard else self._nothing(rule, code, what, limit)

    def _if_set(self, rule: str, code: str, what: str, limit: str) -> Most | None:
        return _tightest(rule, code, what, limit, self._reach)

    def _each(
        self, rule: str, code: str, what: str, limit: str, level_of: Callable[[Level], Level] = lambda level: level
    ) -> Bounds:
        by_level: dict[Level, list[Scoped]] = {}
        for one in self._reach:
            by_level.setdefault(level_of(one[1]), []).append(one)
        bounds = [(level, _tightest(rule, code, what, limit, some)) for level, some in by_level.items()]
        found = tuple((level, most) for level, most in bounds if most is not None)
        if any(most.hard for _, most in found):
            return found
        return (*found, (level_of(Level.ACCOUNT), self._nothing(rule, code, what, limit)))

    def _nothing(self, rule: str, code: str, what: str, limit: str) -> Most:
        return Most(rule, code, what, self._account, ZERO, unset=limit)


def _owners(account: str, strategy: str | None) -> tuple[str, ...]:
    owners = "firm", f"account.{account}"
    return owners if strategy is None else (*owners, f"strategy.{strategy}")


def _line(level: Level) -> Level:
    return OF_ONE_SYMBOL.get(level, level)


def _currency(level: Level) -> Level:
    return Level.ACCOUNT if level <= Level.ACCOUNT else Level.FIRM


def _first(_level: Level) -> Level:
    return Level.ACCOUNT


def _tightest(rule: str, code: str, what: str, limit: str, reach: Iterable[Scoped]) -> Most | None:
    hard: tuple[Decimal, str] | None = None
    soft: tuple[Decimal, str] | None = None
    for scope, _, limits in reach:
        most: Decimal | None = getattr(limits, limit)
        if most is not None and (hard is None or most < hard[0]):
            hard = most, scope
        lower: Decimal | None = getattr(limits.soft, limit) if limits.soft else None
        if lower is not None and (soft is None or lower < soft[0]):
            soft = lower, scope
    softened = Most(rule, code, what, soft[1], soft[0]) if soft else None
    if hard is None:
        return softened and Most(rule, code, what, softened.scope, None, softened)
    return Most(rule, code, what, hard[1], hard[0], softened)
