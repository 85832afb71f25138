"""How much is sent, and how often the same: message rates, orders per trade, duplicates, repetition (R12 to R15).

    R12 RISK_MESSAGE_RATE        token bucket per scope and venue; cancels have their own and are never stopped
    R13 RISK_ORDERS_PER_TRADE    messages per trade, less 1, per account, symbol and day (RTS 9, by number)
    R14 RISK_DUPLICATE           the same order again, under another id, within a window
    R15 RISK_REPEATED_EXECUTION  as many executions on one side within a window: disabled until a person enables it

A message counts from when it is sent, whatever becomes of it. Everything costs the same however much went before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.risk.core.conduct.repetition import Disabled, Repetition
from services.risk.core.conduct.windows import DAY_NS, Buckets, OrdersPerTrade, Recent
from services.risk.core.findings import Measured, unset
from services.risk.core.limits.bounds import NS, OVER, UNSET, UNSET_RATE, FlowLimits, Rate
from services.risk.core.switches.alerts import Alerts, Change
from shared.contract.base import Message
from shared.contract.orders import OrderEvent
from shared.contract.risk import RiskCheck

TELL_AGAIN_NS = 60 * NS


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """duplicate_window_s: for so long the same order may not be sent again; 0: it may.

    orders_per_trade_grace: so many messages of a day go by before the ratio counts.
    executions_window_s: for so long executions of one kind are counted together.
    collar_hits_max, collar_hits_window_s: so many prices beyond the collar within so long disable; 0: they do not.
    """

    duplicate_window_s: float = 1.0
    orders_per_trade_grace: int = 100
    executions_window_s: float = 60.0
    collar_hits_max: int = 0
    collar_hits_window_s: float = 60.0


class Counts(Message):
    """What the ratio of orders to trades is made of: (account, symbol, day, messages, trades) each."""

    counts: tuple[tuple[str, str, int, int, int], ...] = ()


Intent = tuple[object, ...]


class Flow:
    """look: what would be found, changing nothing. count: the message goes out. Cancels are counted, never stopped."""

    def __init__(self, settings: FlowSettings, alerts: Alerts, day_of: Callable[[str, int], int] | None = None) -> None:
        """`day_of(symbol, now_ns)` numbers the session or day that a moment belongs to; UTC days without it."""
        self._settings = settings
        self._alerts = alerts
        self._day_of = day_of or utc_day
        self._window = f"{settings.duplicate_window_s:g} s"
        self._messages = Buckets()
        self._cancels = Buckets()
        self._told_ns: dict[tuple[str, str], int] = {}
        self._orders_per_trade = OrdersPerTrade()
        self._sent: Recent[Intent, str] = Recent(settings.duplicate_window_s)
        self._repetition = Repetition(
            alerts, settings.executions_window_s, settings.collar_hits_max, settings.collar_hits_window_s
        )

    def look(self, check: RiskCheck, limits: FlowLimits, now_ns: int) -> list[Measured]:
        """R12, R13, R14 and R15 of one submit or replace."""
        return [
            self._rate(check, limits, now_ns),
            self._ratio(check, limits, now_ns),
            self._duplicate(check, now_ns),
            self._repetition.look(owner(check.account, check.strategy), check, limits.executions, now_ns),
        ]

    def count(self, check: RiskCheck, limits: FlowLimits, now_ns: int) -> None:
        """An approved and reserved submit or replace goes out: it counts from now, whatever becomes of it."""
        for rate in limits.messages:
            self._messages.take(rate, check.venue, now_ns)
        self._orders_per_trade.message(check.account, check.symbol, self._day_of(check.symbol, now_ns))
        if self._settings.duplicate_window_s:
            self._sent.put(intent(check), check.order_id or "", now_ns)

    def cancelled(
        self, account: str, strategy: str | None, symbol: str, venue: str, limits: FlowLimits, now_ns: int
    ) -> Change | None:
        """A cancel went out. Over a budget it is told of, once a minute and scope; it is never stopped."""
        self._orders_per_trade.message(account, symbol, self._day_of(symbol, now_ns))
        over = [rate for rate in limits.cancels if self._over(rate, venue, now_ns)]
        if not over:
            return None
        scope = over[0].scope
        message = f"{scope} sends {venue} more cancels than {over[0].words} a second; they are let through"
        return self._alerts.changed(self._alerts.tell("RISK_CANCEL_RATE", message, scope, now_ns))

    def _over(self, rate: Rate, venue: str, now_ns: int) -> bool:
        """Take a cancel from its budget; True when there is none left and nobody was told of it within a minute."""
        if self._cancels.peek(rate, venue, now_ns) <= rate.room:
            self._cancels.take(rate, venue, now_ns)
            return False
        key = (rate.scope, venue)
        if now_ns - self._told_ns.get(key, -TELL_AGAIN_NS) < TELL_AGAIN_NS:
            return False
        self._told_ns[key] = now_ns
        return True

    def heard(self, event: OrderEvent, limits: FlowLimits, now_ns: int) -> Change | None:
        """A committed event, heard for the first time: its fill is a trade.

        An order is one execution, with its first fill; the change disables the strategy (or account) in the symbol.
        """
        if event.fill is None:
            return None
        order = event.order
        self._orders_per_trade.trade(order.account, order.symbol, self._day_of(order.symbol, now_ns))
        return self._repetition.executed(owner(order.account, order.strategy), order, limits.executions, now_ns)

    def collared(self, check: RiskCheck, now_ns: int) -> Change | None:
        """A price lay beyond its collar; too often, and the strategy (or account) is disabled in the symbol."""
        return self._repetition.collared(owner(check.account, check.strategy), check, now_ns)

    def enable(self, scope: str, symbol: str, actor: str, reason: str, now_ns: int) -> Change:
        """A named person lets a disabled strategy or account go on (`scope`: `strategy.x`, `account.y`)."""
        return self._repetition.enable(scope, symbol, actor, reason, now_ns)

    def disabled(self) -> list[Disabled]:
        return self._repetition.disabled()

    def restore(self, disabled: Iterable[Disabled], counts: Counts | None) -> None:
        """After a restart: what stands under disabled:*, and the counts that were kept last."""
        self._repetition.restore(disabled)
        self._orders_per_trade.restore(counts.counts if counts else ())

    def unsaved(self) -> Counts | None:
        """To be kept every few seconds: the day's ratio is measured from where it was. None: nothing was counted."""
        counted, self._orders_per_trade.changed = self._orders_per_trade.changed, False
        return Counts(counts=tuple(self._orders_per_trade.all())) if counted else None

    def sweep(self, now_ns: int) -> None:
        """Forget what no longer matters; every ten seconds or so."""
        self._messages.sweep(now_ns)
        self._cancels.sweep(now_ns)
        self._told_ns = {key: at_ns for key, at_ns in self._told_ns.items() if now_ns - at_ns < TELL_AGAIN_NS}
        self._orders_per_trade.sweep(self._day_of, now_ns)
        self._sent.sweep(now_ns)
        self._repetition.sweep(now_ns)

    def _rate(self, check: RiskCheck, limits: FlowLimits, now_ns: int) -> Measured:
        """R12: the scope that is nearest to its limit."""
        venue, most_used = check.venue, -1.0
        worst, sent = limits.messages[0], 1
        for rate in limits.messages:
            out = self._messages.peek(rate, venue, now_ns)
            used = out / rate.room if rate.room else OVER
            if used > most_used:
                most_used, worst, sent = used, rate, out
        if sent <= worst.room:
            return Measured("R12", "RISK_MESSAGE_RATE", True, str(sent), worst.words, worst.scope, "", most_used)
        reason = f"{worst.scope} sends {venue} more messages than {worst.words} a second"
        if worst is UNSET_RATE:
            reason = unset("messages_per_s_max", worst.scope)
        return Measured("R12", "RISK_MESSAGE_RATE", False, str(sent), worst.words, worst.scope, reason, most_used)

    def _ratio(self, check: RiskCheck, limits: FlowLimits, now_ns: int) -> Measured:
        """R13: what the ratio is once this message went out. A day without a trade counts as one with one."""
        bound = limits.orders_per_trade
        day = self._day_of(check.symbol, now_ns)
        messages, trades = self._orders_per_trade.of(check.account, check.symbol, day)
        divisor = trades or 1
        over = messages + 1 - divisor
        value = f"{over / divisor:.2f}"
        graced = messages < self._settings.orders_per_trade_grace
        if bound.size and (graced or over <= bound.most * divisor):
            used = 0.0 if graced else over / divisor / bound.size
            return Measured("R13", "RISK_ORDERS_PER_TRADE", True, value, bound.words, bound.scope, "", used)
        reason = f"{messages + 1} messages for {trades} trades in {check.symbol} today; {bound.words} are allowed"
        if bound is UNSET:
            reason = unset("orders_per_trade_max", bound.scope)
        return Measured("R13", "RISK_ORDERS_PER_TRADE", False, value, bound.words, bound.scope, reason, OVER)

    def _duplicate(self, check: RiskCheck, now_ns: int) -> Measured:
        """R14. The same id again is the same order, and a replacement changes one that is known."""
        window = self._window
        known = self._settings.duplicate_window_s and not check.replaces
        same = self._sent.get(intent(check), now_ns) if known else None
        if same is None or same == check.order_id:
            return Measured("R14", "RISK_DUPLICATE", True, "none", window, check.account)
        reason = f"order {same} wants the same and was sent less than {window} ago"
        return Measured("R14", "RISK_DUPLICATE", False, same, window, check.account, reason)


def utc_day(_symbol: str, now_ns: int) -> int:
    return now_ns // DAY_NS


def owner(account: str, strategy: str | None) -> str:
    """Who repeats itself: the strategy, or the account of an order without one."""
    return f"strategy.{strategy}" if strategy else f"account.{account}"


def intent(check: RiskCheck) -> Intent:
    """What makes two orders the same order."""
    return (
        check.account,
        check.symbol,
        check.side,
        check.order_type,
        check.quantity,
        check.price,
        check.stop_price,
        check.trail,
    )
