"""What people see of accounts, limits and switches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Any

from services.risk.core.conduct.repetition import Disabled
from services.risk.core.evidence.shown import Shown, evidence
from services.risk.core.exposure.book import Book, Line
from services.risk.core.findings import ZERO
from services.risk.core.gatekeeper import Gatekeeper
from services.risk.core.losses.baseline import Baseline
from services.risk.core.switches.gates import Block, StateSwitch
from services.risk.core.switches.releases import Pending
from services.risk.settings import limit_scope
from shared.contract.base import Account, Message, plain_text
from shared.contract.errors import NotFound
from shared.contract.risk import Kill, Limits, RiskAlert, TradingState


class LimitUse(Message):
    """The limits of one scope, and how much of them is used in the worst case, as fractions by limit.

    `version` 0 are the configuration's. Of a limit per symbol the symbol that uses most of it is shown. `symbols` are
    the scope's own holdings and open orders.
    """

    scope: str
    version: int
    actor: str
    limits: Limits
    used: dict[str, str]
    symbols: tuple[Holding, ...]


class Holding(Message):
    """One symbol of a scope: what is held and open, and what it is worth in the scope's currency."""

    symbol: str
    quantity: str
    open_buys: str
    open_sells: str
    worst_long: str
    worst_short: str
    value: str
    profit: str
    reference: str | None


class Portfolio(Message):
    """An account's money, holdings and profit as risk counts them. `profit` is realised and unrealised, after fees."""

    account: str
    currency: str
    trading_state: TradingState
    cash: str
    equity: str
    profit: str
    bound: str
    free: str
    gross: str
    net: str
    open_orders: int
    reservations: int
    positions: tuple[Holding, ...]


class State(Message):
    """What stands in the way of orders; a scope that is not listed is ACTIVE. `losses` are everybody's."""

    states: tuple[StateSwitch, ...]
    kills: tuple[Kill, ...]
    blocked: tuple[Block, ...]
    disabled: tuple[Disabled, ...]
    losses: tuple[Baseline, ...]


class Views:
    """What is shown of the gatekeeper of the moment; a recovery puts another in its place."""

    def __init__(self, keeper: Callable[[], Gatekeeper]) -> None:
        self._keeper = keeper

    def doors(self) -> tuple[tuple[str, Callable[..., Awaitable[object]]], ...]:
        """The paths under which these are shown."""
        return (
            ("/limits/{scope}", self.limits),
            ("/risk/limits", self.all_limits),
            ("/risk/portfolio", self.portfolio),
            ("/risk/alerts", self.alerts),
            ("/risk/releases", self.releases),
            ("/kill", self.kills),
            ("/state", self.state),
            ("/evidence", self.evidence),
        )

    async def limits(self, scope: str) -> LimitUse:
        """The limits of one scope (a bare name is an account's), with their use."""
        keeper, scope = self._keeper(), limit_scope(scope)
        limits = keeper.controls.limits.shown(scope)
        if limits is None:
            known = ", ".join(sorted(keeper.controls.limits.listed()))
            raise NotFound(f"{scope} has no limits of its own; these have: {known}", field="scope")
        return limit_use(keeper, scope, limits)

    async def all_limits(self) -> list[LimitUse]:
        keeper = self._keeper()
        return [limit_use(keeper, scope, limits) for scope, limits in sorted(keeper.controls.limits.listed().items())]

    async def portfolio(self, account: Account = "default") -> Portfolio:
        return portfolio(self._keeper(), account)

    async def alerts(self, limit: int = 100) -> list[RiskAlert]:
        return self._keeper().controls.alerts.recent(limit)

    async def kills(self) -> list[Kill]:
        return self._keeper().controls.gates.kills.active()

    async def state(self) -> State:
        """Everything that is shut or tripped just now, by whom and why."""
        controls = self._keeper().controls
        return State(
            states=tuple(controls.gates.states()),
            kills=tuple(controls.gates.kills.active()),
            blocked=tuple(controls.gates.blocks()),
            disabled=tuple(controls.flow.disabled()),
            losses=tuple(controls.losses.show()),
        )

    async def releases(self) -> list[Pending]:
        """The orders that wait for a second person."""
        return self._keeper().controls.releases.waiting()

    async def evidence(self) -> list[Shown]:
        """The map from rule to clause to test, with the limits that stand now."""
        keeper = self._keeper()
        listed = keeper.controls.limits.listed()
        shown = {scope: _words(limits) for scope, limits in sorted(listed.items())}
        settings = keeper.settings.model_dump(mode="json", exclude={"limits"})
        return evidence({**shown, "risk": {name: str(value) for name, value in settings.items()}})

    def stats(self) -> dict[str, Any]:
        return self._keeper().stats()


