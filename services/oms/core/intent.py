"""What clients want: under which name, in which words risk is asked, whether it is news, and which new terms may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from services.oms.core.groups import Group
from shared.contract.errors import Conflict, Refused
from shared.contract.groups import GroupOrders
from shared.contract.market import Instrument
from shared.contract.orders import (
    PRICED,
    Order,
    OrderStatus,
    OrderType,
    ReplaceRequest,
    Role,
    SubmitOrder,
    Terms,
    TimeInForce,
)
from shared.contract.risk import RiskCheck, Verdict

TERMS = tuple(Terms.model_fields)
INTENT = (*(field for field in TERMS if field != "stop_price"), "group", "role")
"""What must be the same when an order is asked for again."""


def named(command: SubmitOrder, header: str | None, *, new_id: Callable[[], str]) -> SubmitOrder:
    """The command under its client order id: its own, the header's, or a new one."""
    given = command.client_order_id
    if header and given and header != given:
        raise Refused(
            "INVALID", "client_order_id and the Idempotency-Key header differ; send one", field="client_order_id"
        )
    return command if given else command.altered(client_order_id=header or new_id())


def on_tick(instrument: Instrument, price: Decimal | None, field: str) -> None:
    """Refused when a price lies between two ticks."""
    if price is not None and price % instrument.price_tick:
        detail = f"{field}: {price:f} is not a multiple of {instrument.symbol}'s tick of {instrument.price_tick:f}"
        raise Refused("INVALID", detail, field=field)


def check_trail(trail: str) -> None:
    """Refused when it trails by the whole price or more."""
    if trail.endswith("%") and Decimal(trail[:-1]) >= 100:
        raise Refused("INVALID", "trail: must be less than 100%", field="trail")


def in_time(order: Order, now_ns: int) -> None:
    """Refused when its time is over before it begins."""
    if order.expire_ns is not None and order.expire_ns <= now_ns:
        raise Refused("INVALID", "expire_at: lies in the past; give a later time", field="expire_at")


def same_intent(draft: Order, order: Order | None) -> Order:
    """The order as it began; Conflict when its id was used with other words."""
    if order is None:
        detail = f"client_order_id {draft.client_order_id} belongs to another order or group; use a new id"
        raise Conflict("CLIENT_ORDER_ID_REUSED", detail, field="client_order_id")
    compared = (*INTENT, "expire_ns") if draft.time_in_force is TimeInForce.GTD else INTENT
    if draft.order_type is not OrderType.TRAILING_STOP:
        compared = (*compared, "stop_price")
    changed = [field for field in compared if getattr(draft, field) != getattr(order, field)]
    if changed:
        raise Conflict(
            "CLIENT_ORDER_ID_REUSED",
            f"client_order_id {order.client_order_id} was used for another order ({', '.join(changed)} differ); "
            "use a new id",
            field="client_order_id",
        )
    return order


def to_check(order: Order, together: Sequence[Order], *, replaces: bool = False) -> RiskCheck:
    """What risk is asked of an order as it stands, or, with `replaces`, as it would stand by its new terms.

    It hears of the group only where no more than the largest of those together can fill.
    """
    netted = order.group is not None and order.role is not Role.ENTRY and Group(together).netted
    return RiskCheck.made(
        account=order.account,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side.value,
        order_type=order.order_type.value,
        quantity=order.quantity,
        filled_quantity=order.filled_quantity,
        price=order.price,
        stop_price=order.stop_price,
        trail=order.trail,
        time_in_force=order.time_in_force.value,
        expire_ns=order.expire_ns,
        reduce_only=order.reduce_only,
        post_only=order.post_only,
        venue=order.venue,
        strategy=order.strategy,
        group=order.group if netted else None,
        replaces=replaces,
        reserve=True,
    )


def denial(order_id: str, verdict: Verdict) -> Refused:
    """How what risk denied is answered: by the first rule that failed, with all that were looked at."""
    return Refused(verdict.code, verdict.reason, extra={"order_id": order_id, "rules": verdict.rules})


def answer(outcomes: list[tuple[Order, Verdict | None]]) -> Order | GroupOrders:
    """What a client is told of what it asked for; a denial is raised."""
    for order, verdict in outcomes:
        if order.status is OrderStatus.DENIED and verdict is not None and not verdict.approved:
            raise denial(order.order_id, verdict)
    orders = tuple(order for order, _ in outcomes)
    return GroupOrders(group=orders[0].group, orders=orders) if orders[0].group else orders[0]


# New terms.


def renewed(order: Order, request: ReplaceRequest, instrument: Instrument) -> Order:
    """The order by its new terms, which nobody has agreed to yet; Refused when it cannot have them."""
    replaceable(order)
    given = {field: getattr(request, field) for field in request.model_fields_set}
    given = {field: value for field, value in given.items() if value is not None}
    for field in given:
        if field == "quantity":
            _check_quantity(order, given[field])
        else:
            _check_field(order, field)
        if field in ("price", "stop_price"):
            on_tick(instrument, given[field], field)
    if "trail" in given:
        check_trail(given["trail"])
        given["stop_price"] = None
    return order.altered(**given)


def replaceable(order: Order) -> None:
    """Conflict while an order cannot get new terms."""
    if order.status is OrderStatus.PENDING_RISK:
        why = "waits for a release, which holds for its very words; cancel it and send a new one"
    elif order.status in (OrderStatus.PENDING_UNKNOWN, OrderStatus.PENDING_CANCEL) or order.leaving:
        why = f"is {order.status}; it takes no new terms"
    elif order.external:
        why = f"was sent by other hands; change it at {order.venue}"
    elif order.replacing is not None:
        why = "has new terms on their way already; wait for the venue's answer"
    else:
        return
    raise Conflict("NOT_REPLACEABLE", f"order {order.order_id} {why}")


def _check_quantity(order: Order, quantity: Decimal) -> None:
    if order.role in (Role.EXIT, Role.LEG):
        detail = f"quantity: an {order.role} is sized by its group; cancel it and send a new one"
        raise Refused("INVALID", detail, field="quantity")
    if quantity <= order.filled_quantity:
        detail = f"quantity: {order.filled_quantity:f} is filled already; give the new whole, which is more than that"
        raise Refused("INVALID", detail, field="quantity")


def _check_field(order: Order, field: str) -> None:
    kinds = {
        "price": PRICED,
        "stop_price": {OrderType.STOP, OrderType.STOP_LIMIT},
        "trail": {OrderType.TRAILING_STOP},
    }
    if order.order_type not in kinds[field]:
        raise Refused("INVALID", f"{field}: a {order.order_type} order has none to replace", field=field)
    if field != "price" and not order.held:
        raise Refused("INVALID", f"{field}: the stop was triggered already; it has none to replace", field=field)
