"""The gatekeeper: everything risk knows, and the verdicts that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from services.risk.core.controls import Controls
from services.risk.core.exposure.account import Exposure
from services.risk.core.exposure.accounts import Exposures
from services.risk.core.exposure.book import ONE
from services.risk.core.exposure.holds import Asked, Hold, reservation_of
from services.risk.core.findings import Findings
from services.risk.core.following import Follower
from services.risk.core.market import Market, Terms, worst_price
from services.risk.core.rules.case import Case
from services.risk.core.rules.form import Form
from services.risk.core.rules.judging import judge, shut
from services.risk.settings import Settings
from shared.contract.base import normal_symbol
from shared.contract.currencies import Rates
from shared.contract.errors import Conflict, Refused
from shared.contract.judgement import Judgement
from shared.contract.market import Instrument
from shared.contract.risk import RiskCheck
from shared.contract.sessions import RoundTheClock, Sessions

NS = 1_000_000_000


def _round_the_clock(_symbol: str) -> Sessions:
    return RoundTheClock()


@dataclass(frozen=True)
class World:
    """What of the world outside risk must know, apart from quotes and events."""

    instruments: Mapping[str, Instrument]
    accounts: Mapping[str, Any]
    rates: Rates = field(default_factory=Rates)
    sessions: Callable[[str], Sessions] = _round_the_clock


class Gatekeeper:
    """Judges orders against exposure, limits, the market and the gates; sets aside what it approves."""

    def __init__(self, settings: Settings, world: World, market: Market) -> None:
        self.settings = settings
        self.market = market
        self.exposures = Exposures(settings, world.instruments, world.accounts, market, world.rates)
        self.controls = Controls(settings, self.exposures)
        self.follower = Follower(self.exposures, self.controls, market, settings.market_slippage_fraction)
        self._world = world
        self._forms: dict[str, Form] = {}
        self._reference_age_max_ns = int(settings.reference_age_max_s * NS)

    def judge(self, check: RiskCheck, now_ns: int) -> Judgement:
        """The verdict as things stand; sets nothing aside. A reservation asked for again keeps its verdict."""
        exposure = self.exposures.of(check.account)
        hold = exposure.holds.get(check.order_id or "")
        if check.replaces:
            return self._judge_replacement(check, exposure, hold, now_ns)
        if hold is not None and check.reserve:
            return self._again(check, hold)
        case = self._case(check, exposure, now_ns)
        verdict = self._judged(case)
        if verdict.pending and check.reserve:
            self.controls.releases.pend(check, (code for code, _ in case.findings.pending), now_ns)
        return verdict

    def _judged(self, case: Case) -> Judgement:
        verdict = judge(case, self.controls)
        if case.collared and case.check.reserve:
            self.controls.collared(case.check, case.now_ns)
        return verdict

    def _judge_replacement(self, check: RiskCheck, exposure: Exposure, hold: Hold | None, now_ns: int) -> Judgement:
        """As if the old terms were gone; what is held from now on is the larger of both."""
        if hold is None:
            findings = Findings()
            reason = f"nothing is set aside for order {check.order_id}, so there is nothing to replace"
            findings.fail("R00", "RISK_NOTHING_TO_REPLACE", "none", "an open order", check.account, reason)
            return findings.verdict()
        old = hold.reservation
        # What has filled and was not heard of yet is in no position: it counts as if it were still to fill.
        check = check.altered(filled_quantity=min(check.filled_quantity, hold.filled))
        exposure.release(old.order_id)
        try:
            case = self._case(check, exposure, now_ns)
            verdict = self._judged(case)
        finally:
            exposure.keep(hold)
        if not (verdict.approved and check.reserve):
            return verdict
        wanted = case.wanted
        quantity, price = max(wanted.quantity, old.quantity), max(wanted.price, old.price)
        return verdict.altered(reservation=reservation_of(check, quantity, price, now_ns))

    def _case(self, check: RiskCheck, exposure: Exposure, now_ns: int) -> Case:
        settings, exposures, symbol = self.settings, self.exposures, check.symbol
        book, firm = exposure.book, exposures.firm
        strategy = exposures.strategy(check.strategy) or firm
        for one in (book, firm, strategy):
            one.refresh()
        self.controls.mark(check, now_ns)
        reference = self.market.reference(symbol, now_ns, self._reference_age_max_ns)
        terms = Terms(check.side, check.order_type, check.price, check.stop_price, check.trail)
        price = worst_price(terms, reference.quote, settings.market_slippage_fraction)
        leaves = check.quantity - check.filled_quantity
        own, shared, whole = book.line(symbol), strategy.line(symbol), firm.line(symbol)
        return Case(
            check=check,
            settings=settings,
            now_ns=now_ns,
            form=self._form(symbol),
            allowance=self.controls.allowance(check.account, check.strategy, symbol),
            reference=reference,
            divergence=self.market.divergence(symbol, now_ns, self._reference_age_max_ns),
            exposure=exposure,
            sums=(own, book, shared, strategy, whole, firm),
            lines=(own, own, shared, shared, whole, whole),
            rates=(own.rate, whole.rate),
            account_rate=exposures.rate(book.currency, settings.currency),
            firm=firm,
            firm_equity=exposures.firm_equity(exposure),
            unwell=self.controls.health.trouble(now_ns),
            leaves=leaves,
            price=price,
            wanted=reservation_of(check, leaves, price or _any_price(exposure, symbol, leaves), now_ns),
            findings=Findings(released=self.controls.releases.valid(check, now_ns) is not None),
        )

    def _form(self, symbol: str) -> Form | None:
        form = self._forms.get(symbol)
        if form is None and (instrument := self._world.instruments.get(symbol)) is not None:
            form = self._forms[symbol] = Form(instrument, self._world.sessions(symbol))
        return form

    def _again(self, check: RiskCheck, hold: Hold) -> Judgement:
        held = hold.reservation
        same = (held.symbol, held.side) == (check.symbol, check.side)
        # Once its order was heard of, fills may have shrunk what is held.
        if not same or (hold.version == 0 and held.quantity != check.quantity):
            raise Conflict(
                "ORDER_ID_REUSED",
                f"order {check.order_id} is set aside as {held.side} {held.quantity} {held.symbol}; use a new order_id",
                field="order_id",
            )
        findings = Findings()
        allowance = self.controls.allowance(check.account, check.strategy, check.symbol)
        shut(check, allowance, findings, self.controls.gates)
        if findings.code:
            return findings.verdict()
        return hold.verdict or findings.verdict().altered(reservation=held)

    # Setting aside.

    def reserve(self, check: RiskCheck, verdict: Judgement, now_ns: int, epoch: str) -> Judgement:
        """Set the worst case of an approved order aside, at once: the next check already counts it.

        `epoch` is the life of risk in which the approval holds.
        """
        exposure = self.exposures.taken(check.account)
        wanted = verdict.reservation
        assert wanted is not None, "what is approved and is to be reserved comes with its reservation"
        valid_until_ns = now_ns + round(self.settings.approval_valid_s * NS)
        hold = exposure.holds.get(wanted.order_id)
        if hold is not None and not check.replaces:
            wanted = wanted.altered(reserved_ns=now_ns)
        verdict = verdict.altered(reservation=wanted, valid_until_ns=valid_until_ns, epoch=epoch)
        exposure.keep(_held(check, verdict, hold, now_ns))
        if hold is None or check.replaces:
            allowance = self.controls.allowance(check.account, check.strategy, check.symbol)
            self.controls.flow.count(check, allowance.flow, now_ns)
        return verdict

    def knows(self, account: str) -> bool:
        """Whether the account was taken up in this life, so that orders of it may be approved."""
        return account in self.exposures.accounts

    def wants(self, check: RiskCheck, now_ns: int) -> bool:
        """Whether an approval hangs on an account that was not taken up yet; a denial needs nobody's."""
        return check.reserve and not self.knows(check.account) and self.judge(check, now_ns).approved

    def listed(self, symbol: str) -> str:
        """The listed symbol that is meant."""
        meant = normal_symbol(symbol)
        if meant not in self._world.instruments:
            known = ", ".join(sorted(self._world.instruments))
            raise Refused("UNKNOWN_SYMBOL", f"symbol {meant} is not listed; known: {known}", field="symbol")
        return meant

    def stats(self) -> dict[str, Any]:
        return {
            "accounts": len(self.exposures.accounts),
            "reservations": sum(len(exposure.holds) for exposure in self.exposures.accounts.values()),
            "kills": len(self.controls.gates.kills),
            "scopes_stopped": self.controls.losses.stopped,
            "profit": self.controls.profits(),
        }


def _held(check: RiskCheck, verdict: Judgement, hold: Hold | None, now_ns: int) -> Hold:
    """What is set aside from now on: for an order anew, for one asked for again, or for new terms beside the old."""
    wanted = verdict.reservation
    assert wanted is not None
    if hold is None:
        rests = check.price if check.order_type == "LIMIT" and check.time_in_force not in ("IOC", "FOK") else None
        return Hold(wanted, 0, verdict, (check.price, check.stop_price), rests)
    if not check.replaces:
        return replace(hold, reservation=wanted, verdict=hold.verdict and verdict)
    asked = Asked(check.quantity, check.price, check.stop_price, wanted.price, now_ns)
    return replace(hold, reservation=wanted, asked=asked, verdict=None)


def _any_price(exposure: Exposure, symbol: str, leaves: Decimal) -> Decimal:
    """What an order is set aside at when nobody quotes it: its last fill, else all the cash there is."""
    if last := exposure.line(symbol).last_price:
        return last
    return max(exposure.balance.cash, ONE) / leaves if leaves.is_finite() and leaves > 0 else ONE
