"""What becomes of an order: its first commit, its end, and the folding of a venue's reports."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from shared.contract.errors import Conflict
from shared.contract.orders import (
    STOPPED,
    CancelOrder,
    Command,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    Replacement,
    ReplaceOrder,
    Report,
    RouteOrder,
    TimeInForce,
)
from shared.contract.risk import Verdict
from shared.domain.ledger import average_fill_price
from shared.domain.lifecycle import OPEN, TERMINAL, may

ON_REQUEST = "cancelled on request"
DAY_IS_OVER = "its day is over"
TIME_IS_OVER = "its time is over"
SILENCE = "the venue has not answered"
OVER_THERE = "it is over at the venue"
SIBLING_THERE = "its stop was reached; it waits for its sibling's end"

WAITING = frozenset({OrderStatus.NEW, OrderStatus.PENDING_RISK})
"""Not let through by risk yet."""

UNFILLED = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED})
"""How a venue ends an order that was not filled whole."""


def untold(order: Order) -> bool:
    """Whether no venue has ever been told of it; a stop is ACCEPTED until it goes out."""
    return order.status in WAITING or (order.status is OrderStatus.ACCEPTED and order.order_type in STOPPED)


def queued(order: Order) -> bool:
    """Whether it is a stop that was reached and waits here for its sibling's end."""
    return order.status is OrderStatus.ACCEPTED and order.order_type in STOPPED and not order.held


def may_fill(order: Order) -> bool:
    """Whether a venue may fill it yet, or has, and the word of that is still on its way."""
    return order.status not in TERMINAL and not untold(order)


def outcome(verdict: Verdict) -> tuple[OrderStatus, str]:
    """What becomes of an order by risk's word, and why: it is let through, waits for a second person, or is denied."""
    if verdict.approved:
        return OrderStatus.ACCEPTED, ""
    status = OrderStatus.PENDING_RISK if verdict.pending else OrderStatus.DENIED
    return status, f"{verdict.code}: {verdict.reason}"


# What the venue is told.


def route(order: Order) -> RouteOrder:
    """The order as the venue gets it: a stop that was triggered is a MARKET or a LIMIT order."""
    order_type, price = order.order_type, order.price
    if order_type is OrderType.STOP_LIMIT:
        order_type = OrderType.LIMIT
    elif order_type is not OrderType.LIMIT:
        order_type, price = OrderType.MARKET, None
    return RouteOrder.made(
        account=order.account,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        order_type=order_type,
        quantity=order.quantity,
        price=price,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        venue=order.venue,
        strategy=order.strategy,
    )


def cancel_of(order: Order) -> CancelOrder:
    return CancelOrder(account=order.account, order_id=order.order_id, venue=order.venue)


def replace_of(order: Order) -> ReplaceOrder:
    wanted = order.replacing
    assert wanted is not None, "new terms are on their way"
    return ReplaceOrder(
        account=order.account,
        order_id=order.order_id,
        venue=order.venue,
        number=wanted.number,
        price=wanted.price,
        quantity=wanted.quantity,
    )


def owed_words(order: Order) -> list[Command]:
    """What the venue is told again of an order it has not spoken of. It knows all of it by its ids."""
    if order.leaving or order.status is OrderStatus.PENDING_CANCEL:
        return [cancel_of(order)]
    known = order.status in (OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED)
    words: list[Command] = [] if known else [route(order)]
    return [*words, replace_of(order)] if order.replacing else words


# Its end.


def ask_to_cancel(order: Order, *, at_ns: int, why: str = ON_REQUEST) -> Order:
    """The order once its cancel is on the way, or over if no venue was ever told; unchanged when asked already.

    What became of an order in doubt stays unknown: asking for its end proves nothing.
    """
    if order.status in TERMINAL:
        raise Conflict("ORDER_IS_OVER", f"order {order.order_id} is {order.status}; nothing is left to cancel")
    if order.external:
        raise Conflict(
            "ORDER_IS_EXTERNAL", f"order {order.order_id} was sent by other hands; cancel it at {order.venue}"
        )
    if order.status is OrderStatus.PENDING_CANCEL:
        return order
    if untold(order):
        over = OrderStatus.EXPIRED if why in (DAY_IS_OVER, TIME_IS_OVER) else OrderStatus.CANCELED
        return moved(order, over, at_ns=at_ns, reason=why)
    if order.status is not OrderStatus.PENDING_UNKNOWN:
        return moved(order, OrderStatus.PENDING_CANCEL, at_ns=at_ns, reason=why, leaving=why)
    return order if order.leaving else moved(order, order.status, at_ns=at_ns, leaving=why)


