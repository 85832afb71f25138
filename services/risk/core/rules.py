"""The rules: what is looked at before an order may leave, in which order, and what each finding says.

    R19 RISK_KILLED            kill switch in scope                       MiFID II RTS 6 Art. 12
    R18 RISK_TRADING_STATE     HALTED, or REDUCING and not reducing
    R01 RISK_BAD_NUMBER        NaN, infinite, zero, negative: before any comparison
    R02 RISK_UNKNOWN_SYMBOL    not listed                                 SEC 15c3-5 (c)(2)(i)
    R03 RISK_SYMBOL_BLOCKED    blocked by hand                            SEC 15c3-5 (c)(2)(ii)
    R04 RISK_PRICE_TICK, RISK_LOT, RISK_QUANTITY_RANGE, RISK_NOTIONAL_MIN
    R00 RISK_NO_LIMITS         account or symbol without limits: an unset limit is 0, not infinity
    R05 RISK_STALE_REFERENCE   no quote, an old or crossed one, a feed that is not LIVE
    R07 RISK_ORDER_QUANTITY, RISK_ORDER_NOTIONAL                          RTS 6 Art. 15(1)(b)(c); 15c3-5 (c)(1)(ii)
    R08 RISK_POSITION_LIMIT    worst-case position                        RTS 6 Art. 15(4)
    R11 RISK_BUYING_POWER      worst-case money                           SEC 15c3-5 (c)(1)(i)
    R22 RISK_TOO_SLOW          a decision over its time budget is a denial

The first failing rule in this order names the verdict; every rule that can be evaluated is listed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from services.risk.core.exposure import Line, Money, need
from services.risk.core.findings import OVER, Findings, shut, text
from services.risk.core.market import Reference
from shared.contract.market import Instrument
from shared.contract.risk import Limits, RiskCheck, TradingState, Verdict

QUOTIENT_MAX = Decimal("1e27")


@dataclass(frozen=True, slots=True)
class Case:
    """Everything one judgement looks at. `money` is asked for last, because it sums over the account's symbols."""

    check: RiskCheck
    killed: str | None
    state: TradingState
    blocked: str | None
    instrument: Instrument | None
    limits: Limits | None
    reference: Reference
    reference_age_max_s: Decimal
    price: Decimal | None
    buy_back: Decimal | None
    line: Line
    money: Callable[[], Money]
    short_margin: Decimal
    fee_fraction: Decimal


def judge(case: Case) -> Verdict:
    """The verdict on one order."""
    findings = Findings()
    shut(case.check, case.killed, case.state, findings)
    if not _numbers(case.check, findings):
        return findings.verdict()
    _reducing(case, findings)
    if case.instrument is not None:
        _steps(case, case.instrument, findings)
    else:
        _unknown(case.check, findings)
    _blocked(case, findings)
    _reference(case, findings)
    _limits(case, findings)
    if case.instrument is not None:
        _buying_power(case, findings)
    return findings.verdict()


def _numbers(check: RiskCheck, findings: Findings) -> bool:
    for name, number in (("quantity", check.quantity), ("price", check.price)):
        if number is None:
            continue
        if not (number.is_finite() and number > 0):
            return findings.note(
                "R01",
                "RISK_BAD_NUMBER",
                ok=False,
                value=str(number),
                limit="finite and > 0",
                scope=name,
                reason=f"{name} must be a positive, finite number",
            )
    return findings.note(
        "R01", "RISK_BAD_NUMBER", ok=True, value=text(check.quantity), limit="finite and > 0", scope="quantity"
    )


def _reducing(case: Case, findings: Findings) -> None:
    """R18 while REDUCING: only what shrinks the position, open orders counted, and never through zero."""
    if case.state is not TradingState.REDUCING:
        return
    check = case.check
    room = case.line.coverable if check.side == "BUY" else case.line.reducible
    findings.note(
        "R18",
        "RISK_TRADING_STATE",
        ok=check.quantity <= room,
        value=text(check.quantity),
        limit=text(room),
        scope=check.account,
        reason=f"account {check.account} is REDUCING and may {check.side} at most {text(room)} {check.symbol}",
    )


def _step(code: str, name: str, value: Decimal, step: Decimal, symbol: str, findings: Findings) -> None:
    findings.note(
        "R04",
        code,
        ok=_multiple(value, step),
        value=text(value),
        limit=text(step),
        scope=symbol,
        reason=f"{name} {text(value)} is not a multiple of {text(step)}",
    )


def _multiple(value: Decimal, step: Decimal) -> bool:
    # A quotient of more digits than Decimal carries has no remainder to look at.
    return value < step * QUOTIENT_MAX and value % step == 0


def _unknown(check: RiskCheck, findings: Findings) -> None:
    findings.note(
        "R02",
        "RISK_UNKNOWN_SYMBOL",
        ok=False,
        value=check.symbol,
        limit="listed",
        scope=check.symbol,
        reason=f"symbol {check.symbol} is not listed",
    )


