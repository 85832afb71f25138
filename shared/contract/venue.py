"""An order as the paper venue remembers it."""

from __future__ import annotations

from decimal import Decimal

from shared.contract.base import Account, Amount, Message, Nanos
from shared.contract.orders import OrderStatus, OrderType, Report, RouteOrder, Side


class VenueOrder(Message):
    """One order at the venue. `report` is the latest said of it.

    `route` is None when a cancel came for an order that was never seen: should the order arrive yet, it is over.
    `queue` is how much of the market's own volume stands before it at its price; None while its price has not been the
    best. `arrival` orders by time, and no two are alike. `since_ns` is when it arrived or last filled.
    """

    account: Account
    order_id: str
    route: RouteOrder | None
    report: Report
    fills: int = 0
    queue: Amount | None = None
    arrival: Nanos
    since_ns: Nanos

    @property
    def is_open(self) -> bool:
        return self.report.status in (OrderStatus.NEW, OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED)

    @property
    def order(self) -> RouteOrder:
        assert self.route is not None, "an order that never arrived is not matched"
        return self.route

    @property
    def price(self) -> Decimal:
        assert self.order.price is not None, "only limit orders rest"
        return self.order.price

    @property
    def leaves(self) -> Decimal:
        return self.order.quantity - self.report.cumulative_quantity

    @property
    def is_market(self) -> bool:
        return self.order.order_type is OrderType.MARKET

    @property
    def is_buy(self) -> bool:
        return self.order.side is Side.BUY
