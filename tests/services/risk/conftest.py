"""A gatekeeper over two accounts, two symbols and a quoted market."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.gatekeeper import Gatekeeper, World
from services.risk.core.market import Market
from services.risk.settings import Settings
from shared.contract.accounts import Balance, Position
from shared.contract.currencies import Rates
from shared.contract.judgement import Judgement
from shared.contract.market import Instrument, Quote
from shared.contract.orders import Order, OrderEvent, OrderStatus
from shared.contract.risk import Kill, Limits, RiskCheck, RuleResult

NOW_NS = 1_700_000_000_000_000_000
D = Decimal

INSTRUMENTS = {
    "BTCUSDT": Instrument(
        symbol="BTCUSDT",
        price_tick=D("0.01"),
        lot=D("0.001"),
        quantity_min=D("0.001"),
        quantity_max=D(1000),
        notional_min=D(5),
    ),
    "AAPL": Instrument(symbol="AAPL", price_tick=D("0.01"), lot=D(1), quantity_min=D(1), quantity_max=D(100_000)),
}
WIDE = Limits(
    order_quantity_max=D(100_000),
    order_notional_max=D(10_000_000),
    long_quantity_max=D(100_000),
    short_quantity_max=D(100_000),
    gross_notional_max=D(10_000_000),
    net_notional_max=D(10_000_000),
    concentration_fraction_max=D(1_000),
    leverage_max=D(1_000),
    open_orders_max=D(1_000),
    open_notional_max=D(10_000_000),
    collar_aggressive_fraction_max=D(10**19),
    collar_passive_fraction_max=D(10**19),
    messages_per_s_max=D(1_000_000),
    cancels_per_s_max=D(1_000_000),
    orders_per_trade_max=D(1_000_000),
    executions_max=D(1_000_000),
    loss_max=D(1_000_000),
    drawdown_max=D(1_000_000),
)
"""Nothing here stops an order of a sensible size."""

LIMITS = Limits(
    order_quantity_max=D(10), order_notional_max=D(2_000), long_quantity_max=D(20), short_quantity_max=D(15)
)
ACCOUNTS = {"default": {"currency": "USD", "opening_cash": "10000"}, "*": {"currency": "USD", "opening_cash": "10000"}}
WORLD = World(INSTRUMENTS, ACCOUNTS)
SCOPES = {
    "account.default": WIDE,
    "account.default.symbol.BTCUSDT": LIMITS,
    "account.default.symbol.AAPL": LIMITS,
}


def settings(**words: Any) -> Settings:
    return Settings(**({"limits": SCOPES, "duplicate_window_s": 0} | words))


def limits(**words: Any) -> dict[str, Limits]:
    """The usual limits with some of the account's own changed."""
    return SCOPES | {"account.default": Limits(**(WIDE.model_dump() | words))}


def quote(symbol: str = "BTCUSDT", bid: str | None = "99", ask: str | None = "100", **words: Any) -> Quote:
    given = {
        "venue": "sim",
        "symbol": symbol,
        "event_ns": NOW_NS,
        "receive_ns": NOW_NS,
        "bid": bid,
        "bid_quantity": "5" if bid else None,
        "ask": ask,
        "ask_quantity": "5" if ask else None,
    }
    return Quote(**(given | words))


def check(side: str = "BUY", quantity: str = "1", price: str | None = "100", **words: Any) -> RiskCheck:
    return RiskCheck(**({"symbol": "BTCUSDT", "side": side, "quantity": quantity, "price": price} | words))


def order(check: RiskCheck, status: OrderStatus, *, version: int = 1, filled: str = "0", **words: Any) -> Order:
    given = {
        "order_id": check.order_id or "o",
        "account": check.account,
        "client_order_id": check.order_id or "o",
        "symbol": check.symbol,
        "side": check.side,
        "order_type": check.order_type,
        "quantity": check.quantity,
        "price": check.price,
        "time_in_force": "GTC",
        "venue": "paper",
        "status": status,
        "filled_quantity": filled,
        "version": version,
        "created_ns": NOW_NS,
        "updated_ns": NOW_NS,
    }
    return Order(**(given | words))


def position(order: Order, quantity: str, version: int, **words: Any) -> Position:
    given = {"account": order.account, "symbol": order.symbol, "quantity": D(quantity), "version": version}
    return Position(**(given | words))


def event(
    order: Order,
    *,
    position: tuple[str, int] | Position | None = None,
    cash: tuple[str, int] | None = None,
    **words: Any,
) -> OrderEvent:
    if isinstance(position, tuple):
        quantity, version = position
        position = Position(account=order.account, symbol=order.symbol, quantity=D(quantity), version=version)
    money = cash and Balance(account=order.account, currency="USD", cash=D(cash[0]), version=cash[1])
    return OrderEvent(account=order.account, order=order, position=position, balance=money or None, **words)


class Desk:
    """The gatekeeper, spoken to in the words of the tests."""

    def __init__(self, *, instruments: dict[str, Instrument] | None = None, rates: Any = None, **words: Any) -> None:
        self.market = Market()
        self.market.quote(quote())
        self.market.quote(quote("AAPL"))
        world = World(instruments or INSTRUMENTS, words.pop("accounts", ACCOUNTS), Rates(rates=rates or {}))
        self.keeper = Gatekeeper(settings(**words), world, self.market)
        self.told = 0

    @property
    def controls(self):
        return self.keeper.controls

    def judge(self, *args: Any, now_ns: int = NOW_NS, **words: Any) -> Judgement:
        return self.keeper.judge(check(*args, **words), now_ns)

    def findings(self, *args: Any, **words: Any) -> dict[str, RuleResult]:
        """The last finding of each code."""
        return {rule.code: rule for rule in self.judge(*args, **words).rules}

    def reserve(self, order_id: str, *args: Any, now_ns: int = NOW_NS, **words: Any) -> Judgement:
        wanted = check(*args, order_id=order_id, reserve=True, **words)
        verdict = self.keeper.judge(wanted, now_ns)
        return self.keeper.reserve(wanted, verdict, now_ns, "life") if verdict.approved else verdict

    def hear(self, event: OrderEvent, now_ns: int = NOW_NS) -> bool:
        return self.keeper.follower.hear(event, now_ns)

    def kill(self, scope: str) -> None:
        self.controls.gates.kills.set(Kill(scope=scope, reason="drill", actor="ann"), NOW_NS)

    def holds(self, quantity: str, symbol: str = "BTCUSDT", account: str = "default", **words: Any) -> None:
        """Say that the account holds this much; with a `strategy`, that it is that strategy's."""
        self.told += 1
        strategy = words.pop("strategy", None)
        done = order(
            check(symbol=symbol, account=account, order_id=f"past-{self.told}"), OrderStatus.FILLED, filled="1"
        )
        held = position(done, quantity, self.told, **words)
        share = held.model_copy(update={"strategy": strategy}) if strategy else None
        self.hear(event(done, position=held, strategy_position=share))

    def cash(self, cash: str, account: str = "default") -> None:
        self.told += 1
        done = order(check(order_id=f"past-{self.told}", account=account), OrderStatus.FILLED, filled="1")
        self.hear(event(done, cash=(cash, self.told)))


@pytest.fixture
def desk() -> Desk:
    return Desk()
