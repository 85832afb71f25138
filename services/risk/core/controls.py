"""Everything that limits orders: limits, switches, permissions, flow, losses, releases; and what to keep of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import TypeVar

from services.risk.core.conduct.flow import Counts, Flow, FlowSettings
from services.risk.core.conduct.repetition import Disabled
from services.risk.core.exposure.accounts import Exposures
from services.risk.core.findings import Findings
from services.risk.core.health import Health
from services.risk.core.limits.allowance import Allowance
from services.risk.core.limits.table import LimitTable
from services.risk.core.limits.versions import LimitsBook, LimitsVersion
from services.risk.core.losses.baseline import Baseline
from services.risk.core.losses.losses import Losses
from services.risk.core.switches.alerts import Alerts, Change
from services.risk.core.switches.gates import Block, Gates, StateSwitch
from services.risk.core.switches.permissions import Permissions
from services.risk.core.switches.releases import Released, Releases
from services.risk.settings import Settings
from shared.contract import keys
from shared.contract.base import Message
from shared.contract.orders import Order
from shared.contract.risk import Kill, Limits, RiskAlert, RiskCheck, TradingState

T = TypeVar("T")

COUNTS = keys.checkpoint("risk")
LIFTED = keys.lifted("")
ZERO = Decimal(0)
SHOWN_MAX = 100
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
        self.health = Health(settings.event_age_max_s, settings.stream_silence_max_s, settings.clock_skew_max_s)
        self.flow = Flow(_flow_settings(settings), self.alerts)
        self.losses = Losses(self.alerts, TradingState(settings.loss_action))
        self.changes: list[Change] = []
        self.spent: list[str] = []
        self._currency = settings.currency
        self._exposures = exposures
        self._marked_ns: dict[str, int] = {}
        self._profits: dict[str, Decimal | None] = {}
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

    def collared(self, check: RiskCheck, now_ns: int) -> None:
        """An order was too far off the market (R06)."""
        if (change := self.flow.collared(check, now_ns)) is not None:
            self.changes.append(change)

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
        counts = self.flow.unsaved()
        spent, self.spent = self.spent, []
        return [
            *self.losses.unsaved(),
            *(((COUNTS, counts),) if counts is not None else ()),
            *((key, None) for key in spent),
        ]

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

    def profits(self) -> dict[str, Decimal]:
        """What the firm, its accounts and strategies won or lost as last measured, and can be valued; some of them."""
        measured = islice({"firm": ZERO, **self._profits}.items(), SHOWN_MAX)
        return {scope: profit for scope, profit in measured if profit is not None}

    def lost(self, allowance: Allowance, findings: Findings, now_ns: int, *, reduces: bool) -> None:
        """R17. What passes is said in the same words until the next mark of anybody."""
        if allowance.lost_at == self._marks:
            phrases, words = allowance.lost
            findings.phrases += phrases
            findings.words += words
            return
        measured = self.losses.look(allowance.losses, now_ns, reduces=reduces)
        phrases, words = len(findings.phrases), len(findings.words)
        for one in measured:
            findings.take(one)
        # An exit passes where other orders do not, so that what is said of it is said of it alone.
        if not reduces and all(one.ok and one.used <= 0.5 for one in measured):
            allowance.lost = tuple(findings.phrases[phrases:]), tuple(findings.words[words:])
            allowance.lost_at = self._marks

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


def _flow_settings(settings: Settings) -> FlowSettings:
    return FlowSettings(
        duplicate_window_s=settings.duplicate_window_s,
        orders_per_trade_grace=settings.orders_per_trade_grace,
        executions_window_s=settings.executions_window_s,
        collar_hits_max=settings.collar_hits_max,
        collar_hits_window_s=settings.collar_hits_window_s,
    )


def _all(kept: Mapping[str, bytes], decode: Callable[[bytes], T], prefix: str) -> list[T]:
    return [decode(words) for key, words in kept.items() if key.startswith(prefix)]
