"""What becomes of an order at the paper venue: each change of it carries the report that tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from shared.contract.orders import CancelOrder, OrderStatus, Report, RouteOrder, VenueFill
from shared.contract.venue import VenueOrder

VENUE = "paper"
FEE_STEP = Decimal("1e-8")
ZERO = Decimal(0)


@dataclass(frozen=True)
class Terms:
    """What the venue charges, and how long it keeps a market order waiting."""

    maker_fee_fraction: Decimal = Decimal("0.0002")
    taker_fee_fraction: Decimal = Decimal("0.0005")
    market_wait_ns: int = 5_000_000_000


def arrive(route: RouteOrder, arrival: int, at_ns: int) -> VenueOrder:
    """The order before anything was said of it: its report carries sequence 0 and is never sent."""
    report = Report(
        account=route.account,
        order_id=route.order_id,
        venue=route.venue,
        sequence=0,
        status=OrderStatus.NEW,
        cumulative_quantity=ZERO,
        event_ns=at_ns,
    )
    return VenueOrder(
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


def become(order: VenueOrder, status: OrderStatus, at_ns: int, reason: str = "") -> VenueOrder:
    """The order in another state, without a fill."""
    update = {"sequence": order.report.sequence + 1, "status": status, "fill": None, "reason": reason}
    return order.model_copy(update={"report": order.report.model_copy(update=update | {"event_ns": at_ns})})


def fill(order: VenueOrder, quantity: Decimal, price: Decimal, at_ns: int, *, fee: Decimal, maker: bool) -> VenueOrder:
    """The order after one more fill; its id is the order's with a number, and so unique for ever."""
    number = order.fills + 1
    cumulative = order.report.cumulative_quantity + quantity
    assert ZERO < quantity <= order.leaves, "a fill is never more than what is left"
    whole = cumulative == order.order.quantity
    report = Report(
        account=order.account,
        order_id=order.order_id,
        venue=order.report.venue,
        sequence=order.report.sequence + 1,
        status=OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED,
        cumulative_quantity=cumulative,
        fill=VenueFill(
            execution_id=f"{order.order_id}-{number}",
            price=price,
            quantity=quantity,
            fee=fee.quantize(FEE_STEP),
            event_ns=at_ns,
            maker=maker,
        ),
        event_ns=at_ns,
    )
    return order.model_copy(update={"report": report, "fills": number, "since_ns": at_ns})
