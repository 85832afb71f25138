"""What becomes of an order: identity, admission, and the folding of a venue's reports."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from shared.contract.errors import Conflict, Refused
from shared.contract.orders import CancelOrder, Fill, Order, OrderStatus, Report, RouteOrder, SubmitOrder, TimeInForce
from shared.contract.risk import RiskCheck, Verdict
from shared.domain.identity import order_id
from shared.domain.ledger import average_fill_price
from shared.domain.lifecycle import OPEN, TERMINAL, may

INTENT = ("symbol", "side", "order_type", "quantity", "price", "time_in_force", "venue", "strategy", "metadata")


def named(command: SubmitOrder, header: str | None, *, new_id: str) -> tuple[SubmitOrder, str]:
    """The command under its client order id (its own, the header's, or a new one), and the order id this leads to."""
    given = command.client_order_id
    if header and given and header != given:
        raise Refused(
            "INVALID", "client_order_id and the Idempotency-Key header differ; send one", field="client_order_id"
        )
    client_order_id = given or header or new_id
    named = command.model_copy(update={"client_order_id": client_order_id})
    return named, order_id(command.account, client_order_id)


def to_check(command: SubmitOrder, order_id: str) -> RiskCheck:
    """What risk is asked."""
    return RiskCheck(
        account=command.account,
        order_id=order_id,
        symbol=command.symbol,
        side=command.side,
        order_type=command.order_type,
        quantity=command.quantity,
        price=command.price,
        strategy=command.strategy,
        reserve=True,
    )


def open_order(command: SubmitOrder, verdict: Verdict, *, order_id: str, at_ns: int) -> Order:
    """The order as first committed: ACCEPTED, or DENIED with the reason."""
    assert command.client_order_id is not None
    return Order(
        order_id=order_id,
        account=command.account,
        client_order_id=command.client_order_id,
        status=OrderStatus.ACCEPTED if verdict.approved else OrderStatus.DENIED,
        reason="" if verdict.approved else f"{verdict.code}: {verdict.reason}",
        created_ns=at_ns,
        updated_ns=at_ns,
        **{field: getattr(command, field) for field in INTENT},
    )


def same_intent(command: SubmitOrder, order: Order) -> None:
    """Refuse a known id with other words."""
    changed = [field for field in INTENT if getattr(command, field) != getattr(order, field)]
    if changed:
        raise Conflict(
            "CLIENT_ORDER_ID_REUSED",
            f"client_order_id {order.client_order_id} was used for another order ({', '.join(changed)} differ); "
            "use a new id",
            field="client_order_id",
        )


def denial(order: Order, verdict: Verdict) -> Refused:
    """How a denied order is answered: by the first rule that failed, with all that were looked at."""
    return Refused(verdict.code, verdict.reason, extra={"order_id": order.order_id, "rules": verdict.rules})


def route(order: Order) -> RouteOrder:
    """What the venue is told."""
    fields = set(RouteOrder.model_fields)
    return RouteOrder(**{field: getattr(order, field) for field in fields})


def ask_to_cancel(order: Order, *, at_ns: int) -> Order:
    """The order once its cancel is on the way; unchanged when it already is."""
    if order.status is OrderStatus.PENDING_CANCEL:
        return order
    if order.status in TERMINAL:
        raise Conflict("ORDER_IS_OVER", f"order {order.order_id} is {order.status}; nothing is left to cancel")
    return _moved(order, OrderStatus.PENDING_CANCEL, at_ns=at_ns)


DAY_IS_OVER = "its day is over"
DAY_NS = 86_400_000_000_000


def overdue(orders: Iterable[Order], *, now_ns: int) -> list[Order]:
    """DAY orders of an earlier day than today, UTC, that nobody has asked to cancel yet."""
    return [
        order
        for order in orders
        if order.time_in_force is TimeInForce.DAY
        and order.created_ns // DAY_NS < now_ns // DAY_NS
        and order.status in OPEN - {OrderStatus.PENDING_CANCEL}
    ]


def expire(order: Order, *, at_ns: int) -> Order:
    """The order on its way out because its day is over; once the venue has let it go, it is EXPIRED."""
    return _moved(order, OrderStatus.PENDING_CANCEL, at_ns=at_ns, reason=DAY_IS_OVER)


def cancel_of(order: Order) -> CancelOrder:
    """What the venue is asked."""
    return CancelOrder(account=order.account, order_id=order.order_id, venue=order.venue)


def doubt(order: Order, *, at_ns: int) -> Order:
    """The order after the venue was silent for too long: unknown, never a guess."""
    if order.status is OrderStatus.PENDING_UNKNOWN:
        return order
    return _moved(order, OrderStatus.PENDING_UNKNOWN, at_ns=at_ns, reason="the venue has not answered")


def silent(orders: Iterable[Order], *, now_ns: int, age_s: float) -> list[Order]:
    """Orders whose venue owes a word: routed, doubted or asked to cancel, and unchanged for so long."""
    owed = (OrderStatus.ACCEPTED, OrderStatus.PENDING_UNKNOWN, OrderStatus.PENDING_CANCEL)
    return [order for order in orders if order.status in owed and now_ns - order.updated_ns > age_s * 1e9]


def fill_id(report: Report) -> str:
    """Unique for ever: the venue's execution id, under the venue's name."""
    assert report.fill is not None
    return f"{report.venue}:{report.fill.execution_id}"


def fill_of(order: Order, report: Report, *, at_ns: int) -> Fill:
    """The report's fill in our own words."""
    assert report.fill is not None
    return Fill(
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
        strategy=order.strategy,
        event_ns=report.fill.event_ns,
        committed_ns=at_ns,
    )


def apply(order: Order, report: Report, fills_known: Collection[str], *, at_ns: int) -> tuple[Order, Fill | None]:
    """The order after a venue's report, and the fill in it unless it was applied before.

    Reports may come twice, late and out of order. A fill counts once, whenever it comes; a status is believed only
    where the state table lets it follow, so an old one changes nothing. The same order means: nothing to commit.
    """
    fill = None
    if report.fill is not None and fill_id(report) not in fills_known:
        fill = fill_of(order, report, at_ns=at_ns)
        order = _filled(order, fill)
    status = _believed(order, report)
    if status is order.status and fill is None:
        return order, None
    told = status in TERMINAL and status is not OrderStatus.EXPIRED and report.reason
    reason = report.reason if told else order.reason
    return _moved(order, status, at_ns=at_ns, reason=reason), fill


def _filled(order: Order, fill: Fill) -> Order:
    filled = order.filled_quantity
    return order.model_copy(
        update={
            "filled_quantity": filled + fill.quantity,
            "average_fill_price": average_fill_price(filled, order.average_fill_price, fill.quantity, fill.price),
            "fees": order.fees + fill.fee,
        }
    )


def _believed(order: Order, report: Report) -> OrderStatus:
    """The status that a report and all fills so far lead to."""
    if order.filled_quantity >= order.quantity:
        return OrderStatus.FILLED
    claimed = report.status
    if claimed is OrderStatus.FILLED:
        # Fills the venue has made are still on their way to us; until they are here, they may still fill.
        claimed = OrderStatus.PARTIALLY_FILLED if order.filled_quantity else OrderStatus.WORKING
    if order.status is OrderStatus.PENDING_CANCEL and claimed in OPEN:
        return OrderStatus.PENDING_CANCEL
    if claimed is OrderStatus.CANCELED and order.reason == DAY_IS_OVER:
        claimed = OrderStatus.EXPIRED
    if claimed is OrderStatus.WORKING and order.filled_quantity:
        claimed = OrderStatus.PARTIALLY_FILLED
    return claimed if claimed is not order.status and may(order.status, claimed) else order.status


def _moved(order: Order, status: OrderStatus, *, at_ns: int, reason: str | None = None) -> Order:
    if status is not order.status and not may(order.status, status):
        raise AssertionError(f"{order.order_id}: {order.status} may not become {status}")
    return order.model_copy(
        update={
            "status": status,
            "reason": order.reason if reason is None else reason,
            "version": order.version + 1,
            "updated_ns": at_ns,
        }
    )
