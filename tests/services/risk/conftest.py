"""A gatekeeper over one account, two symbols and a quoted market."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.gatekeeper import Gatekeeper
from services.risk.core.market import Market
from services.risk.settings import AccountLimits, Settings
from shared.contract.accounts import Balance, Position
from shared.contract.market import Instrument, Quote
from shared.contract.orders import Order, OrderEvent, OrderStatus
from shared.contract.risk import Limits, RiskCheck, Verdict

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
LIMITS = Limits(
    order_quantity_max=D(10), order_notional_max=D(2_000), long_quantity_max=D(20), short_quantity_max=D(15)
)
ACCOUNTS = {"default": {"currency": "USD", "opening_cash": "10000"}}


def settings(**words: Any) -> Settings:
    limits = AccountLimits(symbols={"BTCUSDT": LIMITS, "AAPL": LIMITS})
    return Settings(**({"accounts": {"default": limits}} | words))


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


def event(order: Order, *, position: tuple[str, int] | None = None, cash: tuple[str, int] | None = None) -> OrderEvent:
    held = position and Position(
        account=order.account, symbol=order.symbol, quantity=D(position[0]), version=position[1]
    )
    money = cash and Balance(account=order.account, currency="USD", cash=D(cash[0]), version=cash[1])
    return OrderEvent(account=order.account, order=order, position=held or None, balance=money or None)


class Desk:
    """The gatekeeper, spoken to in the words of the tests."""

    def __init__(self, **words: Any) -> None:
        self.market = Market()
        self.market.quote(quote())
        self.market.quote(quote("AAPL"))
        self.keeper = Gatekeeper(settings(**words), INSTRUMENTS, ACCOUNTS, self.market)
        self.positions = 0

    def judge(self, *args: Any, now_ns: int = NOW_NS, **words: Any) -> Verdict:
        return self.keeper.judge(check(*args, **words), now_ns)

    def reserve(self, order_id: str, *args: Any, now_ns: int = NOW_NS, **words: Any) -> Verdict:
        wanted = check(*args, order_id=order_id, reserve=True, **words)
        verdict = self.keeper.judge(wanted, now_ns)
        return self.keeper.reserve(wanted, verdict, now_ns)[1] if verdict.approved else verdict

    def holds(self, quantity: str, symbol: str = "BTCUSDT", account: str = "default") -> None:
        """Say that the account holds this much."""
        self.positions += 1
        done = order(check(symbol=symbol, account=account, order_id="past"), OrderStatus.FILLED, filled="1")
        self.keeper.hear(event(done, position=(quantity, self.positions)))

    def cash(self, cash: str) -> None:
        self.positions += 1
        done = order(check(order_id="past"), OrderStatus.FILLED, filled="1")
        self.keeper.hear(event(done, cash=(cash, self.positions)))


@pytest.fixture
def desk() -> Desk:
    return Desk()
