"""The gatekeeper: everything risk knows, and the verdicts that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from services.risk.core.exposure import EXPOSED, Exposure, Hold
from services.risk.core.findings import Findings, shut
from services.risk.core.gates import Gates
from services.risk.core.market import Market, worst_price
from services.risk.core.rules import Case, judge
from services.risk.settings import Settings
from shared.contract.accounts import Balance, Position
from shared.contract.errors import Conflict
from shared.contract.market import Instrument
from shared.contract.orders import Order, OrderEvent
from shared.contract.risk import Limits, Reservation, RiskCheck, RiskLevel, Verdict

ONE = Decimal(1)


class Gatekeeper:
    """Judges orders against exposure, limits, the market and the gates; sets aside what it approves."""

    def __init__(
        self,
        settings: Settings,
        instruments: Mapping[str, Instrument],
        accounts: Mapping[str, Any],
        market: Market,
    ) -> None:
        self.settings = settings
        self.market = market
        self.gates = Gates(settings.accounts)
        self.exposures: dict[str, Exposure] = {}
        self._instruments = instruments
        self._accounts = accounts

    # Judging.

    def judge(self, check: RiskCheck, now_ns: int) -> Verdict:
        """The verdict as things stand; sets nothing aside. A reservation asked for again keeps its verdict."""
        if check.reserve and (hold := self._held(check)):
            return self._again(check, hold)
        settings = self.settings
        exposure = self.exposure(check.account)
        reference = self.market.reference(check.symbol, now_ns, settings.reference_age_max_s)
        slippage = settings.market_slippage_fraction
        return judge(
            Case(
                check=check,
                killed=self.gates.killed(check),
                state=self.gates.state(check.account),
                blocked=self.gates.blocked.get(check.symbol),
                instrument=self._instruments.get(check.symbol),
                limits=self.limits_of(check.account, check.symbol),
                reference=reference,
                reference_age_max_s=settings.reference_age_max_s,
                price=worst_price(check.side, check.order_type, check.price, reference.quote, slippage),
                buy_back=self.market.buy_back(check.symbol),
                line=exposure.line(check.symbol),
                money=lambda: exposure.money(self.market.buy_back, settings.short_margin, settings.fee_fraction),
                short_margin=settings.short_margin,
                fee_fraction=settings.fee_fraction,
            )
        )

    def reserve(self, check: RiskCheck, verdict: Verdict, now_ns: int) -> tuple[Reservation, Verdict]:
        """Set the worst case of an approved order aside, at once: the next check already counts it."""
        exposure = self._opened(check.account)
        verdict = verdict.model_copy(
            update={"valid_until_ns": now_ns + round(self.settings.approval_valid_s * 1_000_000_000)}
        )
        if self._held(check):
            return exposure.renew(check.order_id or "", now_ns), verdict
        quote = self.market.latest(check.symbol)
        slippage = self.settings.market_slippage_fraction
        price = worst_price(check.side, check.order_type, check.price, quote, slippage)
        assert price is not None, "an order without a price to judge it by is not approved"
        reservation = Reservation(
            account=check.account,
            order_id=check.order_id or "",
            symbol=check.symbol,
            side=check.side,
            quantity=check.quantity,
            price=price,
            strategy=check.strategy,
            reserved_ns=now_ns,
        )
        exposure.keep(Hold(reservation, verdict=verdict))
        return reservation, verdict

    def _held(self, check: RiskCheck) -> Hold | None:
        exposure = self.exposures.get(check.account)
        hold = exposure.holds.get(check.order_id or "") if exposure else None
        if hold is None:
            return None
        held = hold.reservation
        same = (held.symbol, held.side) == (check.symbol, check.side)
        # Once its order was heard of, fills may have shrunk what is held.
        if not same or (hold.version == 0 and held.quantity != check.quantity):
            raise Conflict(
                "ORDER_ID_REUSED",
                f"order {check.order_id} is set aside as {held.side} {held.quantity} {held.symbol}; use a new order_id",
                field="order_id",
            )
        return hold

    def _again(self, check: RiskCheck, hold: Hold) -> Verdict:
        findings = Findings()
        shut(check, self.gates.killed(check), self.gates.state(check.account), findings)
        if findings.code:
            return findings.verdict()
        return hold.verdict or Verdict(approved=True, rules=(), risk_level=RiskLevel.LOW)

    # What is known of accounts.

    def exposure(self, account: str) -> Exposure:
        """The account as it stands; one never heard of opens with the cash that config/accounts.yaml gives it."""
        if known := self.exposures.get(account):
            return known
        listed = self._accounts.get(account) or self._accounts.get("*") or {}
        cash = Decimal(str(listed.get("opening_cash", 0)))
        opening = Balance(account=account, currency=str(listed.get("currency", "USD")), cash=cash, version=-1)
        return Exposure(opening, self._multiplier)

    def _opened(self, account: str) -> Exposure:
        # Only what really happens to an account is kept: a question about a name costs no memory.
        return self.exposures.setdefault(account, self.exposure(account))

    def limits_of(self, account: str, symbol: str) -> Limits | None:
        listed = self.gates.limits.get(account) or self.gates.limits.get("*")
        return listed.limits(symbol) if listed else None

    def unseen(self, order: Order) -> bool:
        """Whether an open order has no reservation here: lost, or already over and this is old news."""
        return order.status in EXPOSED and order.order_id not in self.exposure(order.account).holds

    def hear(self, event: OrderEvent) -> bool:
        """Take over what the oms committed; True when a reservation ended with it."""
        exposure = self._opened(event.account)
        exposure.settle(event.position, event.balance)
        return exposure.follow(event.order, self._unknown_cost(exposure, event.order))

    def take(
        self,
        account: str,
        reservations: Mapping[str, Reservation],
        orders: Mapping[str, Order],
        positions: Iterable[Position],
        balance: Balance | None,
    ) -> None:
        """Take up an account as it was committed."""
        exposure = self._opened(account)
        exposure.settle(None, balance)
        for position in positions:
            exposure.settle(position, None)
        for reservation in reservations.values():
            exposure.keep(Hold(reservation))
        for order in orders.values():
            exposure.follow(order, self._unknown_cost(exposure, order))

    def lapsed(self, now_ns: int) -> list[Reservation]:
        """Reservations of orders that have not been heard of for so long that they may never have been committed."""
        before_ns = now_ns - round(self.settings.reservation_age_max_s * 1_000_000_000)
        return [
            hold.reservation
            for exposure in self.exposures.values()
            for hold in exposure.holds.values()
            if hold.version == 0 and hold.reservation.reserved_ns < before_ns
        ]

    def let_go(self, reservation: Reservation) -> bool:
        """Release a lapsed reservation, unless it was renewed or its order heard of meanwhile."""
        exposure = self.exposure(reservation.account)
        hold = exposure.holds.get(reservation.order_id)
        if hold is None or hold.version or hold.reservation is not reservation:
            return False
        return exposure.release(reservation.order_id)

    def stats(self) -> dict[str, int]:
        return {
            "accounts": len(self.exposures),
            "reservations": sum(len(exposure.holds) for exposure in self.exposures.values()),
            "kills": len(self.gates.kills),
        }

    def _unknown_cost(self, exposure: Exposure, order: Order) -> Callable[[], Decimal]:
        """The worst price of an open order that risk did not set aside itself; without any price, all the cash."""

        def price() -> Decimal:
            quote = self.market.latest(order.symbol)
            slippage = self.settings.market_slippage_fraction
            known = worst_price(order.side.value, order.order_type.value, order.price, quote, slippage)
            return known or max(exposure.balance.cash, ONE) / order.quantity

        return price

    def _multiplier(self, symbol: str) -> Decimal:
        instrument = self._instruments.get(symbol)
        return instrument.multiplier if instrument else ONE
