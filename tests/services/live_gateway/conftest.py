"""A paper venue with one quoted symbol, spoken to in the words of the tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.live_gateway.core.orders import Terms
from services.live_gateway.core.paper import PaperVenue
from shared.contract.market import Instrument, Quote, Tick
from shared.contract.orders import CancelOrder, ReplaceOrder, Report, RouteOrder
from shared.contract.venue import VenueOrder

NOW_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
D = Decimal

INSTRUMENTS = {
    symbol: Instrument(
        symbol=symbol, price_tick=D("0.01"), lot=D("0.001"), quantity_min=D("0.001"), quantity_max=D(1000)
    )
    for symbol in ("BTCUSDT", "ETHUSDT")
}


def route(order_id: str = "a", side: str = "BUY", quantity: str = "5", price: str | None = "100", **words: Any) -> Any:
    given = {
        "account": "default",
        "order_id": order_id,
        "symbol": "BTCUSDT",
        "side": side,
        "order_type": "MARKET" if price is None else "LIMIT",
        "quantity": quantity,
        "price": price,
        "time_in_force": "GTC",
        "venue": "paper",
    }
    return RouteOrder(**(given | words))


def quote(
    bid: str | None = "99", bid_quantity: str = "10", ask: str | None = "101", ask_quantity: str = "10", **words: Any
) -> Quote:
    given = {
        "venue": "sim",
        "symbol": "BTCUSDT",
        "event_ns": NOW_NS,
        "receive_ns": NOW_NS,
        "bid": bid,
        "bid_quantity": bid_quantity if bid else None,
        "ask": ask,
        "ask_quantity": ask_quantity if ask else None,
    }
    return Quote(**(given | words))


def tick(price: str, quantity: str, side: str = "", symbol: str = "BTCUSDT") -> Tick:
    return Tick(
        **{"venue": "sim", "symbol": symbol, "event_ns": NOW_NS, "price": price, "quantity": quantity, "side": side}
    )


Said = tuple[str, str, str, str]


def said(changes: list[VenueOrder]) -> list[Said]:
    """(order, status, filled quantity, price) of each report."""
    return [
        (
            change.order_id,
            change.report.status.value,
            f"{change.report.fill.quantity:f}" if change.report.fill else "",
            f"{change.report.fill.price:f}" if change.report.fill else "",
        )
        for change in changes
    ]


class Desk:
    """The venue at one moment, which the test moves on."""

    def __init__(self) -> None:
        self.venue = PaperVenue(INSTRUMENTS, Terms())
        self.now_ns = NOW_NS

    def submit(self, *args: Any, **words: Any) -> list[Said]:
        return said(self.accept(route(*args, **words)))

    def accept(self, order: RouteOrder) -> list[VenueOrder]:
        """An order that is not known yet, and that nobody has to write down first."""
        changes = self.venue.arrive(order, self.now_ns)
        return changes + self.venue.join(changes, self.now_ns)

    def replace(self, order_id: str, number: int, price: str | None, quantity: str) -> list[Said]:
        wanted = ReplaceOrder(
            account="default", order_id=order_id, number=number, price=D(price) if price else None, quantity=D(quantity)
        )
        return said(self.venue.replace(wanted, self.now_ns))

    def report(self, order_id: str) -> Report:
        order = self.venue.known(order_id)
        assert order is not None
        return order.report

    def cancel(self, order_id: str) -> list[Said]:
        return said(self.venue.cancel(CancelOrder(account="default", order_id=order_id), self.now_ns))

    def quote(self, *args: Any, **words: Any) -> list[Said]:
        return said(self.venue.quote(quote(*args, **words), self.now_ns))

    def trade(self, *args: Any, **words: Any) -> list[Said]:
        return said(self.venue.tick(tick(*args, **words), self.now_ns))

    def queue(self, order_id: str) -> Decimal | None:
        order = self.venue.known(order_id)
        assert order is not None
        return order.queue


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.quote()
    return desk
