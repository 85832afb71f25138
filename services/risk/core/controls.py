"""Everything that limits orders: limits, switches, permissions, flow, losses, releases; and what to keep of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

from services.risk.core.alerts import Alerts, Change
from services.risk.core.baseline import Baseline
from services.risk.core.exposures import Exposures
from services.risk.core.findings import Findings
from services.risk.core.flow import Counts, Flow, FlowSettings
from services.risk.core.gates import Block, Gates, StateSwitch
from services.risk.core.health import Health
from services.risk.core.limits import Allowance, LimitTable
from services.risk.core.losses import Losses
from services.risk.core.permissions import Permissions
from services.risk.core.releases import Released, Releases
from services.risk.core.repetition import Disabled
from services.risk.core.versions import LimitsBook, LimitsVersion
from services.risk.settings import Settings
from shared.contract import keys
from shared.contract.base import Message
from shared.contract.orders import Order
from shared.contract.risk import Kill, Limits, RiskAlert, RiskCheck, TradingState

T = TypeVar("T")

COUNTS = keys.checkpoint("risk")
LIFTED = keys.lifted("")
ZERO = Decimal(0)
MARK_AGE_NS = 250_000_000
"""An order has the losses of its scopes measured anew when they were last measured longer ago than this."""


class Controls:
    """`changes` are what was decided on the way and is still to be committed, `spent` the keys that may go."""

    def __init__(self, settings: Settings, exposures: Exposures) -> None:
        self.alerts = Alerts()
        self.gates = Gates(self.alerts, settings.restricted)
        self.versions = LimitsBook(self.alerts)
        self.releases = Releases(self.alerts, settings.release_valid_s)
        self.permissions = Permissions(settings.permissions)
        self.limits = LimitTable(settings.limits)
        self.health = Health(settings.event_age_max_s, settings.stream_silence_max_s)
        self.flow = Flow(
            FlowSettings(settings.duplicate_window_s, settings.orders_per_trade_grace, settings.executions_window_s),
            self.alerts,
        )
        self.losses = Losses(self.alerts, TradingState(settings.loss_action))
        self.changes: list[Change] = []
        self.spent: list[str] = []
        self._currency = settings.currency
        self._exposures = exposures
        self._marked_ns: dict[str, int] = {}
        self._profits: dict[str, Decimal | None] = {}
        self._kept: dict[str, Message] = {}
        self._marks = 0

    def allowance(self, account: str, strategy: str | None, symbol: str) -> Allowance:
        """What an order of these may do."""
        own_currency = self._exposures.of(account).book.currency == self._currency
        return self.limits.allowance(account, strategy, symbol, own_currency)

    def put_limits(self, scope: str, limits: Limits, actor: str, reason: str, now_ns: int) -> Change:
        """Replace a scope's limits; they count from now on."""
        change = self.versions.put(scope, limits, actor, reason, now_ns)
        self.limits.put(scope, limits)
        return change

    # Over restarts.

    def restore(self, kept: Mapping[str, bytes], alerts: Iterable[RiskAlert], waiting: Iterable[Order]) -> None:
        """Everything as it was last kept, by its key; and the orders that wait for a release."""
        self.alerts.restore(alerts)
        self.gates.restore(
            _all(kept, Kill.decode, keys.kill("")),
            {key.removeprefix(LIFTED): int(words) for key, words in kept.items() if key.startswith(LIFTED)},
            _all(kept, StateSwitch.decode, "trading_state:"),
            _all(kept, Block.decode, keys.blocked("")),
        )
        versions = _all(kept, LimitsVersion.decode, "limits:")
        self.versions.restore(versions)
        for version in versions:
            self.limits.put(version.scope, Limits.model_validate(version.limits))
        counts = kept.get(COUNTS)
        self.flow.restore(_all(kept, Disabled.decode, "disabled:"), Counts.decode(counts) if counts else None)
        self.losses.restore(_all(kept, Baseline.decode, keys.baseline("")))
        self.releases.restore(_all(kept, Released.decode, "release:"), waiting)

    def to_keep(self) -> list[tuple[str, Message | None]]:
        """What changed of what is measured, and what has lapsed: to be kept, every few seconds."""
        measured: list[tuple[str, Message]] = [*self.losses.unsaved(), (COUNTS, self.flow.counts())]
        changed: list[tuple[str, Message]] = []
        for key, message in measured:
            # Everything is measured over and over; when nothing came of it there is nothing to write.
            content = message.model_copy(update={"at_ns": 0}) if isinstance(message, Baseline) else message
            if self._kept.get(key) != content:
                self._kept[key] = content
                changed.append((key, message))
        spent, self.spent = self.spent, []
        return [*changed, *((key, None) for key in spent)]

    def sweep(self, now_ns: int) -> None:
        """Forget what no longer matters."""
        self.flow.sweep(now_ns)
        self.spent += self.releases.sweep(now_ns)

    # Losses.

    def mark(self, check: RiskCheck, now_ns: int) -> None:
        """Measure what an order's scopes have lost, unless that was done just now."""
        self._mark("firm", now_ns)
        if check.account in self._exposures.accounts:
            self._mark(f"account.{check.account}", now_ns)
        if check.strategy in self._exposures.strategies:
            self._mark(f"strategy.{check.strategy}", now_ns)

    def mark_all(self, now_ns: int) -> None:
        """Measure what everybody has lost."""
        self._marked_ns.clear()
        self._mark("firm", now_ns)
        for account in self._exposures.accounts:
            self._mark(f"account.{account}", now_ns)
        for strategy in self._exposures.strategies:
            self._mark(f"strategy.{strategy}", now_ns)

    def lost(self, allowance: Allowance, findings: Findings, now_ns: int, *, reduces: bool) -> None:
        """R17. What passes is said in the same words until the next mark of anybody."""
        if allowance.lost_at == self._marks:
            findings.words += allowance.lost
            return
        measured = self.losses.look(allowance.losses, now_ns, reduces=reduces)
        before = len(findings.words)
        for one in measured:
            findings.take(one)
        if all(one.ok and one.used <= 0.5 for one in measured):
            allowance.lost, allowance.lost_at = tuple(findings.words[before:]), self._marks

    def _mark(self, scope: str, now_ns: int) -> None:
        if now_ns - self._marked_ns.get(scope, -MARK_AGE_NS) < MARK_AGE_NS:
            return
        self._marked_ns[scope] = now_ns
        profit = self._exposures.profit(scope)
        changes = self.losses.mark(scope, profit, self.limits.of(scope), now_ns)
        if changes or profit != self._profits.get(scope, ZERO):
            self._profits[scope] = profit
            self._marks += 1
            self.changes += changes


def _all(kept: Mapping[str, bytes], decode: Callable[[bytes], T], prefix: str) -> list[T]:
    return [decode(words) for key, words in kept.items() if key.startswith(prefix)]
