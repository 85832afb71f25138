"""R05, R06, R16: whether there is a price to judge by, how far from it the order is, and whether it meets its own."""

from __future__ import annotations

from decimal import Decimal

from services.risk.core.findings import Most, share
from services.risk.core.rules.case import Case
from shared.contract.base import plain_text
from shared.contract.judgement import phrase
from shared.contract.market import Quote

ZERO = Decimal(0)
AT_ONCE = frozenset({"IOC", "FOK"})
WAITING = frozenset({"STOP", "STOP_LIMIT", "TRAILING_STOP"})


def reference(case: Case) -> None:
    """R05: a fresh quote from a feed that is live, and no venue that contradicts it."""
    standing, findings, settings = case.reference, case.findings, case.settings
    quote = standing.quote
    trouble = standing.trouble or ("NO_QUOTE" if case.price is None else "")
    scope, limit = standing.scope or case.check.symbol, plain_text(settings.reference_age_max_s)
    if not trouble:
        age = f"{standing.age_ns / 1e9:.3f}"
        findings.say(phrase("R05", "RISK_STALE_REFERENCE", None, limit, scope), age)
    else:
        age = f"{standing.age_ns / 1e9:.3f}" if quote else trouble
        why = f"{trouble} ({age} s old)" if quote else "nobody quotes it"
        reason = f"no price to judge {case.check.symbol} by: {why}"
        value = age if trouble == "OLD" else trouble
        findings.fail("R05", "RISK_STALE_REFERENCE", value, limit, scope, reason)
    if case.divergence is not None:
        _divergence(case, case.divergence)


def _divergence(case: Case, apart: Decimal) -> None:
    most, symbol = case.settings.divergence_fraction_max, case.check.symbol
    case.findings.note(
        "R05",
        "RISK_REFERENCE_DIVERGES",
        ok=apart <= most,
        value=f"{apart:.6f}",
        limit=plain_text(most),
        scope=symbol,
        reason=f"the venues that quote {symbol} are {apart:.6f} apart, more than {plain_text(most)}",
    )


def collars(case: Case) -> None:
    """R06: how far the price is beyond the far touch, and how far behind the near one, as fractions of them.

    A market order has its collar in the slippage it is valued at. A stop with a limit is held to its stop, where it
    will stand when it is let out; how far off it waits is its point.
    """
    check, quote = case.check, case.reference.quote
    price = check.price
    if price is None or quote is None:
        return
    buys = check.side == "BUY"
    far, near = (check.stop_price,) * 2 if check.order_type in WAITING else _touches(quote, check.side)
    if far is None or near is None:
        return
    _collar(case, case.allowance.aggressive, price - far if buys else far - price, far)
    if check.order_type not in WAITING:
        _collar(case, case.allowance.passive, near - price if buys else price - near, near)


def _touches(quote: Quote, side: str) -> tuple[Decimal | None, Decimal | None]:
    """The far and the near touch; where one side of the market is missing, the other is the stricter one."""
    asked, bid = quote.ask or quote.bid, quote.bid or quote.ask
    return (asked, bid) if side == "BUY" else (bid, asked)


def _collar(case: Case, most: Most, distance: Decimal, touch: Decimal) -> None:
    if distance <= 0:
        case.findings.say(most.passed, "0")
    elif not case.findings.measure(most, share(distance, touch)):
        case.collared = True


def post_only(case: Case) -> None:
    """R06: what asks to rest and would take is a mistake in itself, also of an exit."""
    check, quote, findings = case.check, case.reference.quote, case.findings
    if not check.post_only or check.price is None or quote is None or check.order_type in WAITING:
        return
    far, _ = _touches(quote, check.side)
    if far is None:
        return
    value, limit = plain_text(check.price), f"short of {plain_text(far)}"
    reason = f"a post_only order at {value} would trade at once with {plain_text(far)}"
    ok = check.price < far if check.side == "BUY" else check.price > far
    findings.note("R06", "RISK_POST_ONLY", ok=ok, value=value, limit=limit, scope=check.symbol, reason=reason)


def self_trade(case: Case) -> None:
    """R16: the newest gives way. What waits for its stop meets nobody yet, and a market order goes only so far."""
    check, findings = case.check, case.findings
    best = None
    if check.order_type not in WAITING:
        best = case.exposure.resting(check.symbol, "SELL" if check.side == "BUY" else "BUY")
    if best is None:
        findings.phrases.append(case.allowance.no_crossing)
        return
    price, order_id = best
    wanted = check.price or _reach(case)
    meets = wanted is None or (wanted >= price if check.side == "BUY" else wanted <= price)
    if not meets:
        findings.phrases.append(case.allowance.no_crossing)
        return
    value = plain_text(check.price) if check.price is not None else "market"
    reason = f"it would trade with the account's own order {order_id} at {plain_text(price)}; cancel that first"
    findings.fail("R16", "RISK_SELF_TRADE", value, plain_text(price), check.account, reason)


def _reach(case: Case) -> Decimal | None:
    """How far into the book a market order may go; None: nobody knows, so all the way."""
    quote = case.reference.quote
    if quote is None or (touch := quote.ask if case.check.side == "BUY" else quote.bid) is None:
        return None
    slippage = case.settings.market_slippage_fraction
    return touch * (1 + slippage if case.check.side == "BUY" else 1 - slippage)
