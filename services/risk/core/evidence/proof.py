"""What is controlled, how it is called, whose demand it answers, and the tests that prove it."""

from __future__ import annotations

from typing import NamedTuple

RULES = "tests/services/risk/test_rules.py::"
EXPOSURE = "tests/services/risk/test_exposure.py::"
FLOW = "tests/services/risk/test_flow.py::"
LOSSES = "tests/services/risk/test_losses.py::"
GATES = "tests/services/risk/test_gates.py::"
LIMITS = "tests/services/risk/test_limits.py::"
PRICES = "tests/services/risk/test_prices.py::"
KINDS = "tests/services/risk/test_kinds.py::"
SERVICE = "tests/services/risk/test_service.py::"
GATEWAY_KILLS = "tests/services/live_gateway/test_kills.py::"
SILENCE = "tests/services/oms/test_service.py::"
RECONCILE = "tests/services/oms/test_reconcile.py::"


class Proof(NamedTuple):
    """One control. `governed_by` names the limits and settings that say how tight it is."""

    rule: str
    does: str
    codes: tuple[str, ...]
    clauses: tuple[str, ...]
    governed_by: tuple[str, ...]
    tests: tuple[str, ...]
