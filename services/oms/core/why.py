"""Why an order is as it is: everything on record about it, as one document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from services.oms.core.order import queued
from shared.contract.orders import Order, OrderEvent, OrderStatus, Terms
from shared.contract.risk import Release, Verdict

UNTOLD = frozenset({"version", "updated_ns"})
"""These change with every commit."""

KIN = (
    *("order_id", "role", "status", "side", "order_type", "quantity", "filled_quantity", "price", "stop_price"),
    *("version", "reason"),
)
"""What is told of the others of an order's group."""


def explain(
    order: Order,
    events: Sequence[OrderEvent],
    verdict: Verdict | None,
    release: Release | None,
    group: Iterable[Order],
) -> dict[str, Any]:
    """The order's whole story: what was wanted, how it was judged, what happened, and how long each step took."""
    first = events[0].order if events else order
    kin = [one.model_dump(mode="json", include=set(KIN)) for one in group if one.order_id != order.order_id]
    return {
        "order_id": order.order_id,
        "account": order.account,
        "status": order.status,
        "summary": summary(order),
        "intent": _intent(first),
        "verdict": verdict,
        "release": release,
        "commits": _commits(events),
        "venue_messages": [_message(event) for event in events if event.report is not None],
        "fills": [event.fill for event in events if event.fill is not None],
        "replacements": _replacements(events),
        "group": {"id": order.group, "role": order.role, "others": kin} if order.group else None,
        "latency": latency(events, verdict),
        "order": order,
    }


_SUMMARIES = {
    OrderStatus.NEW: "Waits for the entry of its group to fill.",
    OrderStatus.PENDING_RISK: "Waits for a second person to release it: {reason}",
    OrderStatus.DENIED: "Denied by risk, and never sent to the venue: {reason}",
    OrderStatus.ACCEPTED: "Approved by risk and sent to {venue}, which has not spoken of it yet.",
    OrderStatus.ROUTED: "Triggered and sent to {venue}, which has not spoken of it yet.",
    OrderStatus.WORKING: "Stands at {venue} for {leaves} of {quantity}.",
    OrderStatus.PARTIALLY_FILLED: "{filled_quantity} of {quantity} filled; the rest stands at {venue}.",
    OrderStatus.FILLED: "All of {quantity} filled at an average of {average_fill_price}.",
    OrderStatus.PENDING_CANCEL: "{venue} has been asked to cancel what is left of it, {leaves}.",
    OrderStatus.CANCELED: "Cancelled with {filled_quantity} of {quantity} filled: {reason}",
    OrderStatus.REJECTED: "Rejected by {venue}: {reason}",
    OrderStatus.EXPIRED: "Expired with {filled_quantity} of {quantity} filled: {reason}",
    OrderStatus.PENDING_UNKNOWN: "Nobody knows whether it stands at {venue}, which is asked until it answers: {reason}",
}

assert set(_SUMMARIES) == set(OrderStatus), "every status has a sentence"


def summary(order: Order) -> str:
    """Where the order stands, in a sentence."""
    if order.held and order.status is OrderStatus.ACCEPTED:
        stop = order.stop_price or "a price that follows the market"
        return f"Waits here for its stop at {stop}; {order.venue} does not know it."
    if queued(order):
        return f"Its stop was reached; it goes to {order.venue} once nothing can fill its sibling there any more."
    words = {name: "nothing" if value is None else value for name, value in dict(order).items()}
    said = _SUMMARIES[order.status].format_map({**words, "leaves": order.leaves})
    return said.removesuffix(": ")


def _intent(order: Order) -> dict[str, Any]:
    fields = {*Terms.model_fields, "account", "client_order_id", "expire_ns", "group", "role", "created_ns"}
    return order.model_dump(mode="json", include=fields)


def _commits(events: Sequence[OrderEvent]) -> list[dict[str, Any]]:
    commits: list[dict[str, Any]] = []
    before: dict[str, Any] = {}
    for event in events:
        after = event.order.model_dump(mode="json", exclude=set(UNTOLD))
        changed = {
            name: _change(name, before[name], now) for name, now in after.items() if before and before[name] != now
        }
        commits.append(
            {
                "version": event.order.version,
                "status": event.order.status,
                "at_ns": event.order.updated_ns,
                "reason": event.order.reason,
                "changed": changed,
                "fill_id": event.fill.fill_id if event.fill else None,
                "venue_sequence": event.report.sequence if event.report else None,
            }
        )
        before = after
    return commits


