"""Which version of a scope's limits stands, who put it there, when and why; and every version before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.risk.core.switches.alerts import Alerts, Change, person
from shared.contract import keys
from shared.contract.base import Message, Name, Nanos


class LimitsVersion(Message):
    """Limits of a scope as put by hand, kept under keys.limits(scope) and, all of them, keys.limits_history(scope).

    `version` counts from 1; the configuration's own limits are version 0. `limits` are the words of whatever message
    was put.
    """

    scope: str
    version: int
    actor: Name
    reason: str
    at_ns: Nanos
    limits: dict[str, Any]


class LimitsBook:
    """The versions that stand above the configuration."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._current: dict[str, LimitsVersion] = {}

    def restore(self, standing: Iterable[LimitsVersion]) -> None:
        """After a restart: what stands under limits:*."""
        self._current = {entry.scope: entry for entry in standing}

    def current(self, scope: str) -> LimitsVersion | None:
        """None: the scope has the configuration's limits."""
        return self._current.get(scope)

    def all(self) -> list[LimitsVersion]:
        return list(self._current.values())

    def put(self, scope: str, limits: Message, actor: str, reason: str, now_ns: int) -> Change:
        """A named person, not the account or strategy itself, replaces a scope's limits."""
        person(actor, *scope.split("."))
        before = self._current.get(scope)
        entry = LimitsVersion(
            scope=scope,
            version=before.version + 1 if before else 1,
            actor=actor,
            reason=reason,
            at_ns=now_ns,
            limits=limits.model_dump(mode="json", exclude_none=True),
        )
        self._current[scope] = entry
        message = f"the limits of {scope} were replaced by {actor} (version {entry.version}): {reason}"
        alert = self._alerts.tell("RISK_LIMITS_CHANGED", message, scope, now_ns)
        history = (keys.limits_history(scope), entry)
        return self._alerts.changed(alert, keys.limits(scope), entry, history=history)
