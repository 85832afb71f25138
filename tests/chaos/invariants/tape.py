"""The tape: every committed change and every fill is on it, once, as it was committed (I8)."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from tests.chaos.evidence import Evidence, Violation
from tests.chaos.invariants.orders import found


def i8_the_tape_has_it_all(evidence: Evidence) -> list[Violation]:
    """Rows of fills are the fills, rows of orders are the events: none missing, none twice, none altered."""
    if evidence.tape_fills is None or evidence.tape_orders is None:
        return []
    rows = Counter(row["fill_id"] for row in evidence.tape_fills)
    fills = {fill["fill_id"]: fill for fill in evidence.fills}
    altered = [
        {"tape": row, "fill": fills[row["fill_id"]]}
        for row in evidence.tape_fills
        if row["fill_id"] in fills
        and any(Decimal(row[name]) != Decimal(fills[row["fill_id"]][name]) for name in ("price", "quantity", "fee"))
    ]
    changes = {(id, e["order"]["version"]): e["order"]["status"] for id, es in evidence.events.items() for e in es}
    taped = {(row["order_id"], row["version"]): row["status"] for row in evidence.tape_orders}
    twice = [id for id, n in Counter((r["order_id"], r["version"]) for r in evidence.tape_orders).items() if n > 1]
    return [
        *found("I8", "a fill is missing on the tape", (fills[id] for id in fills.keys() - rows)),
        *found("I8", "a fill on the tape that never was", (id for id in rows.keys() - fills.keys())),
        *found("I8", "twice on the tape", [*(id for id, n in rows.items() if n > 1), *twice]),
        *found("I8", "a fill that reads otherwise on the tape", altered),
        *found("I8", "a change of an order is missing on the tape", changes.keys() - taped.keys()),
        *found("I8", "a change on the tape that never was", taped.keys() - changes.keys()),
        *found("I8", "a change that reads otherwise", (i for i in changes.keys() & taped if changes[i] != taped[i])),
    ]
