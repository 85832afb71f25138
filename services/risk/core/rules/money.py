"""R11: whether the account's free money bears the order at its worst, in the account's own currency."""

from __future__ import annotations

from decimal import Decimal

from services.risk.core.exposure.book import Line
from services.risk.core.findings import OVER
from services.risk.core.rules.case import Case
from shared.contract.base import plain_text
from shared.contract.judgement import phrase

ZERO = Decimal(0)
CODE = "RISK_BUYING_POWER"


def buying_power(case: Case) -> None:
    """R11: an order that cannot lower the free money passes even when there is none, so that one can always get out."""
    check, findings, rate = case.check, case.findings, case.rates[0]
    if case.price is None or case.form is None:
        return
    if rate is None:
        pair = f"{case.form.instrument.currency} to {case.exposure.balance.currency}"
        reason = f"{check.symbol} cannot be paid for: nobody states a rate from {pair}"
        findings.fail("R11", CODE, f"{pair} NO_RATE", "stated", check.account, reason)
        return
    if (symbol := _unpriced(case)) is not None:
        reason = f"the short position in {symbol} cannot be valued: nobody quotes it"
        findings.fail("R11", CODE, f"{symbol} NO_QUOTE", "valued", check.account, reason)
        return
    settings = case.settings
    quote = case.reference.quote
    bought = (quote.ask or quote.bid if quote else None) or case.price
    rates = (settings.short_margin, settings.fee_fraction, bought)
    needed = need(case.line, check.side, case.more, case.price, rates) * rate
    cash = case.exposure.balance.cash
    free = cash - case.exposure.book.bound
    scope = check.account
    if needed > 0 and needed > free:
        findings.used = OVER
        reason = f"needs {plain_text(needed)}, but only {plain_text(free)} of account {scope} is free"
        findings.fail("R11", CODE, plain_text(needed), plain_text(free), scope, reason)
        return
    if needed > 0 and (free - needed) * 2 < cash:
        findings.used = max(findings.used, 1 - float((free - needed) / cash))
    findings.say(phrase("R11", CODE, None, None, scope), plain_text(needed), plain_text(free))


def _unpriced(case: Case) -> str | None:
    book = case.exposure.book
    if not book.unquoted and not book.unvalued:
        return None
    doubtful = book.unquoted | book.unvalued
    return next((symbol for symbol in sorted(doubtful) if _may_owe(book.lines.get(symbol))), None)


def _may_owe(line: Line | None) -> bool:
    return line is not None and (line.quantity < 0 or (line.rate is None and line.orders > 0))


def need(line: Line, side: str, quantity: Decimal, price: Decimal, rates: tuple[Decimal, Decimal, Decimal]) -> Decimal:
    """The most by which an order can lower the free money, if it fills at its worst price.

    rates are (margin, fee, what a unit of a short costs to buy back).
    buy       opening part: price and fee; the part that buys back a short: only what exceeds the collateral it frees
    sell      opening part: margin and fee; the part that sells what is held: nothing, its proceeds pay its fee
    The margin is there for what moves after the decision, the slippage of a short's own sale included.
    """
    margin, fee, reference = rates
    if side == "SELL":
        return (quantity - min(quantity, line.reducible)) * price * (margin + fee) * line.multiplier
    covering = min(quantity, line.coverable)
    if not covering:
        return quantity * price * (1 + fee) * line.multiplier
    excess = max(ZERO, price * (1 + fee) - reference * (1 + margin))
    return ((quantity - covering) * price * (1 + fee) + covering * excess) * line.multiplier
