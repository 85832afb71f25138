"""One rule's measurement, ready to be noted among the findings of an order."""

from __future__ import annotations

from typing import NamedTuple


class Measured(NamedTuple):
    """`used` is the share of the limit that is taken (0 where that means nothing); `reason` is said when not `ok`."""

    rule: str
    code: str
    ok: bool
    value: str
    limit: str
    scope: str
    reason: str = ""
    used: float = 0.0
