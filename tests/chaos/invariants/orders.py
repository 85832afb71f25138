"""Orders: none acknowledged is lost (I1), none doubled (I2), none moves as it may not (I9), the venue agrees (I10)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tests.chaos.evidence import Asked, Evidence, Violation, Words, digest

OVER = {"DENIED", "FILLED", "CANCELED", "REJECTED", "EXPIRED"}
RESTS = {"WORKING", "PARTIALLY_FILLED"}


def found(invariant: str, what: str, rows: Iterable[Any]) -> list[Violation]:
    """One violation with all its rows, or none."""
    kept = tuple(rows)
    return [Violation(invariant, what, kept)] if kept else []


def i1_nothing_acknowledged_is_lost(evidence: Evidence) -> list[Violation]:
    """Every order that was answered for is stored, with the terms that were sent, under the id that was told."""
    by_client = {(order["account"], order["client_order_id"]): order for order in evidence.orders.values()}
    lost: list[Asked] = []
    other: list[tuple[Words, Words]] = []
    for asked in evidence.asked:
        if not asked.acknowledged and asked.denial is None:
            continue
        order = by_client.get((asked.account, asked.client_order_id))
        if order is None:
            lost.append(asked)
        elif digest(_as_sent(order, evidence)) != asked.digest or not _told(asked) <= {order["order_id"]}:
            other.append((asked.row, order))
    kept_on = [
        evidence.orders[order_id]
        for asked in evidence.asked
        if asked.cancel_acknowledged
        for order_id in _told(asked)
        if order_id in evidence.orders and evidence.orders[order_id]["status"] not in OVER
    ]
    return [
        *found("I1", "answered for and not stored", lost),
        *found("I1", "answered for and stored with other terms or another id", other),
        *found("I1", "an acknowledged cancel had no effect", kept_on),
    ]


def _told(asked: Asked) -> set[str]:
    return {answer["order_id"] for answer in asked.answers if "order_id" in answer}


def _as_sent(order: Words, evidence: Evidence) -> Words:
    """The order's terms as first committed: a replacement changes them later."""
    events = evidence.events.get(order["order_id"])
    return events[0]["order"] if events else order


def i2_one_venue_order_for_each(evidence: Evidence) -> list[Violation]:
    """At most one order at the venue for one client order id, and none that was never ordered."""
    client = {order_id: (o["account"], o["client_order_id"]) for order_id, o in evidence.orders.items()}
    of: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    strangers: list[Any] = []
    for order_id, there in evidence.venue.items():
        if there.client_order_id:
            of[there.account, there.client_order_id].append(order_id)
        elif order_id in client:
            of[client[order_id]].append(order_id)
        else:
            strangers.append(there)
    doubled = [{"client": pair, "at_venue": ids} for pair, ids in of.items() if len(ids) > 1]
    stored = Counter(client.values())
    twice = [{"client": pair, "orders": count} for pair, count in stored.items() if count > 1]
    return [
        *found("I2", "several venue orders for one client order id", doubled),
        *found("I2", "several orders for one client order id", twice),
        *found("I2", "the venue has an order that was never committed here", strangers),
    ]


RANK = {"NEW": 0, "PENDING_RISK": 1, "ACCEPTED": 2, "ROUTED": 3}
"""Nobody comes back to these from further on."""


def i9_only_legal_moves(evidence: Evidence) -> list[Violation]:
    """Versions count from 1 without a gap, what is filled never shrinks, and what is over stays over."""
    wrong: list[Words] = []
    for order_id, events in evidence.events.items():
        orders = [event["order"] for event in events]
        why = _counted(orders) or next(filter(None, map(_moved, orders, orders[1:])), "")
        if not why and evidence.orders.get(order_id, {}).get("version") != len(orders):
            why = "the stored order is not its latest event"
        if why:
            wrong.append({"order_id": order_id, "why": why, "moves": [_move(order) for order in orders]})
    missing = [{"order_id": order_id} for order_id in evidence.orders if not evidence.events.get(order_id)]
    return [*found("I9", "an order moved as it may not", wrong), *found("I9", "an order without events", missing)]


def _counted(orders: list[Words]) -> str:
    versions = [order["version"] for order in orders]
    return "" if versions == list(range(1, len(orders) + 1)) else "its versions do not count from 1"


def _moved(before: Words, after: Words) -> str:
    old, new = before["status"], after["status"]
    filled, fills = Decimal(before["filled_quantity"]), Decimal(after["filled_quantity"])
    if fills < filled:
        return "what was filled shrank"
    if fills > Decimal(after["quantity"]):
        return "more was filled than ordered"
    if old in ("DENIED", "FILLED") and new != old:
        return f"{old} became {new}"
    if old in OVER and new != old and not (fills > filled or (old, new) == ("REJECTED", "CANCELED")):
        return f"{old} became {new} without a fill"
    if RANK.get(new, 9) < RANK.get(old, 9):
        return f"{old} became {new} again"
    return ""


def _move(order: Words) -> Words:
    return {name: order[name] for name in ("version", "status", "filled_quantity", "reason")}


def i10_the_venue_agrees(evidence: Evidence) -> list[Violation]:
    """At rest: open here is open there and nothing else, with the same fills; over here is over there."""
    wrong = [
        {"why": why, "order": order, "venue": vars(there) if (there := evidence.venue.get(order_id)) else None}
        for order_id, order in evidence.orders.items()
        if (why := _disagrees(order, evidence))
    ]
    listed = [order_id for order_id in evidence.orders if evidence.orders[order_id]["status"] not in OVER]
    astray = [{"order_id": order_id} for order_id in set(listed) ^ evidence.open]
    return [
        *found("I10", "the venue and the books disagree", wrong),
        *found("I10", "the set of open orders is not the open orders", astray),
    ]


def _disagrees(order: Words, evidence: Evidence) -> str:
    there, status = evidence.venue.get(order["order_id"]), order["status"]
    if waits_here(order) or (there is None and _never_left(order, evidence)):
        return "" if there is None else "the venue has what never left"
    if there is None:
        refused = evidence.venue_forgets and status == "REJECTED" and not Decimal(order["filled_quantity"])
        return "" if refused else "the venue does not know it"
    if there.cumulative != Decimal(order["filled_quantity"]):
        return "other fills"
    if status not in OVER | RESTS:
        return "not at rest"
    return "" if there.is_open == (status in RESTS) else "open on one side only"


def waits_here(order: Words) -> bool:
    """A stop, an exit or an order over a soft limit, which no venue knows yet."""
    stopped = order["order_type"] in ("STOP", "STOP_LIMIT", "TRAILING_STOP")
    return order["status"] in ("NEW", "PENDING_RISK") or (stopped and order["status"] == "ACCEPTED")


def _never_left(order: Words, evidence: Evidence) -> bool:
    """Denied, or over without a venue having been told."""
    statuses = [event["order"] for event in evidence.events.get(order["order_id"], [])]
    return order["status"] in OVER and all(one["status"] in OVER or waits_here(one) for one in statuses)
