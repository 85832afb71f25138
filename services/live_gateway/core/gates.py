"""Gates: what every order passes before it goes anywhere: kills, then the venue's mode, then its circuit breaker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from services.live_gateway.core.breaker import Breaker
from services.live_gateway.core.budget import Budget
from services.live_gateway.core.kills import Kills
from services.live_gateway.core.modes import Modes, known
from services.live_gateway.core.orders import VENUE
from shared.contract.dealing import Accepted, Answer, Ask, Errand, Outcome, Rejected, Throttled
from shared.contract.orders import RouteOrder
from shared.contract.venue import Mode, VenueOrder

Worth = Callable[[RouteOrder], Decimal | None]
"""An order's notional by its price or the market's, or None."""


class Gates:
    """One answer for an order: where it goes, or why nowhere."""

    def __init__(
        self,
        kills: Kills,
        modes: Modes,
        breakers: Mapping[str, Breaker],
        budgets: Mapping[str, Budget],
        wait_max_ns: int = 1_000_000_000,
    ) -> None:
        self.kills = kills
        self.modes = modes
        self.breakers = dict(breakers)
        self.budgets = dict(budgets)
        self._wait_max_ns = wait_max_ns
        self.refused: Counter[str] = Counter()

    def admit(self, route: RouteOrder, now_ns: int, worth: Worth) -> tuple[str, str]:
        """(the venue it goes to, ""), or ("", why it goes nowhere)."""
        why, venue, mode = self.kills.of(route), route.venue, self.modes.of(route.venue)
        if why:
            return self._refuse("killed", why)
        if venue != VENUE and venue not in self.modes.setups:
            return self._refuse("unknown_venue", f"unknown venue {venue}; known: {known(self.modes.setups)}")
        if mode is Mode.PAPER:
            return VENUE, ""
        if mode is Mode.SHADOW:
            return self._refuse("shadow", f"SHADOW: it would have gone to {venue}")
        if mode is Mode.CANARY and (why := self.modes.passed(route, worth(route))):
            return self._refuse("canary", why)
        why = self.breakers[venue].admit(now_ns)
        return self._refuse("circuit_open", f"{venue}: {why}") if why else (venue, "")

    def before(self, ask: Ask, order: VenueOrder | None, waited_ns: int, now_ns: int) -> int | Rejected:
        """Whether an errand may leave this very moment: 0, or how long to wait for the rate budget, or why not.

        What stops it here was never sent, and that is proof.
        """
        new = ask.errand in (Errand.SUBMIT, Errand.REPLACE)
        if new and order is not None and (why := self.kills.of(order.order)):
            return Rejected(self._refuse("killed", why)[1])
        wait_ns = self.budgets[ask.venue].spend(now_ns, cancel=ask.errand is Errand.CANCEL)
        if new and waited_ns + wait_ns > self._wait_max_ns:
            return Rejected(self._refuse("rate", f"{ask.venue}'s rate budget is spent")[1])
        return wait_ns

    def after(self, ask: Ask, outcome: Outcome | Answer, now_ns: int) -> bool:
        """What an errand tells about the venue's health. True when it opened the circuit."""
        if ask.errand is not Errand.SUBMIT or isinstance(outcome, Throttled):
            return False
        return self.breakers[ask.venue].note(now_ns, well=isinstance(outcome, Accepted | Rejected))

    def view(self, venue: str, now_ns: int) -> dict[str, Any]:
        """How things stand at the gates of a real venue."""
        breaker = self.breakers[venue]
        return {
            "circuit": breaker.state(now_ns),
            "failures_on_end": breaker.failures,
            "rate_tokens": self.budgets[venue].tokens,
        }

    def _refuse(self, kind: str, why: str) -> tuple[str, str]:
        self.refused[kind] += 1
        return "", why
