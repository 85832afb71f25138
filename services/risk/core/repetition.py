"""R15: a strategy that executes the same over and over is stopped until a person looks at it (RTS 6 Art. 15(3))."""

from __future__ import annotations

from collections.abc import Iterable

from services.risk.core.alerts import Alerts, Change, person
from services.risk.core.measured import Measured
from services.risk.core.reach import Bound
from services.risk.core.windows import Recent
from shared.contract import keys
from shared.contract.base import Message, Nanos, normal_symbol
from shared.contract.errors import NotFound
from shared.contract.orders import Order
from shared.contract.risk import RiskCheck

Kind = tuple[str, str, str]
"""Whose executions, of which symbol, on which side."""


class Disabled(Message):
    """A symbol in which a strategy, or an account trading without one, may not go on by itself."""

    scope: str
    symbol: str
    reason: str
    at_ns: Nanos


class Repetition:
    """Executions of late, and who is disabled because of them. What is disabled outlives everything but a person."""

    def __init__(self, window_s: float, alerts: Alerts) -> None:
        self._window_s = window_s
        self._alerts = alerts
        self._executions: dict[Kind, Recent[str, bool]] = {}
        self._disabled: dict[tuple[str, str], Disabled] = {}

    def look(self, owner: str, check: RiskCheck, bound: Bound, now_ns: int) -> Measured:
        done = self._count((owner, check.symbol, check.side), now_ns)
        used = bound.share(done)
        disabled = self._disabled.get((owner, check.symbol)) if self._disabled else None
        if disabled is not None:
            reason = f"{owner} is disabled in {check.symbol} until a person enables it: {disabled.reason}"
            return Measured("R15", "RISK_REPEATED_EXECUTION", False, "disabled", bound.words, owner, reason, used)
        reason = ""
        if not (ok := done < bound.most):
            done_so = f"{owner} executed {check.side} {check.symbol} {done} times in {self._window_s:g} s"
            reason = f"{done_so}, and {bound.words} disable it"
        return Measured("R15", "RISK_REPEATED_EXECUTION", ok, str(done), bound.words, bound.scope, reason, used)

    def executed(self, owner: str, order: Order, bound: Bound, now_ns: int) -> Change | None:
        """An order filled, for the first time or again: it is one execution."""
        kind = (owner, order.symbol, order.side.value)
        recent = self._executions.get(kind)
        if recent is None:
            recent = self._executions[kind] = Recent(self._window_s)
        if recent.get(order.order_id, now_ns) is None:
            recent.put(order.order_id, True, now_ns)
        if bound.most <= 0 or len(recent) < bound.most or (owner, order.symbol) in self._disabled:
            return None
        reason = f"{len(recent)} executions of {order.side} within {self._window_s:g} s (most {bound.words})"
        disabled = Disabled(scope=owner, symbol=order.symbol, reason=reason, at_ns=now_ns)
        self._disabled[owner, order.symbol] = disabled
        message = f"{owner} is disabled in {order.symbol} until a person enables it: {reason}"
        alert = self._alerts.tell("RISK_REPEATED_EXECUTION", message, owner, now_ns)
        return self._alerts.changed(alert, keys.disabled(owner, order.symbol), disabled)

    def enable(self, scope: str, symbol: str, actor: str, reason: str, now_ns: int) -> Change:
        symbol = normal_symbol(symbol)
        if (scope, symbol) not in self._disabled:
            known = ", ".join(f"{name} in {what}" for name, what in sorted(self._disabled)) or "nothing"
            raise NotFound(f"{scope} is not disabled in {symbol}; disabled: {known}")
        person(actor, *scope.split("."))
        del self._disabled[scope, symbol]
        for side in ("BUY", "SELL"):
            self._executions.pop((scope, symbol, side), None)
        message = f"{scope} may trade {symbol} by itself again, says {actor}: {reason}"
        alert = self._alerts.tell("RISK_ENABLED", message, scope, now_ns)
        return self._alerts.changed(alert, keys.disabled(scope, symbol), None)

    def disabled(self) -> list[Disabled]:
        return list(self._disabled.values())

    def restore(self, disabled: Iterable[Disabled]) -> None:
        self._disabled = {(entry.scope, entry.symbol): entry for entry in disabled}

    def sweep(self, now_ns: int) -> None:
        for kind in list(self._executions):
            if not self._count(kind, now_ns):
                del self._executions[kind]

    def _count(self, kind: Kind, now_ns: int) -> int:
        recent = self._executions.get(kind)
        if recent is None:
            return 0
        recent.sweep(now_ns)
        return len(recent)