def _words(limits: Limits) -> dict[str, str]:
    return {name: str(value) for name, value in limits.model_dump(mode="json", exclude_none=True).items()}


def limit_use(keeper: Gatekeeper, scope: str, limits: Limits) -> LimitUse:
    """One scope's limits with their present use."""
    version = keeper.controls.versions.current(scope)
    book, lines = _scoped(keeper, scope)
    used: dict[str, str] = {}
    for name, value in _used(keeper, scope, book, lines):
        most: Decimal | None = getattr(limits, name)
        if most is not None:
            used[name] = f"{value / most:.4f}" if most > 0 else "0" if value <= 0 else "over"
    return LimitUse(
        scope=scope,
        version=version.version if version else 0,
        actor=version.actor if version else "configuration",
        limits=limits,
        used=used,
        symbols=tuple(_holding(keeper, line) for line in lines),
    )


def _scoped(keeper: Gatekeeper, scope: str) -> tuple[Book | None, list[Line]]:
    """The book a scope is measured by (None: one symbol of one) and its lines; nothing of a scope that is any."""
    exposures, words = keeper.exposures, scope.split(".")
    if "*" in words:
        return None, []
    match words:
        case ["account", name] | ["account", name, "symbol", _]:
            book = exposures.of(name).book
        case ["strategy", name]:
            book = exposures.strategies.get(name)
        case _:
            book = exposures.firm
    if book is None:
        return None, []
    book.refresh()
    symbol = words[-1] if "symbol" in words else None
    lines = [line for name, line in sorted(book.lines.items()) if symbol in (None, name)]
    return (book if symbol is None else None), lines


def _used(keeper: Gatekeeper, scope: str, book: Book | None, lines: list[Line]) -> Iterator[tuple[str, Decimal]]:
    yield "long_quantity_max", max((line.worst_long for line in lines), default=ZERO)
    yield "short_quantity_max", max((line.worst_short for line in lines), default=ZERO)
    sums: list[Book] | list[Line] = [book] if book is not None else lines
    gross = sum((one.gross + one.buys_value + one.sells_value for one in sums), ZERO)
    yield "gross_notional_max", gross
    yield "net_notional_max", max((max(o.net + o.buys_value, o.sells_value - o.net) for o in sums), default=ZERO)
    yield "open_orders_max", Decimal(sum(one.orders for one in sums))
    yield "open_notional_max", sum((one.buys_value + one.sells_value for one in sums), ZERO)
    equity = _equity(keeper, scope)
    if equity > 0:
        largest = max((line.gross + line.buys_value + line.sells_value for line in lines), default=ZERO)
        yield "concentration_fraction_max", largest / equity
        yield "leverage_max", gross / equity


def _equity(keeper: Gatekeeper, scope: str) -> Decimal:
    """What there is to lose in a scope; 0 where it depends on the order's account."""
    words = scope.split(".")
    if "*" in words or words[0] == "strategy":
        return ZERO
    if words[0] != "account":
        return keeper.exposures.firm_equity(None)
    exposure = keeper.exposures.of(words[1])
    return exposure.balance.cash + exposure.book.net


def portfolio(keeper: Gatekeeper, account: str) -> Portfolio:
    """What an account holds, has set aside and has free."""
    exposure = keeper.exposures.of(account)
    book = exposure.book
    book.refresh()
    return Portfolio(
        account=account,
        currency=exposure.balance.currency,
        trading_state=keeper.controls.gates.state(account),
        cash=plain_text(exposure.balance.cash),
        equity=plain_text(exposure.balance.cash + book.net),
        profit=plain_text(book.profit),
        bound=plain_text(book.bound),
        free=plain_text(exposure.free),
        gross=plain_text(book.gross),
        net=plain_text(book.net),
        open_orders=book.orders,
        reservations=len(exposure.holds),
        positions=tuple(_holding(keeper, line) for _, line in sorted(book.lines.items())),
    )


def _holding(keeper: Gatekeeper, line: Line) -> Holding:
    touch = keeper.market.touch(line.symbol)
    return Holding(
        symbol=line.symbol,
        quantity=plain_text(line.quantity),
        open_buys=plain_text(line.buys),
        open_sells=plain_text(line.sells),
        worst_long=plain_text(max(ZERO, line.worst_long)),
        worst_short=plain_text(max(ZERO, line.worst_short)),
        value=plain_text(line.net),
        profit=plain_text(line.profit),
        reference=plain_text(touch.bought) if touch is not None else None,
    )
