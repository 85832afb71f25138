"""The state table."""

from __future__ import annotations

import itertools

import pytest

from shared.contract.orders import OrderStatus as S
from shared.domain.lifecycle import MOVES, OPEN, TERMINAL, may

AT_VENUE = {S.ACCEPTED, S.ROUTED, S.WORKING, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.PENDING_UNKNOWN}
BEFORE_VENUE = {S.NEW, S.PENDING_RISK, S.ACCEPTED}

REASONS: dict[str, set[tuple[S, S]]] = {
    "risk answers": {
        (before, after)
        for before in (S.NEW, S.PENDING_RISK)
        for after in (S.PENDING_RISK, S.ACCEPTED, S.DENIED)
        if before is not after
    },
    "a waiting exit grows, or new terms while it waits": {(status, status) for status in BEFORE_VENUE},
    "a held stop is triggered, or is refused when it would be": {(S.ACCEPTED, S.ROUTED), (S.ACCEPTED, S.DENIED)},
    "it ends before any venue has heard of it": set(itertools.product(BEFORE_VENUE, (S.CANCELED, S.EXPIRED))),
    "it is asked to be cancelled": {(status, S.PENDING_CANCEL) for status in AT_VENUE - {S.PENDING_UNKNOWN}},
    "a cancel is asked for though nobody knows": {(S.PENDING_UNKNOWN, S.PENDING_UNKNOWN)},
    "the venue is silent": {(status, S.PENDING_UNKNOWN) for status in AT_VENUE},
    "the venue takes it": {(s, S.WORKING) for s in AT_VENUE - {S.PARTIALLY_FILLED}},
    "the venue fills": set(itertools.product(AT_VENUE, (S.PARTIALLY_FILLED, S.FILLED))) | {(S.WORKING, S.WORKING)},
    "the venue ends it": set(itertools.product(AT_VENUE, (S.CANCELED, S.EXPIRED))),
    "the venue never takes it": {(s, S.REJECTED) for s in AT_VENUE - {S.WORKING, S.PARTIALLY_FILLED}},
    "fills or new terms while it is routed": {(S.ROUTED, S.ROUTED)},
    "a late fill": {(over, after) for over in (S.CANCELED, S.EXPIRED, S.REJECTED) for after in (over, S.FILLED)}
    | {(S.FILLED, S.FILLED)},
    "rejected is corrected to filled in part": {(S.REJECTED, S.CANCELED)},
}


def test_every_move_has_a_reason_and_every_reason_its_moves() -> None:
    assert {(before, after) for before in S for after in MOVES[before]} == set().union(*REASONS.values())


def test_every_status_can_be_reached_from_new() -> None:
    reached, frontier = {S.NEW}, [S.NEW]
    while frontier:
        for status in MOVES[frontier.pop()] - reached:
            reached.add(status)
            frontier.append(status)

    assert reached == set(S)


def test_a_denied_order_stays_so_and_a_filled_one_too() -> None:
    assert MOVES[S.DENIED] == frozenset()
    assert MOVES[S.FILLED] == {S.FILLED}


def test_what_is_over_becomes_open_never_again() -> None:
    for status in TERMINAL:
        assert not MOVES[status] & OPEN


def test_an_open_order_may_always_be_canceled_and_one_at_a_venue_be_filled() -> None:
    for status in OPEN:
        assert may(status, S.CANCELED)
    for status in AT_VENUE:
        assert may(status, S.FILLED)


def test_doubt_is_left_only_for_what_a_venue_can_say() -> None:
    ours = {S.NEW, S.PENDING_RISK, S.DENIED, S.ACCEPTED, S.ROUTED, S.PENDING_CANCEL}
    assert not MOVES[S.PENDING_UNKNOWN] & ours


@pytest.mark.parametrize("status", [S.NEW, S.PENDING_RISK])
def test_no_venue_speaks_of_what_it_was_not_sent(status: S) -> None:
    for word in (S.ROUTED, S.WORKING, S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.PENDING_CANCEL, S.PENDING_UNKNOWN):
        assert not may(status, word)
