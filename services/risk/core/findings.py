"""How findings add up to a verdict: the first that fails names it, the tightest limit sets its level.

A finding is noted as a phrase and the order's own words in it (see `shared/contract/judgement.py`); the phrase was made
when the limits were set.
"""

from __future__ import annotations

from decimal import ROUND_UP, Context, Decimal
from typing import NamedTuple

from shared.contract.base import plain_text
from shared.contract.judgement import Judgement, Phrase, phrase
from shared.contract.risk import Outcome, Reservation, RiskLevel

ZERO = Decimal(0)
ONE = Decimal(1)
OVER = 2.0
NO_END = Decimal("Infinity")
LEVELS = (
    (0.5, RiskLevel.LOW),
    (0.8, RiskLevel.MEDIUM),
    (0.95, RiskLevel.HIGH),
    (1.0, RiskLevel.CRITICAL),
)


UP = Context(prec=8, rounding=ROUND_UP)


def share(part: Decimal, whole: Decimal) -> Decimal:
    """A quotient of eight digits, and never less than it is."""
    return UP.divide(part, whole)


def unset(limit: str, scope: str) -> str:
    """What is said where no scope in reach sets a limit; `scope` is one that could."""
    return (
        f"no scope in reach sets {limit}, and what is not set is 0: PUT /limits/{scope} with it, "
        f"and with all that GET /limits/{scope} shows"
    )


class Measured(NamedTuple):
    """One rule's measurement, ready to be noted. `used` is the share of the limit that is taken (0 where that means
    nothing); `reason` is said when not `ok`.
    """

    rule: str
    code: str
    ok: bool
    value: str
    limit: str
    scope: str
    reason: str = ""
    used: float = 0.0


class Most:
    """The most that one scope allows of one thing, with the phrase of what is within it.

    `soft` is a lower limit, over which an order waits for a second person. A scope may set that one alone: it is not
    `hard` then. `unset` names a limit that is 0 because no scope sets it.
    """

    __slots__ = ("code", "half", "hard", "most", "passed", "rule", "scope", "soft", "unset", "what")

    def __init__(
        self,
        rule: str,
        code: str,
        what: str,
        scope: str,
        most: Decimal | None,
        soft: Most | None = None,
        unset: str = "",
    ) -> None:
        self.rule = rule
        self.code = code
        self.what = what
        self.scope = scope
        self.hard = most is not None
        self.most = NO_END if most is None else most
        self.soft = soft
        self.half = self.most / 2
        self.unset = unset
        shown = self.most if soft is None or self.hard else soft.most
        self.passed = phrase(rule, code, None, plain_text(shown), scope)


