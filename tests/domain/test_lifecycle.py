"""The state table."""

from __future__ import annotations

from shared.contract.orders import OrderStatus
from shared.domain.lifecycle import MOVES, OPEN, TERMINAL, may


def test_every_status_can_be_reached_from_new() -> None:
    reached, frontier = {OrderStatus.NEW}, [OrderStatus.NEW]
    while frontier:
        for status in MOVES[frontier.pop()] - reached:
            reached.add(status)
            frontier.append(status)

    assert reached == set(OrderStatus)


def test_a_filled_or_denied_order_stays_so() -> None:
    assert MOVES[OrderStatus.FILLED] == MOVES[OrderStatus.DENIED] == frozenset()


def test_what_is_over_becomes_open_never_again() -> None:
    for status in TERMINAL:
        assert not MOVES[status] & OPEN


def test_an_open_order_may_always_end() -> None:
    for status in OPEN - {OrderStatus.NEW, OrderStatus.PENDING_RISK}:
        assert may(status, OrderStatus.CANCELED)
        assert may(status, OrderStatus.FILLED)
