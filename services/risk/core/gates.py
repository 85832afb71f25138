"""The switches people throw: kills, trading states, blocked symbols, limits. Every throw is an alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.risk.settings import AccountLimits
from shared.contract import keys
from shared.contract.base import Message, normal_symbol
from shared.contract.errors import NotFound, Refused
from shared.contract.risk import Kill, RiskAlert, RiskCheck, TradingState


@dataclass(frozen=True, slots=True)
class Change:
    """A switch thrown: what to remember of it (None: nothing any more), and the alert that tells of it."""

    key: str
    value: Message | str | None
    alert: RiskAlert


class Gates:
    """What is shut or limited just now, and the alerts that tell of every change."""

    def __init__(self, limits: Mapping[str, AccountLimits]) -> None:
        self.limits = dict(limits)
        self.kills: dict[str, Kill] = {}
        self.states: dict[str, TradingState] = {}
        self.blocked: dict[str, str] = {}
        self.alerts: dict[str, RiskAlert] = {}
        self._newest_ns = 0

    def recall(self, alerts: list[RiskAlert]) -> None:
        for alert in sorted(alerts, key=lambda a: a.at_ns):
            self.alerts[alert.alert_id] = alert
            self._newest_ns = max(self._newest_ns, alert.at_ns)

    def killed(self, check: RiskCheck) -> str | None:
        """The widest killed scope that an order falls under, or None."""
        if not self.kills:
            return None
        scopes = ("firm", f"account.{check.account}", f"symbol.{check.symbol}", f"strategy.{check.strategy}")
        return next((scope for scope in scopes if scope in self.kills), None)

    def state(self, account: str) -> TradingState:
        return self.states.get(account, TradingState.ACTIVE)

    def kill(self, kill: Kill, now_ns: int) -> Change:
        if kill.scope.startswith("venue."):
            detail = "risk judges orders whatever their venue; kill firm, account.…, symbol.… or strategy.…"
            raise Refused("UNKNOWN_SCOPE", detail, field="scope")
        shut = Kill(scope=_normal(kill.scope), reason=kill.reason, at_ns=now_ns)
        self.kills[shut.scope] = shut
        alert = self._alert("RISK_KILL_SET", f"{shut.scope} is killed: {kill.reason}", now_ns, shut.scope)
        return Change(keys.kill(shut.scope), shut, alert)

    def lift(self, scope: str, now_ns: int) -> Change:
        scope = _normal(scope)
        if self.kills.pop(scope, None) is None:
            raise NotFound(f"{scope} is not killed; killed: {', '.join(sorted(self.kills)) or 'nothing'}")
        alert = self._alert("RISK_KILL_LIFTED", f"{scope} may trade again", now_ns, scope)
        return Change(keys.kill(scope), None, alert)

    def put_state(self, account: str, state: TradingState, now_ns: int) -> Change:
        self.states[account] = state
        alert = self._alert("RISK_TRADING_STATE", f"{account} is {state}", now_ns, f"account.{account}")
        return Change(keys.trading_state(account), state.value, alert)

    def block(self, symbol: str, reason: str, now_ns: int) -> Change:
        self.blocked[symbol] = reason
        alert = self._alert("RISK_SYMBOL_BLOCKED", f"{symbol} is blocked: {reason}", now_ns, f"symbol.{symbol}")
        return Change(keys.blocked(symbol), reason, alert)

    def unblock(self, symbol: str, now_ns: int) -> Change:
        symbol = normal_symbol(symbol)
        if self.blocked.pop(symbol, None) is None:
            raise NotFound(f"{symbol} is not blocked; blocked: {', '.join(sorted(self.blocked)) or 'nothing'}")
        alert = self._alert("RISK_SYMBOL_UNBLOCKED", f"{symbol} may be traded again", now_ns, f"symbol.{symbol}")
        return Change(keys.blocked(symbol), None, alert)

    def put_limits(self, account: str, limits: AccountLimits, now_ns: int) -> Change:
        self.limits[account] = limits
        message = f"the limits of {account} were replaced"
        alert = self._alert("RISK_LIMITS_CHANGED", message, now_ns, f"account.{account}")
        return Change(keys.limits(account), limits, alert)

    def acknowledge(self, alert_id: str) -> RiskAlert:
        if alert_id not in self.alerts:
            raise NotFound(f"there is no alert {alert_id}")
        self.alerts[alert_id] = self.alerts[alert_id].model_copy(update={"acknowledged": True})
        return self.alerts[alert_id]

    def recent(self, count: int) -> list[RiskAlert]:
        """Newest first."""
        return list(self.alerts.values())[: -count - 1 : -1]

    def _alert(self, code: str, message: str, now_ns: int, scope: str) -> RiskAlert:
        # Two alerts of one moment need two ids, also after a restart.
        self._newest_ns = max(now_ns, self._newest_ns + 1)
        kind, _, name = scope.partition(".")
        alert = RiskAlert(
            alert_id=str(self._newest_ns),
            account=name if kind == "account" else "firm",
            code=code,
            message=message,
            symbol=name if kind == "symbol" else None,
            at_ns=self._newest_ns,
        )
        self.alerts[alert.alert_id] = alert
        return alert


def _normal(scope: str) -> str:
    kind, _, name = scope.partition(".")
    return f"symbol.{normal_symbol(name)}" if kind == "symbol" else scope
