"""Orders: none acknowledged is lost (I1), none doubled (I2), none moves as it may not (I9), the venue agrees (I10)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tests.chaos.evidence import Asked, Evidence, Violation, Words, digest

OVER = {"DENIED", "FILLED", "CANCELED", "REJECTED", "EXPIRED"}
RESTS = {"WORKING", "PARTIALLY_FILLED"}
STOPPED = {"STOP", "STOP_LIMIT", "TRAILING_STOP"}


def found(invariant: str, what: str, rows: Iterable[Any]) -> list[Violation]:
    """One violation with all its rows, or none."""
    kept = tuple(rows)
    return [Violation(invariant, what, kept)] if kept else []


def i1_nothing_acknowledged_is_lost(evidence: Evidence) -> list[Violation]:
    """Every order that was answered for is stored, with the terms that were sent, under the id that was told; what was
    asked of it later and acknowledged is in its history."""
    by_client = {(order["account"], order["client_order_id"]): order for order in evidence.orders.values()}
    lost: list[Asked] = []
    other: list[tuple[Words, Words]] = []
    for asked in evidence.asked:
        if not asked.acknowledged and asked.denial is None:
            continue
        told = asked.told
        for client_order_id, expected in asked.digests.items():
            order = by_client.get((asked.account, client_order_id))
            if order is None:
                lost.append(asked)
            elif digest(_as_sent(order, evidence)) != expected or not told.get(client_order_id, set()) <= {
                order["order_id"]
            }:
                other.append((asked.row, order))
    cancelled = {order_id for asked in evidence.asked for order_id in asked.cancelled}
    kept_on = [order for id in cancelled if (order := evidence.orders.get(id)) and order["status"] not in OVER]
    return [
        *found("I1", "answered for and not stored", lost),
        *found("I1", "answered for and stored with other terms or another id", other),
        *found("I1", "an acknowledged cancel had no effect", kept_on),
        *found("I1", "an acknowledged replacement is not in the order's history", _never_replaced(evidence)),
        *found("I1", "an acknowledged cancel-all left an order of its scope", _left_over(evidence)),
    ]


def _as_sent(order: Words, evidence: Evidence) -> Words:
    """The order's terms as first committed: a replacement changes them later."""
    events = evidence.events.get(order["order_id"])
    return events[0]["order"] if events else order


def _never_replaced(evidence: Evidence) -> list[Words]:
    return [
        {"order_id": wanted.order_id, "wanted": wanted.body}
        for asked in evidence.asked
        for wanted in asked.replaces
        if wanted.answer is not None and not _took(wanted.body, evidence.events.get(wanted.order_id, []))
    ]


def _took(wanted: Words, events: list[Words]) -> bool:
    """Whether the order ever stood by these terms, or had them on their way."""
    known = [terms for event in events for terms in (event["order"], event["order"].get("replacing")) if terms]
    return any(all(_alike(terms.get(field), value) for field, value in wanted.items()) for terms in known)


def _alike(one: Any, other: str) -> bool:
    return one is not None and (one == other or ("%" not in other and Decimal(one) == Decimal(other)))


def _left_over(evidence: Evidence) -> list[Words]:
    """Orders that stand and were acknowledged before a cancel-all of their scope was sent, or that its answer names."""
    standing = {id: order for id, order in evidence.orders.items() if order["status"] not in OVER}
    told_ns = {
        order_id: asked.acknowledged_ns
        for asked in evidence.asked
        for ids in asked.told.values()
        for order_id in ids & standing.keys()
    }
    return [
        {"scope": sweep.scope, "sent_ns": sweep.sent_ns, "order": standing[order_id]}
        for sweep in evidence.sweeps
        for order_id in standing
        if order_id in sweep.told
        or (
            0 < told_ns.get(order_id, 0) < sweep.sent_ns
            and all(standing[order_id].get(field) == name for field, name in sweep.scope.items())
        )
    ]


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
    missing = [{"order_id": order_id} for order_id in evidence.orders if not evidence.events.get(order_id)]
    return [
        *found("I9", "an order moved as it may not", wrong),
        *found("I9", "an order without events", missing),
        *found("I9", "the venue filled more than was ever asked for", _too_much(evidence)),
    ]


