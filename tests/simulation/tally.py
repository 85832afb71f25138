"""The tally: committed words read, and how often which kind of thing was committed."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import orjson
from pydantic_core import to_jsonable_python

from shared.contract.base import Message
from tests.simulation.worst import Words

PENDING = "PENDING_RISK"


@cache
def _blank(kind: type[Message]) -> Words:
    named = kind.model_fields.items()
    fields = {name: one.get_default(call_default_factory=True) for name, one in named if not one.is_required()}
    return to_jsonable_python(fields)


def read(kind: type[Message], words: Any) -> dict[str, Any]:
    """A message's fields, those that were left out included."""
    return {**_blank(kind), **(orjson.loads(words) if isinstance(words, bytes) else words)}


def counted(did: Counter[str], before: Words | None, order: Words) -> None:
    """One more of what an order is, or of what became of it."""
    if before is None or before["status"] != order["status"]:
        did[f"status {order['status']}"] += 1
    if before is None:
        did[f"type {order['order_type']}"] += 1
        did[f"tif {order['time_in_force']}"] += 1
        did[f"role {order['role'] or 'none'}"] += 1
        did[f"strategy {order['strategy'] or 'none'}"] += 1
        for flag in ("reduce_only", "post_only"):
            did[flag] += bool(order[flag])
        return
    did["released"] += before["status"] == PENDING and order["status"] == "ACCEPTED"
    did["lapsed or refused"] += before["status"] == PENDING and order["status"] == "DENIED"
    did["triggered"] += order["triggered_ns"] != before["triggered_ns"]
    for term in ("price", "quantity", "stop_price", "trail"):
        did[f"new {term}"] += order[term] != before[term]
