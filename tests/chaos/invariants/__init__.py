"""The invariants, each a pure function from evidence to what of it breaks the invariant."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.evidence import Evidence, Violation
from tests.chaos.invariants.groups import i6_exits_close_no_more_than_was_opened, i9_siblings_end_together
from tests.chaos.invariants.kills import i11_a_kill_holds
from tests.chaos.invariants.limits import i6_no_limit_is_breached, i6_only_open_orders_are_set_aside
from tests.chaos.invariants.money import i3_each_execution_counts_once, i4_positions_are_fills, i5_cash_is_conserved
from tests.chaos.invariants.orders import (
    i1_nothing_acknowledged_is_lost,
    i2_one_venue_order_for_each,
    i9_only_legal_moves,
    i10_the_venue_agrees,
)
from tests.chaos.invariants.tape import i8_the_tape_has_it_all

Check = Callable[[Evidence], list[Violation]]

CHECKS: tuple[Check, ...] = (
    i1_nothing_acknowledged_is_lost,
    i2_one_venue_order_for_each,
    i3_each_execution_counts_once,
    i4_positions_are_fills,
    i5_cash_is_conserved,
    i6_no_limit_is_breached,
    i6_only_open_orders_are_set_aside,
    i6_exits_close_no_more_than_was_opened,
    i8_the_tape_has_it_all,
    i9_only_legal_moves,
    i9_siblings_end_together,
    i10_the_venue_agrees,
    i11_a_kill_holds,
)
"""Those that are judged by what is on record of accounts; I12 and I13, in `bounds`, are of requests and times."""


def violations(evidence: Evidence) -> list[Violation]:
    """All that is wrong."""
    return [violation for check in CHECKS for violation in check(evidence)]


__all__ = ["CHECKS", "Check", "violations"]
