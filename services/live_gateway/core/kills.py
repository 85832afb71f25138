"""What is killed, by whatever way it was heard of; while it is, nothing new in its scope goes out.

Two kinds, and a scope is free only when it is in neither: those told (risk's word, or ours until risk has heard it) and
those that lie as files in the kill folder. What lies there is told, too: it stands like any other kill when the file is
gone, and for as long as it is not, nobody lifts it for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from shared.contract.base import normal_symbol
from shared.contract.orders import RouteOrder
from shared.contract.risk import KILLABLE, Kill, scopes_of

UNNAMED = "unnamed"

OVERDUE_NS = 150_000_000
"""The kill folder is looked into every tenth of a second, or more often."""


class Kills:
    """Every scope that is killed, and why."""

    def __init__(self) -> None:
        self._told: dict[str, Kill] = {}
        self._files: dict[str, Kill] = {}
        self._lifted_ns: dict[str, int] = {}
        self._why: dict[str, str] = {}
        self._looked_ns: int | None = None
        self._standstills = self._made_up = 0

    def restore(self, kept: Iterable[Kill], keyed: Iterable[Kill], lifted_ns: Mapping[str, int]) -> list[Kill]:
        """Begin with what was kept here and what stands in the store. Those that risk does not know are returned."""
        self._lifted_ns = {_plain(scope): at_ns for scope, at_ns in lifted_ns.items()}
        known = {_plain(kill.scope): kill for kill in keyed if kill.active}
        ours = {_plain(kill.scope): kill for kill in (*kept, *self._told.values())}
        unknown = {
            scope: kill
            for scope, kill in ours.items()
            if scope not in known and kill.at_ns > self._lifted_ns.get(scope, -1)
        }
        self._told = unknown | known
        self._judge()
        return list(unknown.values())

    def of(self, route: RouteOrder) -> str:
        """Why an order may not go out, or nothing."""
        if not self._why:
            return ""
        for scope in scopes_of(route.account, route.strategy, route.venue, route.symbol):
            if scope in self._why:
                return f"killed: {scope}: {self._why[scope]}"
        return ""

    def hear(self, kill: Kill) -> bool:
        """A kill. False when it is known, or older than the last time its scope was lifted."""
        scope = _plain(kill.scope)
        if scope in self._told or (kill.at_ns and kill.at_ns <= self._lifted_ns.get(scope, -1)):
            return False
        self._told[scope] = kill.model_copy(update={"scope": scope})
        self._judge()
        return True

    def may_lift(self, lift: Kill) -> bool:
        """Whether somebody's word can end a kill: another person's than the setter's, and later than it."""
        standing = self._told.get(_plain(lift.scope))
        if standing is None or (lift.at_ns and lift.at_ns < standing.at_ns):
            return False
        return lift.actor not in (UNNAMED, standing.actor)

    def lift(self, lift: Kill) -> None:
        """End a kill that was told; a file in its scope still holds."""
        scope = _plain(lift.scope)
        self._lifted_ns[scope] = max(lift.at_ns, self._told.pop(scope).at_ns)
        self._judge()

    def doubtful(self, now_ns: int) -> bool:
        """Whether this process stood still (the last look is long past), and a kill of that time may be unheard yet."""
        return self._standstills != self._made_up or self._overdue(now_ns)

    @property
    def standstills(self) -> int:
        """How often that was noticed."""
        return self._standstills

    def made_up(self, standstills: int) -> None:
        """All that was said during so many of them has been heard."""
        self._made_up = standstills

    def look(self, files: Mapping[str, tuple[str, str]], now_ns: int) -> bool:
        """What lies in the kill folder: name → content and owner. True when something new does.

        A name that is no scope kills the firm: somebody wanted something stopped, and misspelt it.
        """
        self._standstills += self._overdue(now_ns)
        self._looked_ns = now_ns
        found: dict[str, Kill] = {}
        for name, (content, owner) in files.items():
            scope, why = _plain(name), content.strip()[:200] or "a file says so"
            if not re.match(KILLABLE, scope):
                scope, why = "firm", f"{why} (the file {name!r} names no scope)"[:200]
            found[scope] = Kill(scope=scope, reason=why, actor=owner)
        new = found.keys() - self._files.keys()
        if found != self._files:
            self._files = found
            self._judge()
        return bool(new)

    def untold(self, now_ns: int) -> list[Kill]:
        """The kills that only the folder knows of, as they are to be told: later than their scopes were lifted."""
        return [
            kill.model_copy(update={"at_ns": max(now_ns, self._lifted_ns.get(scope, -1) + 1)})
            for scope, kill in self._files.items()
            if scope not in self._told
        ]

    @property
    def told(self) -> list[Kill]:
        """What has to outlive this process even with the store away."""
        return list(self._told.values())

    @property
    def scopes(self) -> dict[str, str]:
        """Each killed scope and why."""
        return dict(self._why)

    def _overdue(self, now_ns: int) -> bool:
        return self._looked_ns is not None and now_ns - self._looked_ns > OVERDUE_NS

    def _judge(self) -> None:
        self._why = {scope: kill.reason for scope, kill in (self._files | self._told).items()}


def _plain(scope: str) -> str:
    """The one spelling of a scope, as orders spell it."""
    kind, _, name = scope.strip().partition(".")
    if kind == "symbol":
        return f"symbol.{normal_symbol(name)}"
    return scope.strip().lower() if kind in ("venue", "firm") else scope.strip()