def _change(name: str, before: Any, after: Any) -> dict[str, Any]:
    if name.endswith("_ns"):
        return {"from": before and str(before), "to": after and str(after)}
    return {"from": before, "to": after}


def _message(event: OrderEvent) -> dict[str, Any]:
    assert event.report is not None
    words = event.report.model_dump(mode="json", exclude={"account", "order_id"})
    at_ns = event.order.updated_ns
    return {**words, "version": event.order.version, "committed_ns": at_ns}


def _replacements(events: Iterable[OrderEvent]) -> list[dict[str, Any]]:
    """Each that was asked of the venue, and what became of it."""
    asked: dict[int, dict[str, Any]] = {}
    for event in events:
        wanted, report = event.order.replacing, event.report
        if wanted is not None and wanted.number not in asked:
            words = wanted.model_dump(mode="json")
            asked[wanted.number] = {**words, "asked_ns": event.order.updated_ns, "outcome": "PENDING"}
        if report is None:
            continue
        for number, outcome in ((report.replaced, "CONFIRMED"), (report.refused, "REFUSED")):
            if number in asked and asked[number]["outcome"] == "PENDING":
                asked[number] |= {"outcome": outcome, "answered_ns": event.order.updated_ns, "reason": report.reason}
    return list(asked.values())


def latency(events: Sequence[OrderEvent], verdict: Verdict | None) -> dict[str, Any]:
    """How long each hop took on the order's first way to the venue and back, as far as its times are on record.

    A commit carries the time of its decision, so writing it down counts to the hop after it.
    """
    marks = [(what, at_ns) for what, at_ns in _marks(events, verdict) if at_ns]
    hops = [
        {"from": before, "to": after, "us": round((end_ns - start_ns) / 1000, 1)}
        for (before, start_ns), (after, end_ns) in pairwise(marks)
    ]
    return {
        "risk_us": verdict.elapsed_us if verdict else None,
        "marks": [{"what": what, "at_ns": at_ns} for what, at_ns in marks],
        "hops": hops,
        "total_us": round((marks[-1][1] - marks[0][1]) / 1000, 1) if hops else None,
    }


def _marks(events: Sequence[OrderEvent], verdict: Verdict | None) -> list[tuple[str, int]]:
    if not events:
        return []
    first = events[0].order
    asked_ns, judged_ns = _judged(verdict)
    created_ns = first.created_ns
    marks = [("submitted", min(asked_ns or created_ns, created_ns)), ("risk_answered", judged_ns)]
    marks.append(("committed", max(first.updated_ns, judged_ns)))
    sent = next((n for n, event in enumerate(events) if event.report is not None), len(events))
    routed = [event.order for event in events[1:sent] if event.order.status is OrderStatus.ROUTED]
    marks += [("routed", order.updated_ns) for order in routed[:1]]
    return marks + (_way_back(events[sent]) if sent < len(events) else [])


def _judged(verdict: Verdict | None) -> tuple[int, int]:
    """When risk began and when it had judged; 0 when that is not on record."""
    if verdict is None or verdict.reservation is None:
        return 0, 0
    judged_ns = verdict.reservation.reserved_ns
    return judged_ns - verdict.elapsed_us * 1000, judged_ns


def _way_back(event: OrderEvent) -> list[tuple[str, int]]:
    report = event.report
    assert report is not None
    committed_ns = event.order.updated_ns
    marks = [("gateway_received", report.received_ns), ("gateway_sent", report.sent_ns)]
    # The venue's clock is its own: a time that cannot be compared with ours is left out.
    earliest_ns = max(report.sent_ns, report.received_ns)
    if earliest_ns <= report.event_ns <= committed_ns:
        marks.append(("venue_event", report.event_ns))
    return [*marks, ("report_committed", committed_ns)]