def out_of_time(order: Order, *, at_ns: int) -> Order:
    """The order at its deadline: nobody let it through in time, or its own time is over."""
    if order.status is OrderStatus.PENDING_RISK and (order.expire_ns is None or at_ns < order.expire_ns):
        reason = f"RISK_NOT_RELEASED: nobody let it through in time ({order.reason})"
        return moved(order, OrderStatus.DENIED, at_ns=at_ns, reason=reason)
    why = DAY_IS_OVER if order.time_in_force is TimeInForce.DAY else TIME_IS_OVER
    return ask_to_cancel(order, at_ns=at_ns, why=why)


def doubt(order: Order, *, at_ns: int) -> Order:
    """The order after the venue was silent for too long: unknown, never a guess."""
    if order.status not in (OrderStatus.ACCEPTED, OrderStatus.ROUTED, OrderStatus.PENDING_CANCEL):
        return order
    return moved(order, OrderStatus.PENDING_UNKNOWN, at_ns=at_ns, reason=SILENCE)


def with_terms(order: Order, wanted: Order, *, at_ns: int) -> Order:
    """The order by new terms: at once while no venue knows of it, else once the venue agrees."""
    if untold(order):
        terms = {field: getattr(wanted, field) for field in ("price", "quantity", "stop_price", "trail")}
        return moved(order, order.status, at_ns=at_ns, **terms)
    number = order.replacements + 1
    replacing = Replacement(number=number, price=wanted.price, quantity=wanted.quantity)
    return moved(order, order.status, at_ns=at_ns, replacing=replacing, replacements=number)


# A stop.


def triggered(order: Order, level: Decimal, reducible: Decimal, *, at_ns: int) -> Order:
    """The stop on its way out, once the market has reached it."""
    assert order.held, "only a stop that waits is triggered"
    return out(order, reducible, at_ns=at_ns, triggered_ns=at_ns, stop_price=level)


def queue(order: Order, level: Decimal, *, at_ns: int) -> Order:
    """The stop once the market has reached it, while a sibling of it may still fill."""
    assert order.held, "only a stop that waits is triggered"
    return moved(order, order.status, at_ns=at_ns, triggered_ns=at_ns, stop_price=level, reason=SIBLING_THERE)


def out(order: Order, reducible: Decimal, *, at_ns: int, **terms: object) -> Order:
    """A stop on its way out; one that only reduces, cut to what is left to reduce."""
    terms["reason"] = ""
    if not order.reduce_only or reducible >= order.quantity:
        return moved(order, OrderStatus.ROUTED, at_ns=at_ns, **terms)
    if reducible <= 0:
        terms["reason"] = "RISK_REDUCE_ONLY: it was reached when nothing was left to reduce"
        return moved(order, OrderStatus.DENIED, at_ns=at_ns, **terms)
    return moved(order, OrderStatus.ROUTED, at_ns=at_ns, quantity=reducible, **terms)


def followed(order: Order, level: Decimal, *, at_ns: int) -> Order:
    """The trailing stop where the market has carried it."""
    return moved(order, order.status, at_ns=at_ns, stop_price=level)


# What the venue says.


def fill_id(report: Report) -> str:
    """Unique for ever: the venue's execution id, under the venue's name."""
    assert report.fill is not None
    return f"{report.venue}:{report.fill.execution_id}"


def fill_of(order: Order, report: Report, *, at_ns: int) -> Fill:
    """The report's fill in our own words."""
    assert report.fill is not None
    return Fill.made(
        fill_id=fill_id(report),
        account=order.account,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        price=report.fill.price,
        quantity=report.fill.quantity,
        fee=report.fill.fee,
        venue=report.venue,
        maker=report.fill.maker,
        fee_asset=report.fill.fee_asset,
        fee_charged=report.fill.fee_charged,
        strategy=order.strategy,
        event_ns=report.fill.event_ns,
        committed_ns=at_ns,
    )