def _steps(case: Case, instrument: Instrument, findings: Findings) -> None:
    """R02 and R04."""
    check, symbol = case.check, instrument.symbol
    findings.note("R02", "RISK_UNKNOWN_SYMBOL", ok=True, value=symbol, limit="listed", scope=symbol)
    if check.price is not None:
        _step("RISK_PRICE_TICK", "price", check.price, instrument.price_tick, symbol, findings)
    _step("RISK_LOT", "quantity", check.quantity, instrument.lot, symbol, findings)
    bounds = f"{text(instrument.quantity_min)} to {text(instrument.quantity_max)}"
    findings.note(
        "R04",
        "RISK_QUANTITY_RANGE",
        ok=instrument.quantity_min <= check.quantity <= instrument.quantity_max,
        value=text(check.quantity),
        limit=bounds,
        scope=symbol,
        reason=f"quantity {text(check.quantity)} is not within {bounds}",
    )
    if case.price is not None:
        notional = check.quantity * case.price * instrument.multiplier
        findings.note(
            "R04",
            "RISK_NOTIONAL_MIN",
            ok=notional >= instrument.notional_min,
            value=text(notional),
            limit=text(instrument.notional_min),
            scope=symbol,
            reason=f"notional {text(notional)} is below the least of {text(instrument.notional_min)}",
        )


def _blocked(case: Case, findings: Findings) -> None:
    symbol = case.check.symbol
    findings.note(
        "R03",
        "RISK_SYMBOL_BLOCKED",
        ok=case.blocked is None,
        value="blocked" if case.blocked is not None else "open",
        limit="open",
        scope=symbol,
        reason=f"{symbol} is blocked: {case.blocked}",
    )


def _reference(case: Case, findings: Findings) -> None:
    """R05."""
    reference = case.reference
    trouble = reference.trouble or ("NO_QUOTE" if case.price is None else "")
    age = text(round(reference.age_s, 3)) if reference.age_s is not None else trouble
    findings.note(
        "R05",
        "RISK_STALE_REFERENCE",
        ok=not trouble,
        value=age if trouble in ("", "OLD") else trouble,
        limit=text(case.reference_age_max_s),
        scope=reference.scope or case.check.symbol,
        reason=f"no price to judge {case.check.symbol} by: {trouble} ({age} s old)"
        if reference.quote
        else f"no price to judge {case.check.symbol} by: nobody quotes it",
    )


def _limits(case: Case, findings: Findings) -> None:
    """R00, R07, R08."""
    check, line, limits = case.check, case.line, case.limits
    scope = f"{check.account}.{check.symbol}"
    findings.note(
        "R00",
        "RISK_NO_LIMITS",
        ok=limits is not None,
        value="none" if limits is None else "set",
        limit="set",
        scope=scope,
        reason=f"account {check.account} has no limits for {check.symbol}",
    )
    if limits is None:
        findings.used = OVER
        return
    most = limits.order_quantity_max
    findings.measure("R07", "RISK_ORDER_QUANTITY", check.quantity, most, scope=scope, what="quantity")
    if case.price is not None:
        notional = check.quantity * case.price * line.multiplier
        most = limits.order_notional_max
        findings.measure("R07", "RISK_ORDER_NOTIONAL", notional, most, scope=scope, what="notional")
    if check.side == "BUY":
        worst, most, what = line.worst_long + check.quantity, limits.long_quantity_max, "worst-case long position"
    else:
        worst, most, what = line.worst_short + check.quantity, limits.short_quantity_max, "worst-case short position"
    findings.measure("R08", "RISK_POSITION_LIMIT", worst, most, scope=scope, what=what)


def _buying_power(case: Case, findings: Findings) -> None:
    """R11: an order that cannot lower the free money passes even when there is none, so that one can always get out."""
    if case.price is None:
        return
    check, money = case.check, case.money()
    if money.unpriced is not None:
        findings.note(
            "R11",
            "RISK_BUYING_POWER",
            ok=False,
            value=f"{money.unpriced} NO_QUOTE",
            limit="valued",
            scope=check.account,
            reason=f"the short position in {money.unpriced} cannot be valued: nobody quotes it",
        )
        return
    rates = (case.short_margin, case.fee_fraction, case.buy_back or case.price)
    needed = need(case.line, check.side, check.quantity, case.price, rates)
    free = money.free
    if needed > 0:
        findings.used = max(findings.used, 1 - (free - needed) / money.cash if money.cash > 0 else OVER)
    findings.note(
        "R11",
        "RISK_BUYING_POWER",
        ok=needed <= 0 or needed <= free,
        value=text(needed),
        limit=text(free),
        scope=check.account,
        reason=f"needs {text(needed)}, but only {text(free)} of account {check.account} is free",
    )
