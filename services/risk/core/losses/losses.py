"""R17: what firm, accounts and strategies lost today, this week and from their peak, and what happens then.

    RISK_LOSS_LIMIT       the day's (or the week's) loss has reached its limit
    RISK_DRAWDOWN_LIMIT   so has the fall from the peak, which no new day sets back
    RISK_LOSS_UNKNOWN     the scope cannot be valued, or was not valued of late: no new risk

A scope that reached a limit is tripped: REDUCING or HALTED until a named person resets it, whatever it earns meanwhile,
whatever day it is, and also after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from services.risk.core.conduct.windows import DAY_NS
from services.risk.core.findings import Measured, unset
from services.risk.core.limits.bounds import NS, OVER, UNSET, Bound, LossLimits
from services.risk.core.losses.baseline import Baseline, Mark, opened, renewed
from services.risk.core.switches.alerts import Alerts, Change, person
from services.risk.core.switches.gates import ACTIVE, Standing, strictest
from services.risk.core.switches.kills import own_names
from shared.contract import keys
from shared.contract.base import plain_text
from shared.contract.errors import Conflict, NotFound
from shared.contract.risk import Limits, TradingState

ZERO = Decimal(0)


class Losses:
    """What every scope has lost, by its latest mark.

    The equity of a scope is what it began with plus realised and unrealised profit after fees; what is paid in or out
    is no part of it. Mark a scope before its first order, and at least every `mark_age_max_s` from then on.
    """

    def __init__(
        self,
        alerts: Alerts,
        action: TradingState = TradingState.REDUCING,
        day_of: Callable[[int], int] | None = None,
        mark_age_max_s: float = 5.0,
    ) -> None:
        """`action`: REDUCING or HALTED. `day_of(now_ns)` numbers the trading days as UTC days are numbered."""
        self._alerts = alerts
        self._action = action
        self._day_of = day_of or utc_day
        self._mark_age_max_ns = round(mark_age_max_s * NS)
        self._marks: dict[str, Mark] = {}
        self._blind: set[str] = set()
        self._tripped: set[str] = set()
        self._unsaved: set[str] = set()

    @property
    def stopped(self) -> int:
        """How many scopes have reached a limit and wait for a person."""
        return len(self._tripped)

    # Valuing.

    def mark(self, scope: str, equity: Decimal | None, limits: Limits | None, now_ns: int) -> list[Change]:
        """The scope's equity now; None: it cannot be valued. `limits` are those set for this very scope."""
        known = self._marks.get(scope)
        if equity is None:
            self._blind.add(scope)
            return []
        self._blind.discard(scope)
        day = self._day_of(now_ns)
        changed = known is None or equity != known.equity or day > known.baseline.day
        if known is None:
            known = self._marks[scope] = Mark(opened(scope, day, equity, now_ns))
        elif day > known.baseline.day:
            known.baseline = renewed(known.baseline, day, known.equity)
        known.equity, known.valued_ns = equity, now_ns
        if changed:
            known.peak = max(known.peak, equity)
            self._unsaved.add(scope)
        if limits is None or scope in self._tripped:
            return []
        code, reason = _reached(known, limits)
        return [self._trip(known, code, reason, now_ns)] if code else []

    def _trip(self, known: Mark, code: str, reason: str, now_ns: int) -> Change:
        scope = known.baseline.scope
        self._tripped.add(scope)
        known.baseline = known.saved().altered(state=self._action, code=code, reason=reason, tripped_ns=now_ns)
        alert = self._alerts.tell(code, f"{scope} is {self._action} until a person resets it: {reason}", scope, now_ns)
        return self._alerts.changed(alert, keys.baseline(scope), known.baseline)

    def reset(self, scope: str, actor: str, reason: str, now_ns: int) -> Change:
        """A named person lets a tripped scope go on; its losses are measured anew from where it stands now."""
        if scope not in self._tripped:
            raise NotFound(f"{scope} is not tripped; tripped: {', '.join(sorted(self._tripped)) or 'nothing'}")
        person(actor, *own_names(scope))
        known = self._marks[scope]
        if scope in self._blind or not self._fresh(known, now_ns):
            raise Conflict("RISK_LOSS_UNKNOWN", f"{scope} cannot be valued now, so it cannot be measured anew")
        known.baseline = opened(scope, self._day_of(now_ns), known.equity, now_ns).altered(actor=actor)
        known.peak = known.equity
        self._tripped.discard(scope)
        alert = self._alerts.tell("RISK_LOSS_RESET", f"{scope} may go on, says {actor}: {reason}", scope, now_ns)
        return self._alerts.changed(alert, keys.baseline(scope), known.baseline)

    # Judging.

    def look(self, limits: LossLimits, now_ns: int, *, reduces: bool) -> list[Measured]:
        """R17 of one order. `reduces`: it can only shrink a position; that passes unless the scope is HALTED."""
        if self._tripped and (tripped := self._stopped(limits.scopes, reduces)) is not None:
            return [tripped]
        found = [self._worst("RISK_LOSS_LIMIT", limits.losses, Mark.day_loss, now_ns, reduces)]
        found.append(self._worst("RISK_DRAWDOWN_LIMIT", limits.drawdowns, Mark.drawdown, now_ns, reduces))
        if limits.weeks:
            found.append(self._worst("RISK_LOSS_LIMIT", limits.weeks, Mark.week_loss, now_ns, reduces))
        return found

    def _stopped(self, scopes: tuple[str, ...], reduces: bool) -> Measured | None:
        """What a tripped scope says to an order, whatever its limits are by now."""
        state, scope = self.standing(scopes)
        if state is TradingState.ACTIVE or (reduces and state is TradingState.REDUCING):
            return None
        baseline = self._marks[scope].baseline
        reason = f"{scope} is {state} until a person resets it: {baseline.reason}"
        return Measured("R17", baseline.code, False, state.value, "ACTIVE", scope, reason, OVER)

    def _worst(
        self, code: str, limits: tuple[Bound, ...], loss_of: Callable[[Mark], Decimal], now_ns: int, reduces: bool
    ) -> Measured:
        """The first that fails, or else the one that is nearest to its limit."""
        worst, lost, most_used = limits[0], ZERO, -1.0
        for bound in limits:
            known = self._marks.get(bound.scope)
            # Never valued and nothing kept of it: it has not traded yet, and has lost nothing.
            loss = loss_of(known) if known is not None else ZERO
            if loss >= bound.most or not bound.size or self._doubtful(bound.scope, known, now_ns):
                found = self._trouble(code, bound, loss, now_ns, reduces)
                if not found.ok:
                    return found
            if (used := bound.share(loss)) > most_used:
                worst, lost, most_used = bound, loss, used
        return Measured("R17", code, True, plain_text(lost), worst.words, worst.scope, "", max(most_used, 0.0))

    def _doubtful(self, scope: str, known: Mark | None, now_ns: int) -> bool:
        return scope in self._blind or (known is not None and not self._fresh(known, now_ns))

    def _trouble(self, code: str, bound: Bound, loss: Decimal, now_ns: int, reduces: bool) -> Measured:
        scope = bound.scope
        if bound is UNSET:
            reason = unset("drawdown_max" if code == "RISK_DRAWDOWN_LIMIT" else "loss_max", scope)
        elif self._doubtful(scope, self._marks.get(scope), now_ns):
            reason = f"what {scope} has lost is not known: it was not valued of late"
            return Measured("R17", "RISK_LOSS_UNKNOWN", reduces, "unknown", bound.words, scope, reason)
        else:
            reason = f"{scope} has lost {plain_text(loss)}, and {bound.words} is the limit"
        return Measured("R17", code, reduces, plain_text(loss), bound.words, scope, reason, bound.share(loss))

    def standing(self, scopes: Iterable[str]) -> Standing:
        """The most restrictive state that losses have put any of these scopes in."""
        if not self._tripped:
            return ACTIVE
        tripped = (scope for scope in scopes if scope in self._tripped)
        return strictest(ACTIVE, *(Standing(self._marks[scope].baseline.state, scope) for scope in tripped))

    def _fresh(self, known: Mark, now_ns: int) -> bool:
        return known.valued_ns >= 0 and now_ns - known.valued_ns <= self._mark_age_max_ns

    # Keeping.

    def unsaved(self) -> list[tuple[str, Baseline]]:
        """Keys and baselines that changed since last asked: to be kept every second or so."""
        changed, self._unsaved = self._unsaved, set()
        return [(keys.baseline(scope), self._marks[scope].saved()) for scope in sorted(changed)]

    def restore(self, baselines: Iterable[Baseline]) -> None:
        """After a restart. Until it is marked again a scope has no known loss, and carries no new risk."""
        self._marks = {baseline.scope: Mark(baseline) for baseline in baselines}
        states = ((scope, mark.baseline.state) for scope, mark in self._marks.items())
        self._tripped = {scope for scope, state in states if state is not TradingState.ACTIVE}
        self._blind, self._unsaved = set(), set()

    def show(self) -> list[Baseline]:
        """Every scope as it stands."""
        return [self._marks[scope].saved() for scope in sorted(self._marks)]


def utc_day(now_ns: int) -> int:
    return now_ns // DAY_NS


def _reached(known: Mark, limits: Limits) -> tuple[str, str]:
    """The first limit that is reached, as (code, reason). One of 0 trips nothing: with it nothing passes anyway."""
    for code, most, loss, what in (
        ("RISK_LOSS_LIMIT", limits.loss_max, known.day_loss, "today"),
        ("RISK_LOSS_LIMIT", limits.week_loss_max, known.week_loss, "this week"),
        ("RISK_DRAWDOWN_LIMIT", limits.drawdown_max, known.drawdown, "from its peak"),
    ):
        if most is not None and 0 < most <= (lost := loss()):
            return code, f"{lost:f} lost {what}, limit {most:f}"
    return "", ""
