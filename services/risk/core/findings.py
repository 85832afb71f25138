"""How findings add up to a verdict: the first that fails names it, the tightest limit sets its level."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from shared.contract.risk import Outcome, RiskCheck, RiskLevel, RuleResult, TradingState, Verdict

ZERO = Decimal(0)
ONE = Decimal(1)
OVER = Decimal(2)
LEVELS = (
    (Decimal("0.5"), RiskLevel.LOW),
    (Decimal("0.8"), RiskLevel.MEDIUM),
    (Decimal("0.95"), RiskLevel.HIGH),
    (ONE, RiskLevel.CRITICAL),
)


def text(value: Decimal) -> str:
    """A number for people: no exponent, no trailing zeros."""
    words = format(value, "f")
    return words.rstrip("0").rstrip(".") if "." in words else words


@dataclass(slots=True)
class Findings:
    """What was found so far."""

    rules: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    code: str = ""
    reason: str = ""
    used: Decimal = ZERO

    def note(self, rule: str, code: str, *, ok: bool, value: str, limit: str, scope: str, reason: str = "") -> bool:
        outcome = Outcome.PASS if ok else Outcome.FAIL
        self.rules.append(
            {"id": rule, "code": code, "value": value, "limit": limit, "scope": scope, "outcome": outcome}
        )
        if not ok and not self.code:
            self.code = code
            self.reason = reason or f"{value} is not within {limit} ({scope})"
        return ok

    def measure(self, rule: str, code: str, value: Decimal, limit: Decimal, *, scope: str, what: str) -> None:
        """A value that must not exceed its limit."""
        if value > 0:
            self.used = max(self.used, value / limit if limit > 0 else OVER)
        measured, most = text(value), text(limit)
        reason = f"{what} {measured} is over the limit {most} of {scope}"
        ok = value <= max(limit, ZERO)
        self.note(rule, code, ok=ok, value=measured, limit=most, scope=scope, reason=reason)

    def verdict(self) -> Verdict:
        level = next((level for most, level in LEVELS if self.used <= most), RiskLevel.BREACHED)
        # Words that become results all at once cost a third of making each result by itself (17 µs for fifteen).
        words = {"approved": not self.code, "code": self.code, "reason": self.reason, "rules": self.rules}
        return Verdict.model_validate({**words, "risk_level": level})


def shut(check: RiskCheck, killed: str | None, state: TradingState, findings: Findings) -> None:
    """R19, and R18 as far as it needs no numbers."""
    findings.note(
        "R19",
        "RISK_KILLED",
        ok=killed is None,
        value=killed or "none",
        limit="none",
        scope=killed or "firm",
        reason=f"{killed} is killed",
    )
    if state is not TradingState.REDUCING:
        findings.note(
            "R18",
            "RISK_TRADING_STATE",
            ok=state is TradingState.ACTIVE,
            value=state.value,
            limit="ACTIVE",
            scope=check.account,
            reason=f"account {check.account} is {state.value}",
        )


def too_slow(verdict: Verdict, elapsed_ms: float, budget_ms: float, scope: str) -> Verdict:
    """R22: the verdict with its time measured against the budget."""
    ok = elapsed_ms <= budget_ms
    finding = RuleResult(
        id="R22",
        code="RISK_TOO_SLOW",
        value=f"{elapsed_ms:.3f}",
        limit=f"{budget_ms:g}",
        scope=scope,
        outcome=Outcome.PASS if ok else Outcome.FAIL,
    )
    rules = tuple(rule for rule in verdict.rules if rule.id != "R22")
    update: dict[str, object] = {"rules": (*rules, finding), "elapsed_us": round(elapsed_ms * 1000)}
    if not ok and verdict.approved:
        reason = f"the decision took {elapsed_ms:.3f} ms, more than {budget_ms:g} ms"
        update |= {"approved": False, "code": "RISK_TOO_SLOW", "reason": reason}
    return verdict.model_copy(update=update)