class Findings:
    """What was found so far. While `lenient`, what fails is noted and stops nothing: the order only gets out.

    `released`: a second person has let the order pass over its soft limits. `exits`: it can only reduce.
    """

    __slots__ = ("code", "exits", "lenient", "pending", "phrases", "reason", "released", "used", "words")

    def __init__(self, *, released: bool = False) -> None:
        self.phrases: list[Phrase] = []
        self.words: list[str] = []
        self.code = ""
        self.reason = ""
        self.used = 0.0
        self.lenient = self.exits = False
        self.released = released
        self.pending: list[tuple[str, str]] = []

    def say(self, said: Phrase, *words: str) -> None:
        """Note a finding, with the order's own words in it."""
        self.phrases.append(said)
        self.words += words

    def fail(self, rule: str, code: str, value: str, limit: str, scope: str, reason: str = "") -> bool:
        """Always False, so that what depends on it can be left out."""
        self.say(phrase(rule, code, None, None, scope, Outcome.WARN if self.lenient else Outcome.FAIL), value, limit)
        if not self.lenient and not self.code:
            self.code = code
            self.reason = reason or f"{value} is not within {limit} ({scope})"
        return False

    def note(self, rule: str, code: str, *, ok: bool, value: str, limit: str, scope: str, reason: str = "") -> bool:
        if not ok:
            return self.fail(rule, code, value, limit, scope, reason)
        self.say(phrase(rule, code, None, None, scope), value, limit)
        return True

    def take(self, measured: Measured) -> None:
        """A finding measured elsewhere."""
        rule, code, ok, value, limit, scope, reason, used = measured
        if not ok:
            self.fail(rule, code, value, limit, scope, reason)
            self.used = OVER
            return
        self.phrases.append(phrase(rule, code, None, limit, scope))
        self.words.append(value)
        self.used = max(self.used, used)

    def measure(self, most: Most, value: Decimal) -> bool:
        """A value that must not exceed its limit; whether it does not, be the order let pass or not."""
        if value <= most.most or value <= 0:
            soft = most.soft
            if soft is not None and value > soft.most and value > 0:
                self._soften(soft, plain_text(value))
                return True
            self.phrases.append(most.passed)
            self.words.append(plain_text(value))
            # What takes less than half of its limit is LOW, however much less.
            if value > most.half and most.hard and value > 0:
                self.used = max(self.used, float(value / most.most))
            return True
        measured, limit = plain_text(value), plain_text(most.most)
        self.used = OVER
        if most.unset:
            reason = f"{most.what} {measured} is too much: {unset(most.unset, most.scope)}"
        else:
            reason = f"{most.what} {measured} is over the limit {limit} of {most.scope}"
        return self.fail(most.rule, most.code, measured, limit, most.scope, reason)

    def _soften(self, soft: Most, measured: str) -> None:
        limit = plain_text(soft.most)
        passes = self.released or self.lenient
        outcome = Outcome.WARN if passes else Outcome.PEND
        self.say(phrase(soft.rule, soft.code, None, limit, soft.scope, outcome), measured)
        self.used = max(self.used, 1.0)
        if not passes:
            reason = (
                f"{soft.what} {measured} is over the soft limit {limit} of {soft.scope}; a second person may let it"
            )
            self.pending.append((soft.code, f"{reason} pass"))

    def verdict(self, wanted: Reservation | None = None) -> Judgement:
        """The verdict; if it is an approval, with what is wanted."""
        pending = bool(self.pending) and not self.code
        refusal = self.pending[0] if pending else (self.code, self.reason)
        level = RiskLevel.LOW
        if self.used > LEVELS[0][0]:
            level = next((level for most, level in LEVELS if self.used <= most), RiskLevel.BREACHED)
        code, reason = refusal
        ruling = {
            "approved": not code,
            "pending": pending,
            "code": code,
            "reason": reason,
            "risk_level": level,
            "elapsed_us": 0,
            "valid_until_ns": 0,
            "epoch": "",
            "reservation": None if code else wanted,
            "shape": "",
            "values": (),
        }
        return Judgement.of(ruling, tuple(self.phrases), tuple(self.words), exits=self.exits)


def too_slow(verdict: Judgement, elapsed_ms: float, budget_ms: float, scope: str) -> Judgement:
    """R22: the verdict with its time measured against the budget; of an approval asked for again that was done."""
    if verdict.epoch:
        return verdict
    ok = elapsed_ms <= budget_ms
    outcome = Outcome.PASS if ok else Outcome.WARN if verdict.exits else Outcome.FAIL
    said = phrase("R22", "RISK_TOO_SLOW", None, f"{budget_ms:g}", scope, outcome)
    update: dict[str, object] = {"elapsed_us": round(elapsed_ms * 1000)}
    if outcome is Outcome.FAIL and verdict.approved:
        reason = f"the decision took {elapsed_ms:.3f} ms, more than {budget_ms:g} ms"
        update |= {"approved": False, "code": "RISK_TOO_SLOW", "reason": reason, "reservation": None}
    verdict.add(said, f"{elapsed_ms:.3f}", update)
    return verdict
