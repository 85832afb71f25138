"""Groups: exits never close more than their entry opened (I6), and siblings end together, each of them once (I9)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from tests.chaos.evidence import Evidence, Violation, Words
from tests.chaos.invariants.orders import OVER, RESTS, STOPPED, found, waits_here

ZERO = Decimal(0)


def i6_exits_close_no_more_than_was_opened(evidence: Evidence) -> list[Violation]:
    """At every moment of the journal, and by the venue's record: of a pair, no more than was to be filled."""
    groups = {name: orders for name, orders in evidence.groups().items() if alone_at_the_venue(orders)}
    group_of = {order["order_id"]: (name, order["role"]) for name, orders in groups.items() for order in orders}
    told = [event for events in evidence.of_account().values() for event in events]
    ours = [(e["fill"]["order_id"], Decimal(e["fill"]["quantity"])) for e in told if e.get("fill")]
    # What filled an entry comes first, where the venue's clock is too coarse to tell.
    at_venue = sorted(
        evidence.executions, key=lambda one: (one.event_ns, group_of.get(one.order_id, ("", ""))[1] != "ENTRY")
    )
    theirs = [(one.order_id, one.quantity) for one in at_venue]
    return [
        *found("I6", "the exits closed more than was opened", _exceeding(ours, groups, group_of)),
        *found("I6", "the exits closed more than was opened, by the venue", _exceeding(theirs, groups, group_of)),
    ]


def _exceeding(
    fills: Iterable[tuple[str, Decimal]], groups: dict[str, list[Words]], group_of: dict[str, tuple[str, str]]
) -> list[Words]:
    whole = {name: ZERO if _entry(orders) else _pair(orders) for name, orders in groups.items()}
    closed: defaultdict[str, Decimal] = defaultdict(Decimal)
    wrong: list[Words] = []
    for order_id, quantity in fills:
        name, role = group_of.get(order_id, ("", ""))
        if role == "ENTRY":
            whole[name] += quantity
        elif name:
            closed[name] += quantity
            if closed[name] > whole[name]:
                wrong.append({"group": name, "by": order_id, "closed": closed[name], "of": whole[name]})
    return wrong


def i9_siblings_end_together(evidence: Evidence) -> list[Violation]:
    """At rest: with nothing left to close no sibling stands, no open one is larger than what is left, and whatever
    ended did so once, asked for once."""
    groups = evidence.groups()
    standing = [row for name, orders in groups.items() for row in _standing(name, orders)]
    again = [
        {"group": name, "order_id": order["order_id"], "moves": [event["order"]["status"] for event in events]}
        for name, orders in groups.items()
        for order in orders
        if _ends(events := evidence.events.get(order["order_id"], [])) > 1
    ]
    return [
        *found("I9", "a sibling stands that should not, or for more than is left", standing),
        *found("I9", "a sibling was ended more than once", again),
    ]


def _standing(name: str, orders: Sequence[Words]) -> list[Words]:
    entry, peers = _entry(orders), [order for order in orders if order["role"] != "ENTRY"]
    whole = Decimal(entry["filled_quantity"]) if entry else _pair(orders)
    left = whole - sum((Decimal(order["filled_quantity"]) for order in peers), ZERO)
    entered = entry is not None and entry["status"] not in OVER
    if left > 0:
        wrong = [order for order in peers if _works(order) and _leaves(order) > left]
    elif whole <= 0 and entered:
        wrong = [order for order in peers if order["status"] in RESTS]
    else:
        wrong = [order for order in orders if order["status"] not in OVER]
    return [{"group": name, "left": left, "order": order} for order in wrong]


def _works(order: Words) -> bool:
    """Whether it may fill, or will once its stop is reached."""
    return order["status"] in RESTS or (waits_here(order) and order["status"] == "ACCEPTED")


def _ends(events: Sequence[Words]) -> int:
    """How often it came to an end, or was asked to; a late fill is no other end."""
    orders = [event["order"] for event in events]
    over = [order["status"] in OVER for order in orders]
    asked = [bool(order.get("leaving")) for order in orders]
    return max(_rises(over), _rises(asked))


def _rises(flags: Sequence[bool]) -> int:
    return sum(now and not then for then, now in zip((False, *flags), flags, strict=False))


def alone_at_the_venue(orders: Sequence[Words]) -> bool:
    """Whether no two of its exits or legs are ever at the venue together: all but one of them are stops."""
    return sum(order["order_type"] not in STOPPED for order in orders if order["role"] != "ENTRY") <= 1


def _entry(orders: Sequence[Words]) -> Words | None:
    return next((order for order in orders if order["role"] == "ENTRY"), None)


def _pair(orders: Sequence[Words]) -> Decimal:
    """What the legs of a pair may fill together."""
    return max(Decimal(order.get("pair_quantity") or order["quantity"]) for order in orders)


def _leaves(order: Words) -> Decimal:
    return Decimal(order["quantity"]) - Decimal(order["filled_quantity"])