def _too_much(evidence: Evidence) -> list[Words]:
    """By the client's journal: the quantity first sent, or of any replacement that was tried; by the venue's record:
    all executions."""
    most: dict[str, Decimal] = {}
    for asked in evidence.asked:
        if "quantity" in asked.body:
            most |= dict.fromkeys(asked.told.get(asked.client_order_id, ()), Decimal(asked.body["quantity"]))
        for wanted in asked.replaces:
            if wanted.order_id in most:
                most[wanted.order_id] = max(most[wanted.order_id], Decimal(wanted.body.get("quantity", 0)))
    filled: defaultdict[str, Decimal] = defaultdict(Decimal)
    for one in evidence.executions:
        filled[one.order_id] += one.quantity
    return [
        {"order_id": order_id, "filled": filled[order_id], "asked_for": limit}
        for order_id, limit in most.items()
        if filled.get(order_id, 0) > limit
    ]


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
    return _of_a_stop(before, after) or _of_new_terms(before, after)


def _of_a_stop(before: Words, after: Words) -> str:
    """It is triggered once, and goes out only then."""
    then, now = before.get("triggered_ns", 0), after.get("triggered_ns", 0)
    if then and now != then:
        return "a stop was triggered again"
    if after["order_type"] in STOPPED and not now and not waits_here(after) and after["status"] not in OVER:
        return "a stop went out that was never reached"
    return ""


def _of_new_terms(before: Words, after: Words) -> str:
    """They are counted, and only one change of them is on its way at a time."""
    then, now = before.get("replacements", 0), after.get("replacements", 0)
    old, new = before.get("replacing"), after.get("replacing")
    if now < then:
        return "its replacements were counted back"
    return "new terms went out while others were on their way" if old and new and old != new else ""


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
        *found("I10", "ended, or out of doubt, without a word of the venue", _unproven(evidence)),
    ]


def _unproven(evidence: Evidence) -> list[Words]:
    """Moves from PENDING_UNKNOWN to anything else, and of what a venue was told of to its end, that no report is
    kept for."""
    return [
        {"was": _move(before["order"]), "became": _move(after["order"]), "order_id": order_id}
        for order_id, events in evidence.events.items()
        for before, after in pairwise(events)
        if _takes_proof(before["order"], after["order"]["status"])
        and (after.get("report") or {}).get("order_id") != order_id
    ]


def _takes_proof(before: Words, status: str) -> bool:
    if before["status"] == "PENDING_UNKNOWN":
        return status != "PENDING_UNKNOWN"
    return status in OVER and status != before["status"] and not waits_here(before)


def _disagrees(order: Words, evidence: Evidence) -> str:
    there, status = evidence.venue.get(order["order_id"]), order["status"]
    if waits_here(order) or (there is None and _never_left(order, evidence)):
        return "" if there is None else "the venue has what never left"
    if there is None:
        refused = evidence.venue_forgets and status == "REJECTED" and not Decimal(order["filled_quantity"])
        return "" if refused else "the venue does not know it"
    if there.cumulative != Decimal(order["filled_quantity"]):
        return "other fills"
    if status not in OVER | RESTS or order.get("replacing"):
        return "not at rest"
    return "" if there.is_open == (status in RESTS) else "open on one side only"


def waits_here(order: Words) -> bool:
    """A stop, an exit or an order over a soft limit, which no venue knows yet."""
    held = order["order_type"] in STOPPED and order["status"] == "ACCEPTED"
    return order["status"] in ("NEW", "PENDING_RISK") or held


def _never_left(order: Words, evidence: Evidence) -> bool:
    """Denied, or over without a venue having been told."""
    statuses = [event["order"] for event in evidence.events.get(order["order_id"], [])]
    return order["status"] in OVER and all(one["status"] in OVER or waits_here(one) for one in statuses)
