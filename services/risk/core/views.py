"""What people see of accounts and limits."""

from __future__ import annotations

from collections.abc import Callable

from services.risk.core.exposure import Line
from services.risk.core.findings import ONE, ZERO, text
from services.risk.core.gatekeeper import Gatekeeper
from shared.contract.base import Account, Message
from shared.contract.errors import NotFound
from shared.contract.risk import Kill, Limits, RiskAlert, TradingState


class StateChange(Message):
    """A new trading state for an account."""

    state: TradingState


class LimitUse(Message):
    """One symbol's limits of one account, and how much of them is used in the worst case."""

    account: str
    symbol: str
    limits: Limits
    quantity: str
    open_buys: str
    open_sells: str
    worst_long: str
    worst_short: str


class Holding(Message):
    """One symbol of a portfolio."""

    symbol: str
    quantity: str
    open_buys: str
    open_sells: str
    reference: str | None


class Portfolio(Message):
    """An account's money and holdings as risk counts them."""

    account: str
    currency: str
    trading_state: TradingState
    cash: str
    short_collateral: str
    reserved: str
    free: str
    reservations: int
    positions: tuple[Holding, ...]


class Views:
    """What is shown of the gatekeeper of the moment; a recovery puts another in its place."""

    def __init__(self, keeper: Callable[[], Gatekeeper]) -> None:
        self._keeper = keeper

    async def limits(self, account: str) -> list[LimitUse]:
        return limit_use(self._keeper(), account)

    async def all_limits(self) -> list[LimitUse]:
        keeper = self._keeper()
        listed = keeper.gates.limits
        accounts = sorted({*listed, *keeper.exposures} if "*" in listed else listed)
        return [use for account in accounts for use in limit_use(keeper, account)]

    async def portfolio(self, account: Account = "default") -> Portfolio:
        return _portfolio(self._keeper(), account)

    async def alerts(self, limit: int = 100) -> list[RiskAlert]:
        return self._keeper().gates.recent(limit)

    async def kills(self) -> list[Kill]:
        return list(self._keeper().gates.kills.values())

    def stats(self) -> dict[str, int]:
        return self._keeper().stats()

    async def states(self) -> dict[str, TradingState]:
        return self._keeper().gates.states


def limit_use(keeper: Gatekeeper, account: str) -> list[LimitUse]:
    """Every limit of an account with its current use; its own symbols where `*` stands for any."""
    listed = keeper.gates.limits.get(account) or keeper.gates.limits.get("*")
    if listed is None:
        raise NotFound(f"account {account} has no limits, so nothing of it passes")
    exposure = keeper.exposures.get(account)
    lines = exposure.lines if exposure else {}
    return [
        _use(account, symbol, limits, lines.get(symbol) or Line(ONE))
        for symbol in sorted({*listed.symbols, *lines})
        if (limits := listed.limits(symbol)) is not None
    ]


def _use(account: str, symbol: str, limits: Limits, line: Line) -> LimitUse:
    return LimitUse(
        account=account,
        symbol=symbol,
        limits=limits,
        quantity=text(line.quantity),
        open_buys=text(line.buys),
        open_sells=text(line.sells),
        worst_long=text(max(ZERO, line.worst_long)),
        worst_short=text(max(ZERO, line.worst_short)),
    )


def _portfolio(keeper: Gatekeeper, account: str) -> Portfolio:
    """What an account holds, has set aside and has free."""
    exposure = keeper.exposure(account)
    settings = keeper.settings
    money = exposure.money(keeper.market.buy_back, settings.short_margin, settings.fee_fraction)
    return Portfolio(
        account=account,
        currency=exposure.balance.currency,
        trading_state=keeper.gates.state(account),
        cash=text(money.cash),
        short_collateral=text(money.shorts),
        reserved=text(money.reserved),
        free=text(money.free),
        reservations=len(exposure.holds),
        positions=tuple(
            Holding(
                symbol=symbol,
                quantity=text(line.quantity),
                open_buys=text(line.buys),
                open_sells=text(line.sells),
                reference=text(price) if (price := keeper.market.buy_back(symbol)) is not None else None,
            )
            for symbol, line in sorted(exposure.lines.items())
        ),
    )
