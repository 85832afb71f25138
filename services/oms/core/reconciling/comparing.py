"""What differs between our books and a venue's statement, and what would mend it.

A statement is of a moment, and words are always on their way: what was changed here a moment ago proves nothing, and no
difference counts before a second statement shows it, too.

    missing         open here, not there      the venue's last word is asked for; its end is never guessed
    revived         over here, open there     cancelled there
    external        there, unknown here       taken into our books, with its fills
    ended           external, not there now   closed here: two listings without it are the venue's word
    fill            made there, not entered   entered
    filled          another filled quantity   the venue's last word is asked for
    terms           another price, quantity   taken over
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from services.oms.core.order import cancel_of, route, untold
from services.oms.core.reconciling.differences import (
    Adopt,
    Difference,
    Finding,
    Kind,
    Ours,
    Tell,
    external_name,
    fill_id_of,
    id_of,
    is_there,
    unentered,
)
from shared.contract.orders import PRICED, Order, OrderStatus, OrderType, Report
from shared.contract.venue import StatedOrder, StatedTrade, Statement
from shared.domain.lifecycle import TERMINAL

EXTERNAL = "external"
"""The strategy of orders that nobody here has sent."""

GRACE_NS = 2_000_000_000
"""What changed here so shortly before a statement was asked for may not have reached the venue, or not yet us."""

GONE = "the venue lists it no longer"
ZERO = Decimal(0)


def compare(ours: Ours, statement: Statement) -> list[Finding]:
    """Every difference in orders and fills."""
    there = {id_of(statement, stated): stated for stated in statement.orders}
    trades = unentered(ours, statement)
    findings: list[Finding] = []
    for order_id, stated in there.items():
        order = ours.orders.get(order_id)
        if order is None:
            findings.append(_external(ours, statement, order_id, stated, trades.pop(order_id, [])))
        elif order.status in TERMINAL:
            findings += _revived(ours, order)
        else:
            findings += _both(ours, order, stated, trades.get(order_id, []))
    for order_id, some in trades.items():
        order = ours.orders.get(order_id)
        if order is None:
            findings.append(_external(ours, statement, order_id, None, some))
        else:
            findings += _fills(statement, order, some)
    for order_id in ours.orders.keys() - there.keys():
        findings += _missing(ours, statement, ours.orders[order_id])
    return findings


def _settled(ours: Ours, order: Order) -> bool:
    return order.updated_ns < ours.asked_ns - GRACE_NS


def _missing(ours: Ours, statement: Statement, order: Order) -> Iterator[Finding]:
    if not is_there(order) or not _settled(ours, order):
        return
    if order.external:
        end = _report(statement, order, status=OrderStatus.CANCELED, reason=GONE)
        yield Finding(_of(Kind.ENDED, order, order.status, "not listed", "closed"), (Tell(end),))
        return
    yield Finding(_of(Kind.MISSING, order, order.status, "not listed", "asked for"), (_ask(order),))


def _revived(ours: Ours, order: Order) -> Iterator[Finding]:
    """It fills nothing that we count on: it is ended there, unless other hands sent it."""
    if not _settled(ours, order):
        return
    steps = () if order.external else (Tell(cancel_of(order)),)
    yield Finding(_of(Kind.REVIVED, order, order.status, "open", "cancelled there" if steps else ""), steps)


def _both(ours: Ours, order: Order, stated: StatedOrder, trades: Sequence[StatedTrade]) -> Iterator[Finding]:
    """An order open here and there; what is not entered yet of its trades is counted as if it were."""
    if untold(order) or not _settled(ours, order) or order.leaving:
        return
    filled = order.filled_quantity + _sum(trades)
    left = stated.quantity - stated.cumulative_quantity
    whole = filled + left if order.external else stated.quantity
    if not order.external and filled != stated.cumulative_quantity:
        theirs = f"{stated.cumulative_quantity:f} filled"
        difference = _of(Kind.FILLED, order, f"{filled:f} filled", theirs, "asked for")
        yield Finding(difference, (_ask(order),))
    elif order.replacing is None and (whole, stated.price) != (order.quantity, _price(order)):
        terms = Report(
            account=order.account,
            order_id=order.order_id,
            venue=order.venue,
            sequence=0,
            status=OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.WORKING,
            cumulative_quantity=order.filled_quantity,
            replaced=order.replacements + 1,
            price=stated.price,
            quantity=whole,
            venue_order_id=stated.venue_order_id,
            event_ns=ours.asked_ns,
        )
        ours_say, theirs_say = _terms(order.quantity, order.price), _terms(whole, stated.price)
        yield Finding(_of(Kind.TERMS, order, ours_say, theirs_say, "taken over"), (Tell(terms),))


def _fills(statement: Statement, order: Order, trades: Iterable[StatedTrade]) -> Iterator[Finding]:
    for trade, report in _reports(statement, order, trades):
        difference = Difference(
            kind=Kind.FILL,
            about=fill_id_of(statement, trade),
            ours=f"not entered for {order.order_id}",
            theirs=f"{trade.fill.quantity:f} at {trade.fill.price:f}",
            mending="entered",
        )
        yield Finding(difference, (Tell(report),))


def _external(
    ours: Ours, statement: Statement, order_id: str, stated: StatedOrder | None, trades: Sequence[StatedTrade]
) -> Finding:
    one = stated or trades[0]
    left = stated.quantity - stated.cumulative_quantity if stated else ZERO
    what = f"{one.side} {one.symbol}, {left:f} open, {_sum(trades):f} filled that is not entered"
    listed = one.symbol in ours.symbols and left + _sum(trades) > 0
    difference = Difference(
        kind=Kind.EXTERNAL,
        about=order_id,
        ours="unknown",
        theirs=what,
        mending="taken into the books" if listed else "",
    )
    if not listed:
        return Finding(difference)
    order = _adopted(statement, order_id, one, left + _sum(trades), ours.asked_ns)
    reports = [Tell(report) for _, report in _reports(statement, order, trades)]
    return Finding(difference, (Adopt(order), *reports))


def _adopted(
    statement: Statement, order_id: str, one: StatedOrder | StatedTrade, quantity: Decimal, at_ns: int
) -> Order:
    """The order of other hands as ours: for what is left of it and what is not entered yet. What it filled before it
    was first seen is not of our books.
    """
    resting = isinstance(one, StatedOrder)
    return Order(
        order_id=order_id,
        account=statement.account,
        client_order_id=external_name(statement.venue, one.symbol, one.venue_order_id),
        symbol=one.symbol,
        side=one.side,
        order_type=one.order_type if resting else OrderType.MARKET,
        quantity=quantity,
        price=one.price if resting else None,
        venue=statement.venue,
        strategy=EXTERNAL,
        metadata={"venue_order_id": one.venue_order_id},
        status=OrderStatus.WORKING,
        reason="found at the venue",
        created_ns=at_ns,
        updated_ns=at_ns,
    )


# Words.


def _reports(statement: Statement, order: Order, trades: Iterable[StatedTrade]) -> Iterator[tuple[StatedTrade, Report]]:
    filled = order.filled_quantity
    for trade in sorted(trades, key=lambda trade: trade.fill.event_ns):
        filled += trade.fill.quantity
        report = _report(statement, order, status=OrderStatus.PARTIALLY_FILLED, cumulative=filled)
        own = {"fill": trade.fill, "event_ns": trade.fill.event_ns, "venue_order_id": trade.venue_order_id}
        yield trade, report.altered(**(own | {"venue": trade.venue or statement.venue}))


def _report(
    statement: Statement, order: Order, *, status: OrderStatus, cumulative: Decimal | None = None, reason: str = ""
) -> Report:
    return Report(
        account=order.account,
        order_id=order.order_id,
        venue=statement.venue,
        sequence=0,
        status=status,
        cumulative_quantity=order.filled_quantity if cumulative is None else cumulative,
        reason=reason,
        event_ns=statement.at_ns,
    )


def _ask(order: Order) -> Tell:
    """What makes the venue repeat all that it has said of the order; it knows it by its id."""
    ending = order.leaving or order.status is OrderStatus.PENDING_CANCEL
    return Tell(cancel_of(order) if ending else route(order))


def _of(kind: Kind, order: Order, ours: str, theirs: str, mending: str) -> Difference:
    mark = f"{order.version} {theirs}"
    return Difference(kind=kind, about=order.order_id, mark=mark, ours=ours, theirs=theirs, mending=mending)


def _price(order: Order) -> Decimal | None:
    """The limit at which the venue has it."""
    return order.price if order.order_type in PRICED else None


def _terms(quantity: Decimal, price: Decimal | None) -> str:
    return f"{quantity:f}" if price is None else f"{quantity:f} at {price:f}"


def _sum(trades: Iterable[StatedTrade]) -> Decimal:
    return sum((trade.fill.quantity for trade in trades), ZERO)
