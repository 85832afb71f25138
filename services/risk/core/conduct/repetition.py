"""Conduct that stops a strategy until a person has looked at it: repetition and prices that are off time and again.

R15 RISK_REPEATED_EXECUTION  so many executions on one side of a symbol within a window  RTS 6 Art. 15(3)
R06 RISK_COLLAR_REPEATED     so many orders beyond the collar within a window            RTS 6 Art. 15(1)(a)
"""

from __future__ import annotations

from collections.abc import Iterable

from services.risk.core.conduct.windows import Occurrences
from services.risk.core.findings import Measured, unset
from services.risk.core.limits.bounds import UNSET, Bound
from services.risk.core.switches.alerts import Alerts, Change, person
from shared.contract import keys
from shared.contract.base import Message, Nanos, normal_symbol
from shared.contract.errors import NotFound
from shared.contract.orders import Order
from shared.contract.risk import RiskCheck

EXECUTED = "RISK_REPEATED_EXECUTION"
COLLARED = "RISK_COLLAR_REPEATED"


class Disabled(Message):
    """A symbol in which a strategy, or an account trading without one, may not go on by itself."""

    scope: str
    symbol: str
    code: str = EXECUTED
    reason: str
    at_ns: Nanos


class Repetition:
    """What was done of late, and who is disabled for it. What is disabled outlives everything but a person."""

    def __init__(self, alerts: Alerts, window_s: float, collar_hits_max: int, collar_window_s: float) -> None:
        """`collar_hits_max` 0: prices that are off disable nobody."""
        self._alerts = alerts
        self._executions: Occurrences[tuple[str, str, str]] = Occurrences(window_s)
        self._collared: Occurrences[tuple[str, str]] = Occurrences(collar_window_s)
        self._collar_hits_max = collar_hits_max
        self._disabled: dict[tuple[str, str], Disabled] = {}

    def look(self, owner: str, check: RiskCheck, bound: Bound, now_ns: int) -> Measured:
        done = self._executions.count((owner, check.symbol, check.side), now_ns)
        used = bound.share(done)
        disabled = self._disabled.get((owner, check.symbol)) if self._disabled else None
        if disabled is not None:
            reason = f"{owner} is disabled in {check.symbol} until a person enables it: {disabled.reason}"
            rule = "R06" if disabled.code == COLLARED else "R15"
            return Measured(rule, disabled.code, False, "disabled", bound.words, owner, reason, used)
        reason = ""
        if not (ok := done < bound.most):
            done_so = f"{owner} executed {check.side} {check.symbol} {done} times in {self._executions.window_s:g} s"
            reason = f"{done_so}, and {bound.words} disable it"
            if bound is UNSET:
                reason = unset("executions_max", bound.scope)
        return Measured("R15", EXECUTED, ok, str(done), bound.words, bound.scope, reason, used)

    def executed(self, owner: str, order: Order, bound: Bound, now_ns: int) -> Change | None:
        """An order filled, for the first time or again: it is one execution."""
        done = self._executions.add((owner, order.symbol, order.side.value), order.order_id, now_ns)
        if bound.most <= 0 or done < bound.most:
            return None
        within = f"within {self._executions.window_s:g} s (most {bound.words})"
        return self._disable(EXECUTED, owner, order.symbol, f"{done} executions of {order.side} {within}", now_ns)

    def collared(self, owner: str, check: RiskCheck, now_ns: int) -> Change | None:
        """An order's price lay beyond its collar; the same order at the same price is the same mistake."""
        if not self._collar_hits_max:
            return None
        done = self._collared.add((owner, check.symbol), f"{check.order_id} {check.price}", now_ns)
        if done < self._collar_hits_max:
            return None
        reason = f"{done} prices beyond the collar within {self._collared.window_s:g} s"
        return self._disable(COLLARED, owner, check.symbol, reason, now_ns)

    def _disable(self, code: str, owner: str, symbol: str, reason: str, now_ns: int) -> Change | None:
        if (owner, symbol) in self._disabled:
            return None
        disabled = Disabled(scope=owner, symbol=symbol, code=code, reason=reason, at_ns=now_ns)
        self._disabled[owner, symbol] = disabled
        message = f"{owner} is disabled in {symbol} until a person enables it: {reason}"
        return self._alerts.changed(
            self._alerts.tell(code, message, owner, now_ns), keys.disabled(owner, symbol), disabled
        )

    def enable(self, scope: str, symbol: str, actor: str, reason: str, now_ns: int) -> Change:
        symbol = normal_symbol(symbol)
        if (scope, symbol) not in self._disabled:
            known = ", ".join(f"{name} in {what}" for name, what in sorted(self._disabled)) or "nothing"
            raise NotFound(f"{scope} is not disabled in {symbol}; disabled: {known}")
        person(actor, *scope.split("."))
        del self._disabled[scope, symbol]
        self._collared.forget((scope, symbol))
        for side in ("BUY", "SELL"):
            self._executions.forget((scope, symbol, side))
        message = f"{scope} may trade {symbol} by itself again, says {actor}: {reason}"
        alert = self._alerts.tell("RISK_ENABLED", message, scope, now_ns)
        return self._alerts.changed(alert, keys.disabled(scope, symbol), None)

    def disabled(self) -> list[Disabled]:
        return list(self._disabled.values())

    def restore(self, disabled: Iterable[Disabled]) -> None:
        self._disabled = {(entry.scope, entry.symbol): entry for entry in disabled}

    def sweep(self, now_ns: int) -> None:
        self._executions.sweep(now_ns)
        self._collared.sweep(now_ns)
