"""What becomes of an order at a venue: each change of it carries the report that tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.contract.orders import CancelOrder, OrderStatus, Report, RouteOrder, VenueFill
from shared.contract.venue import PAPER, VenueOrder

VENUE = PAPER
FEE_STEP = Decimal("1e-8")
ZERO = Decimal(0)


@dataclass(frozen=True)
class Terms:
    """What the venue charges, and how long it keeps a market order waiting."""

    maker_fee_fraction: Decimal = Decimal("0.0002")
    taker_fee_fraction: Decimal = Decimal("0.0005")
    market_wait_ns: int = 5_000_000_000


def arrive(route: RouteOrder, arrival: int, at_ns: int, *, venue: str = VENUE, received_ns: int = 0) -> VenueOrder:
    """The order before anything was said of it: its report carries sequence 0 and is never sent."""
    report = Report.made(
        account=route.account,
        order_id=route.order_id,
        venue=venue,
        sequence=0,
        status=OrderStatus.NEW,
        cumulative_quantity=ZERO,
        venue_order_id=f"{venue}-{arrival}" if venue == VENUE else "",
        received_ns=received_ns or at_ns,
        sent_ns=at_ns if venue == VENUE else 0,
        event_ns=at_ns,
    )
    return VenueOrder.made(
        account=route.account, order_id=route.order_id, route=route, report=report, arrival=arrival, since_ns=at_ns
    )


def never_seen(cancel: CancelOrder, arrival: int, at_ns: int) -> VenueOrder:
    """What stands for an order that a cancel came for before the order did."""
    report = Report(
        account=cancel.account,
        order_id=cancel.order_id,
        venue=cancel.venue,
        sequence=1,
        status=OrderStatus.REJECTED,
        cumulative_quantity=ZERO,
        reason="unknown order",
        event_ns=at_ns,
    )
    return VenueOrder(
        account=cancel.account, order_id=cancel.order_id, route=None, report=report, arrival=arrival, since_ns=at_ns
    )


def become(order: VenueOrder, status: OrderStatus, at_ns: int, reason: str = "", **more: Any) -> VenueOrder:
    """The order in another state, without a fill; `more` are other fields of the report."""
    said = {"status": status, "fill": None, "reason": reason, "event_ns": at_ns} | more
    return order.altered(report=order.report.altered(sequence=order.report.sequence + 1, **said))


def fill(order: VenueOrder, quantity: Decimal, price: Decimal, at_ns: int, *, fee: Decimal, maker: bool) -> VenueOrder:
    """The order after one more fill; its id is the order's with a number, and so unique for ever."""
    number = order.fills + 1
    cumulative = order.report.cumulative_quantity + quantity
    assert ZERO < quantity <= order.leaves, "a fill is never more than what is left"
    whole = cumulative == order.order.quantity
    report = order.report.altered(
        sequence=order.report.sequence + 1,
        status=OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED,
        cumulative_quantity=cumulative,
        fill=VenueFill.made(
            execution_id=f"{order.order_id}-{number}",
            price=price,
            quantity=quantity,
            fee=fee.quantize(FEE_STEP),
            event_ns=at_ns,
            maker=maker,
        ),
        reason="",
        event_ns=at_ns,
    )
    return order.altered(report=report, fills=number, since_ns=at_ns)