def apply(order: Order, report: Report, fills_known: Collection[str], *, at_ns: int) -> tuple[Order, Fill | None]:
    """The order after a venue's report, and the fill in it unless it was applied before.

    Reports may come twice, late and out of order. A fill counts once, whenever it comes; a status is believed only
    where the state table lets it follow, so an old one changes nothing. The same order means: nothing to commit.
    """
    if untold(order):
        raise LookupError(f"the venue speaks of order {order.order_id}, which it was never told of")
    fill = None
    change: dict[str, Any] = _answered(order, report)
    if report.fill is not None and fill_id(report) not in fills_known:
        fill = fill_of(order, report, at_ns=at_ns)
        change |= _filled(order, fill)
    after = order.altered(**change) if change else order
    change |= _over_there(after, report)
    status = _believed(after, report)
    if status is order.status and not change:
        return order, None
    if status in TERMINAL:
        change["replacing"] = None
        change["reason"] = _last_words(after, status, report)
    elif status is not order.status and order.reason == SILENCE:
        change.setdefault("reason", order.leaving)
    return moved(order, status, at_ns=at_ns, **change), fill


def _over_there(order: Order, report: Report) -> dict[str, Any]:
    """What is remembered when the venue says that an order is over while fills of it are still on their way here."""
    claimed, filled = report.status, report.cumulative_quantity
    if claimed not in UNFILLED or order.status in TERMINAL or filled <= max(order.filled_quantity, order.venue_filled):
        return {}
    if claimed is OrderStatus.REJECTED:
        claimed = OrderStatus.CANCELED
    leaving = order.leaving or report.reason or OVER_THERE
    return {"venue_status": claimed, "venue_filled": filled, "leaving": leaving, "replacing": None}


def _answered(order: Order, report: Report) -> dict[str, Any]:
    """What a report says of the new terms that were on their way, or of terms that nobody here has asked for."""
    wanted = order.replacing
    if wanted is None:
        if report.replaced <= order.replacements or report.quantity is None:
            return {}
        terms = {"price": report.price, "quantity": report.quantity, "replacements": report.replaced}
        return {**terms, "reason": "changed at the venue"}
    if report.replaced >= wanted.number:
        price = wanted.price if report.price is None else report.price
        return {"replacing": None, "reason": "", "price": price, "quantity": report.quantity or wanted.quantity}
    if report.refused >= wanted.number:
        return {"replacing": None, "reason": f"new terms refused: {report.reason or 'the venue gave no reason'}"}
    return {}


def _filled(order: Order, fill: Fill) -> dict[str, Any]:
    filled = order.filled_quantity
    return {
        "filled_quantity": filled + fill.quantity,
        "average_fill_price": average_fill_price(filled, order.average_fill_price, fill.quantity, fill.price),
        "fees": order.fees + fill.fee,
    }


def _last_words(order: Order, status: OrderStatus, report: Report) -> str:
    """Why it is over. What we asked for ourselves, we know better than the venue."""
    if status in (OrderStatus.CANCELED, OrderStatus.EXPIRED) and order.leaving:
        return order.leaving
    return report.reason or ("" if status is OrderStatus.FILLED else order.reason)


def _claimed(order: Order, report: Report) -> OrderStatus:
    """The venue's status, as far as the fills bear it out: until all that it has made are here, they may still fill."""
    claimed = report.status
    if order.venue_status is not None and order.filled_quantity >= order.venue_filled:
        claimed = order.venue_status
    if claimed in UNFILLED and order.status not in TERMINAL and report.cumulative_quantity > order.filled_quantity:
        return OrderStatus.PENDING_CANCEL
    if claimed is OrderStatus.FILLED:
        return OrderStatus.PARTIALLY_FILLED if order.filled_quantity else OrderStatus.WORKING
    return claimed


def _believed(order: Order, report: Report) -> OrderStatus:
    """The status that a report and all fills so far lead to."""
    if order.filled_quantity >= order.quantity:
        return OrderStatus.FILLED
    if order.status is OrderStatus.REJECTED and order.filled_quantity:
        return OrderStatus.CANCELED
    claimed = _claimed(order, report)
    if order.status is OrderStatus.PENDING_CANCEL and claimed in OPEN:
        return OrderStatus.PENDING_CANCEL
    if claimed is OrderStatus.CANCELED and order.leaving in (DAY_IS_OVER, TIME_IS_OVER):
        claimed = OrderStatus.EXPIRED
    if claimed is OrderStatus.WORKING and order.filled_quantity:
        claimed = OrderStatus.PARTIALLY_FILLED
    return claimed if claimed is not order.status and may(order.status, claimed) else order.status


def moved(order: Order, status: OrderStatus, *, at_ns: int, **change: object) -> Order:
    """The order's next version; a move that the state table does not know is a bug."""
    if not may(order.status, status):
        raise AssertionError(f"{order.order_id}: {order.status} may not become {status}")
    change |= {"status": status, "version": order.version + 1, "updated_ns": at_ns}
    return order.altered(**change)
