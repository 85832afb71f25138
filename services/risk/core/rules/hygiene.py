"""R01, R02, R04: whether the numbers are numbers, the symbol can be traded just now, and the order has its measures."""

from __future__ import annotations

from decimal import Decimal

from services.risk.core.rules.case import Case
from services.risk.core.rules.form import Form, Said
from shared.contract.base import plain_text, rfc3339

QUOTIENT_MAX = Decimal("1e27")
FINITE = Said("R01", "RISK_BAD_NUMBER", "finite and > 0", "quantity")


def numbers(case: Case) -> bool:
    """R01: before anything is compared with anything."""
    check, findings = case.check, case.findings
    for name, number in (
        ("quantity", check.quantity),
        ("price", check.price),
        ("stop_price", check.stop_price),
        ("leaves", case.leaves),
    ):
        if number is not None and not (number.is_finite() and number > 0):
            reason = f"{name} must be a positive, finite number"
            return findings.fail("R01", "RISK_BAD_NUMBER", str(number), "finite and > 0", name, reason)
    FINITE.note(findings, True, plain_text(check.quantity), "quantity")
    return True


def form(case: Case) -> None:
    """R02 and R04."""
    check, findings, listed = case.check, case.findings, case.form
    if listed is None:
        symbol = check.symbol
        reason = f"symbol {symbol} is not listed"
        findings.fail("R02", "RISK_UNKNOWN_SYMBOL", symbol, "listed", symbol, reason)
        return
    findings.phrases.append(listed.listed)
    _session(case, listed)
    instrument = listed.instrument
    tick, quantity = instrument.price_tick, check.quantity
    if check.price is not None:
        listed.tick.note(findings, _multiple(check.price, tick), plain_text(check.price), "price")
    if check.stop_price is not None and check.order_type != "TRAILING_STOP":
        listed.tick.note(findings, _multiple(check.stop_price, tick), plain_text(check.stop_price), "stop_price")
    words = plain_text(quantity)
    listed.lot.note(findings, _multiple(quantity, instrument.lot), words, "quantity")
    fits = instrument.quantity_min <= quantity <= instrument.quantity_max
    listed.range.note(findings, fits, words, "quantity")
    if case.price is not None:
        notional = quantity * case.price * instrument.multiplier
        listed.least.note(findings, notional >= instrument.notional_min, plain_text(notional), "notional")


def _session(case: Case, listed: Form) -> None:
    """R02: the market trades now, and an order until a stated time still has time."""
    check, findings = case.check, case.findings
    if listed.sessions.is_open(case.now_ns):
        findings.phrases.append(listed.is_open)
    else:
        calendar = listed.instrument.calendar
        opens = rfc3339(listed.sessions.next_open(case.now_ns))
        reason = f"{check.symbol} is not traded now: calendar {calendar} is closed, and opens at {opens}"
        findings.fail("R02", "RISK_SESSION_CLOSED", "closed", "open", calendar, reason)
    if check.time_in_force == "GTD" or check.expire_ns:
        expire_ns = check.expire_ns or 0
        findings.note(
            "R02",
            "RISK_EXPIRED",
            ok=expire_ns > case.now_ns,
            value=str(expire_ns),
            limit=f"after {case.now_ns}",
            scope="expire_at",
            reason=_over(check.time_in_force) if expire_ns else "time_in_force GTD needs expire_at",
        )


def _over(time_in_force: str) -> str:
    return "expire_at lies in the past" if time_in_force == "GTD" else "the day it is for is over; send it again"


def _multiple(value: Decimal, step: Decimal) -> bool:
    # A quotient of more digits than Decimal carries has no remainder to look at.
    return value < step * QUOTIENT_MAX and value % step == 0
