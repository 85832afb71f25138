"""R00, R07 to R10: how much one order may be, and how much everything may come to if all that is open fills."""

from __future__ import annotations

from decimal import Decimal

from services.risk.core.findings import share
from services.risk.core.limits.allowance import Level
from services.risk.core.rules.case import Case

ZERO = Decimal(0)
ONE = Decimal(1)
ACCOUNT = Level.ACCOUNT


def limits(case: Case) -> bool:
    """R00: an account or symbol without limits; an unset limit is 0, not infinity."""
    check, findings = case.check, case.findings
    if case.allowance.scopes:
        findings.phrases.append(case.allowance.is_set)
        return True
    scope = f"{check.account}.{check.symbol}"
    findings.used = 2.0
    reason = f"account {check.account} has no limits for {check.symbol}: PUT /limits/account.{check.account} sets them"
    return findings.fail("R00", "RISK_NO_LIMITS", "none", "set", scope, reason)


def order(case: Case) -> None:
    """R07: one order, whatever else there is."""
    check, findings, allowance = case.check, case.findings, case.allowance
    findings.measure(allowance.quantity, check.quantity)
    if case.price is not None:
        notional = check.quantity * case.price * case.line.multiplier
        for level, most in allowance.notional:
            rate = case.rates[level > ACCOUNT]
            if rate is not None:
                findings.measure(most, notional * rate)
    if allowance.volume is not None and case.form is not None:
        _volume(case)


def _volume(case: Case) -> None:
    most, check = case.allowance.volume, case.check
    assert most is not None
    assert case.form is not None
    volume = case.form.instrument.average_daily_volume
    if volume is None:
        reason = f"{check.symbol} has no average_daily_volume to measure the order against"
        case.findings.fail(most.rule, most.code, "unknown", str(most.most), most.scope, reason)
    else:
        case.findings.measure(most, share(check.quantity, volume))


def position(case: Case) -> None:
    """R08: the worst-case position, in each scope that limits it."""
    findings, lines, more = case.findings, case.lines, case.more
    if case.check.side == "BUY":
        for level, most in case.allowance.long:
            findings.measure(most, lines[level].worst_long + more)
    else:
        for level, most in case.allowance.short:
            findings.measure(most, lines[level].worst_short + more)


def exposure(case: Case) -> None:
    """R09 and R10: what is held and open together, over all symbols, and against what there is to lose."""
    account_rate, firm_rate = case.rates
    if account_rate is None or firm_rate is None:
        _unconverted(case)
        return
    notionals = (case.notional * account_rate, case.notional * firm_rate)
    open_: dict[Level, Decimal] = {}
    for level in case.allowance.levels:
        sum_ = case.sums[level]
        open_[level] = sum_.buys_value + sum_.sells_value + notionals[level > ACCOUNT]
    if case.exposure.book.unvalued or case.firm.unvalued:
        _unvalued(case)
    else:
        _held(case, open_, notionals)
        _against_equity(case, open_)
    findings, sums = case.findings, case.sums
    for level, most in case.allowance.open_orders:
        findings.measure(most, Decimal(sums[level].orders + 1))
    for level, most in case.allowance.open_notional:
        findings.measure(most, open_[level])


def _unconverted(case: Case) -> None:
    listed = case.form.instrument.currency if case.form else "its currency"
    scope, wanted = ("firm", case.firm.currency)
    if case.rates[0] is None:
        scope, wanted = f"account.{case.check.account}", case.exposure.book.currency
    reason = f"the exposure of {scope} is not known: nobody states a rate from {listed} to {wanted}"
    case.findings.fail("R09", "RISK_GROSS_EXPOSURE", f"{listed} to {wanted} NO_RATE", "stated", scope, reason)


def _held(case: Case, open_: dict[Level, Decimal], notionals: tuple[Decimal, Decimal]) -> None:
    """R09, gross and net. Open orders of the other side make no room in the net."""
    findings, sums, buys = case.findings, case.sums, case.check.side == "BUY"
    for level, most in case.allowance.gross:
        findings.measure(most, sums[level].gross + open_[level])
    for level, most in case.allowance.net:
        sum_ = sums[level]
        net = sum_.net + sum_.buys_value if buys else sum_.sells_value - sum_.net
        findings.measure(most, net + notionals[level > ACCOUNT])


def _against_equity(case: Case, open_: dict[Level, Decimal]) -> None:
    """R09, concentration and leverage."""
    findings, sums, equities = case.findings, case.sums, _equities(case)
    for bounds in (case.allowance.concentration, case.allowance.leverage):
        for level, most in bounds:
            equity = equities[level]
            if equity is None or equity <= 0:
                reason = f"{most.what} cannot be measured: {most.scope} has no equity"
                findings.fail(most.rule, most.code, "no equity", str(most.most), most.scope, reason)
            else:
                findings.measure(most, share(sums[level].gross + open_[level], equity))


def _equities(case: Case) -> tuple[Decimal | None, ...]:
    """What there is to lose, by level. A strategy trades with its account's money."""
    own = case.exposure.balance.cash + case.exposure.book.net
    rate = case.account_rate
    converted = None if rate is None else own if rate == ONE else own * rate
    return own, own, converted, converted, case.firm_equity, case.firm_equity


def _unvalued(case: Case) -> None:
    """Something held has no price, so that the exposure of its scopes is not known; and that is said."""
    account = f"account.{case.check.account}"
    for scope, unvalued in ((account, case.exposure.book.unvalued), ("firm", case.firm.unvalued)):
        if unvalued:
            what = min(unvalued)
            reason = f"the exposure of {scope} is not known: {what} cannot be valued"
            case.findings.fail("R09", "RISK_GROSS_EXPOSURE", f"{what} NO_PRICE", "valued", scope, reason)
