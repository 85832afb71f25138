"""One judgement: which rules are looked at, in which order, and which of them let an exit pass.

    R19 RISK_KILLED            kill switch in scope                                            MiFID II RTS 6 Art. 12
    R18 RISK_TRADING_STATE     HALTED, or REDUCING and not reducing; RISK_REDUCE_ONLY
    R01 RISK_BAD_NUMBER        NaN, infinite, zero, negative: before any comparison
    R02 RISK_UNKNOWN_SYMBOL    not listed; RISK_SESSION_CLOSED, RISK_EXPIRED                   SEC 15c3-5 (c)(2)(i)
    R04 RISK_PRICE_TICK, RISK_LOT, RISK_QUANTITY_RANGE, RISK_NOTIONAL_MIN
    R06 RISK_POST_ONLY         would take liquidity
    R03 RISK_SYMBOL_BLOCKED, RISK_NOT_PERMITTED, RISK_SHORT_NOT_PERMITTED                      15c3-5 (c)(2)(ii)(iii)
    R20 RISK_UNHEALTHY         what is known may be old                                        RTS 6 Art. 16, 17
    R00 RISK_NO_LIMITS         nothing in reach has limits: an unset limit is 0, not infinity
    R05 RISK_STALE_REFERENCE   no quote, an old or crossed one, a feed that is not LIVE; RISK_REFERENCE_DIVERGES
    R06 RISK_COLLAR_AGGRESSIVE, RISK_COLLAR_PASSIVE; RISK_COLLAR_REPEATED over a period        RTS 6 Art. 15(1)(a)
    R07 RISK_ORDER_QUANTITY, RISK_ORDER_NOTIONAL, RISK_ORDER_VOLUME                            Art. 15(1)(b)(c)
    R08 RISK_POSITION_LIMIT    worst-case position                                             Art. 15(4)
    R09 RISK_GROSS_EXPOSURE, RISK_NET_EXPOSURE, RISK_CONCENTRATION, RISK_LEVERAGE              Art. 15(4)
    R10 RISK_OPEN_ORDERS, RISK_OPEN_NOTIONAL                                                   UMIR 7.1
    R11 RISK_BUYING_POWER      worst-case money                                                15c3-5 (c)(1)(i)
    R12 RISK_MESSAGE_RATE   R13 RISK_ORDERS_PER_TRADE   R14 RISK_DUPLICATE   R15 RISK_REPEATED_EXECUTION
    R16 RISK_SELF_TRADE        would trade with an order of the same account
    R17 RISK_LOSS_LIMIT, RISK_DRAWDOWN_LIMIT, RISK_LOSS_UNKNOWN
    R22 RISK_TOO_SLOW          a decision over its time budget is a denial

The first failing rule in this order names the verdict; every rule that can be evaluated is listed. An order over soft
limits alone is PEND (R23). One that only reduces passes everything but the kill, HALTED, bad form, a post_only that
takes, the repetition of another order, and a trade with itself: what else fails is a WARN.
"""

from __future__ import annotations

from services.risk.core.controls import Controls
from services.risk.core.exposure.book import Line
from services.risk.core.findings import Findings
from services.risk.core.limits.allowance import Allowance, Level
from services.risk.core.rules import hygiene, money, prices, sizes
from services.risk.core.rules.case import Case
from services.risk.core.switches.gates import Gates
from shared.contract.base import plain_text
from shared.contract.judgement import Judgement
from shared.contract.risk import RiskCheck, TradingState

STATE = "RISK_TRADING_STATE"


def judge(case: Case, controls: Controls) -> Judgement:
    """The verdict on one order."""
    findings = case.findings
    shut(case.check, case.allowance, findings, controls.gates)
    if not hygiene.numbers(case):
        return findings.verdict()
    case.weigh()
    _reducing(case, controls)
    hygiene.form(case)
    prices.post_only(case)
    findings.lenient = findings.exits = case.reduces
    _allowed(case, controls)
    _well(case)
    if case.form is not None and sizes.limits(case):
        _measured(case)
    else:
        prices.reference(case)
    _sent(case, controls)
    return findings.verdict(case.wanted if case.check.reserve else None)


