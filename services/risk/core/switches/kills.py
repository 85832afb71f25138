"""R19: the kill switch. Whoever sees the need may set it; lifting it takes somebody else, with a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.risk.core.switches.alerts import Alerts, Change, person
from shared.contract import keys
from shared.contract.base import normal_symbol
from shared.contract.errors import NotFound, Refused
from shared.contract.risk import Kill, RiskAlert, RiskCheck


class Kills:
    """What is killed, by whom and why. Every way in ends here: HTTP, `risk.kill`, and what stood before a restart."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._set: dict[str, Kill] = {}
        self._lifted_ns: dict[str, int] = {}

    def restore(self, kills: Iterable[Kill], lifted_ns: Mapping[str, int]) -> None:
        """After a restart: what stands under kill:* and lifted:*."""
        self._set = {kill.scope: kill for kill in kills if kill.active}
        self._lifted_ns = dict(lifted_ns)

    def of(self, check: RiskCheck) -> str | None:
        """The widest killed scope that an order falls under, or None."""
        if not self._set:
            return None
        scopes = (
            "firm",
            f"account.{check.account}",
            f"strategy.{check.strategy or '-'}",
            f"venue.{check.venue}",
            f"symbol.{check.symbol}",
        )
        return next((scope for scope in scopes if scope in self._set), None)

    def active(self) -> list[Kill]:
        return list(self._set.values())

    def __len__(self) -> int:
        return len(self._set)

    def set(self, kill: Kill, now_ns: int) -> Change:
        """Kill a scope. One that is killed already keeps its setter and is said again, so that it is enforced again."""
        scope = plain(kill.scope)
        standing = self._set.get(scope) or kill.altered(scope=scope, active=True, at_ns=now_ns)
        alert = self._put(standing, kill, now_ns)
        return self._alerts.changed(alert, keys.kill(scope), standing, say=standing)

    def lift(self, scope: str, actor: str, now_ns: int) -> Change:
        """Somebody other than the setter lets a scope trade again."""
        scope = plain(scope)
        standing = self._set.get(scope)
        if standing is None:
            raise NotFound(f"{scope} is not killed; killed: {', '.join(sorted(self._set)) or 'nothing'}")
        person(actor, standing.actor, *own_names(scope))
        del self._set[scope]
        # Not before the kill itself, should a clock have gone back since.
        lifted_ns = self._lifted_ns[scope] = max(now_ns, standing.at_ns)
        alert = self._alerts.tell("RISK_KILL_LIFTED", f"{scope} may trade again, says {actor}", scope, now_ns)
        lifted = Kill(scope=scope, reason=standing.reason, actor=actor, active=False, at_ns=lifted_ns)
        return self._alerts.changed(alert, keys.kill(scope), None, (keys.lifted(scope), str(lifted_ns)), say=lifted)

    def hear(self, kill: Kill, now_ns: int) -> Change | None:
        """A kill, or its end, that somebody published. What is known already, or older than the last lift, is None.

        The end of one by nobody, or by its own setter, changes nothing and is told of.
        """
        scope = plain(kill.scope)
        standing = self._set.get(scope)
        if not kill.active:
            return self._hear_end(kill, standing, now_ns) if standing else None
        at_ns = kill.at_ns or now_ns
        if standing or at_ns <= self._lifted_ns.get(scope, -1):
            return None
        heard = kill.altered(scope=scope, at_ns=at_ns)
        return self._alerts.changed(self._put(heard, heard, now_ns), keys.kill(scope), heard)

    def _hear_end(self, kill: Kill, standing: Kill, now_ns: int) -> Change | None:
        if kill.at_ns and kill.at_ns < standing.at_ns:
            return None
        try:
            return self.lift(kill.scope, kill.actor, now_ns)
        except Refused as refused:
            message = f"{kill.actor} may not lift the kill of {standing.scope}: {refused.detail}"
            return self._alerts.changed(self._alerts.tell("RISK_KILL_LIFT_REFUSED", message, standing.scope, now_ns))

    def _put(self, standing: Kill, said: Kill, now_ns: int) -> RiskAlert:
        self._set[standing.scope] = standing
        message = f"{standing.scope} is killed by {said.actor}: {said.reason}"
        return self._alerts.tell("RISK_KILL_SET", message, standing.scope, now_ns)


def plain(scope: str) -> str:
    """The one spelling of a scope."""
    kind, _, name = scope.partition(".")
    if kind == "symbol":
        return f"symbol.{normal_symbol(name)}"
    return scope.lower() if kind == "venue" else scope


def own_names(scope: str) -> tuple[str, ...]:
    """What is killed may not lift its own kill."""
    kind, _, name = scope.partition(".")
    return (name,) if kind in ("account", "strategy") else ()
