"""Kills: nothing new leaves once a kill is acknowledged and a moment has passed, and what worked is cancelled (I11)."""

from __future__ import annotations

from tests.chaos.evidence import AtVenue, Evidence, Killed, Violation
from tests.chaos.invariants.orders import found


def i11_a_kill_holds(evidence: Evidence) -> list[Violation]:
    """No order of the scope reaches the venue later than `within_ns` after the acknowledgement; none is left open."""
    late = [
        {"kill": vars(kill), "order": vars(there), "late_ms": (there.arrived_ns - kill.acknowledged_ns) / 1e6}
        for kill in evidence.killed
        for there in evidence.venue.values()
        if _in_scope(kill, there, evidence) and _during(kill, there.arrived_ns) and there.status != "REJECTED"
    ]
    left = [
        {"kill": vars(kill), "order": vars(there)}
        for kill in evidence.killed
        if not kill.lifted_ns
        for there in evidence.venue.values()
        if there.is_open and _in_scope(kill, there, evidence)
    ]
    filled = [
        {"kill": vars(kill), "execution": vars(one)}
        for kill in evidence.killed
        for one in evidence.executions
        if _during(kill, one.event_ns) and _in_scope(kill, evidence.venue[one.order_id], evidence)
    ]
    lingered = [
        {"kill": vars(kill), "late_ms": out_ns / 1e6}
        for kill in evidence.killed
        if kill.out_within_ns and (out_ns := last_out_ns(kill, evidence)) > kill.out_within_ns
    ]
    return [
        *found("I11", "the last order was out too late", lingered),
        *found("I11", "an order left after the kill", late),
        *found("I11", "an order was left working under a kill", left),
        *found("I11", "something filled after the kill", filled),
    ]


def last_out_ns(kill: Killed, evidence: Evidence) -> int:
    """How long after the acknowledgement the last order of the scope went out or was cancelled, by the venue's record.

    0 when all was over before.
    """
    out = (
        max(there.arrived_ns, there.out_ns)
        for there in evidence.venue.values()
        if there.status != "REJECTED" and _in_scope(kill, there, evidence)
    )
    until_ns = kill.lifted_ns or float("inf")
    return max(0, max((at_ns for at_ns in out if at_ns < until_ns), default=0) - kill.acknowledged_ns)


def _during(kill: Killed, at_ns: int) -> bool:
    return kill.acknowledged_ns + kill.within_ns < at_ns and (not kill.lifted_ns or at_ns < kill.lifted_ns)


def _in_scope(kill: Killed, there: AtVenue, evidence: Evidence) -> bool:
    kind, _, name = kill.scope.partition(".")
    if kind == "firm":
        return True
    if kind == "account":
        return there.account == name
    order = evidence.orders.get(there.order_id, {})
    return order.get(kind) == name
