"""What an order may become: the state table."""

from __future__ import annotations

from shared.contract.orders import OrderStatus as S

MOVES: dict[S, frozenset[S]] = {
    S.NEW: frozenset({S.PENDING_RISK, S.DENIED, S.ACCEPTED}),
    S.PENDING_RISK: frozenset({S.DENIED, S.ACCEPTED}),
    S.DENIED: frozenset(),
    S.ACCEPTED: frozenset(
        {S.ROUTED, S.WORKING, S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL, S.CANCELED, S.REJECTED, S.EXPIRED}
        | {S.PENDING_UNKNOWN}
    ),
    S.ROUTED: frozenset(
        {S.WORKING, S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL, S.CANCELED, S.REJECTED, S.EXPIRED}
        | {S.PENDING_UNKNOWN}
    ),
    S.WORKING: frozenset(
        {S.WORKING, S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL, S.CANCELED, S.EXPIRED, S.PENDING_UNKNOWN}
    ),
    S.PARTIALLY_FILLED: frozenset(
        {S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL, S.CANCELED, S.EXPIRED, S.PENDING_UNKNOWN}
    ),
    S.PENDING_CANCEL: frozenset(
        # Fills may cross a cancel on the way, and a venue may refuse it.
        {S.PENDING_CANCEL, S.WORKING, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED}
    ),
    S.PENDING_UNKNOWN: frozenset(
        {S.WORKING, S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL, S.CANCELED, S.REJECTED, S.EXPIRED}
    ),
    # A late fill is the truth whatever was believed: it may complete an order that was thought to be over.
    S.CANCELED: frozenset({S.CANCELED, S.FILLED}),
    S.EXPIRED: frozenset({S.EXPIRED, S.FILLED}),
    S.REJECTED: frozenset({S.FILLED, S.CANCELED}),
    S.FILLED: frozenset(),
}

assert set(MOVES) == set(S), "every status has a row"

TERMINAL = frozenset({S.DENIED, S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED})
"""Nothing of these is in the market any more."""

OPEN = frozenset(S) - TERMINAL
"""These may still fill; their leaves count as exposure."""


def may(current: S, target: S) -> bool:
    """Whether an order in `current` may become `target`."""
    return target in MOVES[current]