def shut(check: RiskCheck, allowance: Allowance, findings: Findings, gates: Gates) -> None:
    """R19, and R18 as far as it needs no numbers."""
    killed = gates.kills.of(check)
    if killed is None:
        findings.phrases.append(allowance.not_killed)
    else:
        findings.fail("R19", "RISK_KILLED", killed, "none", killed, f"{killed} is killed")
    state, scope = gates.standing(check)
    if state is TradingState.ACTIVE:
        findings.phrases.append(allowance.active)
    elif state is TradingState.HALTED:
        findings.fail("R18", STATE, "HALTED", "ACTIVE", scope, f"{_named(scope)} is HALTED")


def _reducing(case: Case, controls: Controls) -> None:
    """R18: while REDUCING, and of a reduce_only order, only what shrinks the position passes, never through zero."""
    check, findings = case.check, case.findings
    for scope, line in _reduced(case, controls.gates):
        room = plain_text(line.room(check.side))
        reason = f"{_named(scope)} is REDUCING and may {check.side} at most {room} {check.symbol}"
        ok = case.shrinks(line)
        findings.note("R18", STATE, ok=ok, value=plain_text(case.leaves), limit=room, scope=scope, reason=reason)
    if check.reduce_only:
        room, scope = plain_text(case.line.room(check.side)), f"account.{check.account}"
        reason = f"reduce_only: {check.account} may {check.side} at most {room} {check.symbol} to reduce what it holds"
        value, ok = plain_text(case.leaves), case.reduces
        findings.note("R18", "RISK_REDUCE_ONLY", ok=ok, value=value, limit=room, scope=scope, reason=reason)


def _reduced(case: Case, gates: Gates) -> list[tuple[str, Line]]:
    """The scopes that are REDUCING, each with what it must not grow: a strategy its own share, else the account's."""
    check = case.check
    if gates.standing(check).state is not TradingState.REDUCING:
        return []
    scopes = [(scope, case.line) for scope in ("firm", f"account.{check.account}", f"symbol.{check.symbol}")]
    if check.strategy is not None:
        scopes.append((f"strategy.{check.strategy}", case.lines[Level.STRATEGY_SYMBOL]))
    return [(scope, line) for scope, line in scopes if gates.state(scope) is TradingState.REDUCING]


def _named(scope: str) -> str:
    return scope.replace(".", " ", 1)


def _allowed(case: Case, controls: Controls) -> None:
    """R03."""
    check, findings = case.check, case.findings
    if controls.gates.blocked(check.symbol) is None:
        findings.phrases.append(case.allowance.unblocked)
    else:
        findings.take(controls.gates.look(check))
    if controls.permissions.narrow:
        findings.take(controls.permissions.look(check, lambda: case.more > case.line.reducible))
    else:
        findings.phrases.append(case.allowance.permitted)


def _well(case: Case) -> None:
    """R20: no new risk while what is known may be old."""
    if not case.unwell:
        case.findings.phrases.append(case.allowance.well)
        return
    case.findings.fail(
        "R20", "RISK_UNHEALTHY", case.unwell, "well", "risk", f"risk takes no new risk on: {case.unwell}"
    )


def _measured(case: Case) -> None:
    prices.reference(case)
    prices.collars(case)
    sizes.order(case)
    sizes.position(case)
    sizes.exposure(case)
    money.buying_power(case)


def _sent(case: Case, controls: Controls) -> None:
    """R12 to R17: what was sent and lost before. Neither a repetition nor a trade with oneself is an exit."""
    findings = case.findings
    for measured in controls.flow.look(case.check, case.allowance.flow, case.now_ns):
        findings.lenient = case.reduces and measured.rule != "R14"
        findings.take(measured)
    findings.lenient = False
    prices.self_trade(case)
    controls.lost(case.allowance, findings, case.now_ns, reduces=case.reduces)
