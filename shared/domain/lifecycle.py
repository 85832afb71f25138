"""What an order may become: the state table.

A status in its own row: the order may be committed anew without a change of status, by a fill, new terms or a stop that
follows the market.
"""

from __future__ import annotations

from shared.contract.orders import OrderStatus as S

_UNTOUCHED = frozenset({S.CANCELED, S.EXPIRED, S.DENIED})
"""How an order ends that no venue has ever heard of."""

_VENUE_WORDS = frozenset({S.WORKING, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED})
"""What only a venue can say. Its words may overtake each other, so the first to come may be any of them."""

MOVES: dict[S, frozenset[S]] = {
    # An exit waits here for its entry: it grows with the entry's fills, and ends with it or with its sibling.
    S.NEW: frozenset({S.NEW, S.PENDING_RISK, S.ACCEPTED}) | _UNTOUCHED,
    # Over a soft limit: a second person lets it through, or it lapses (DENIED), is cancelled, or its time is over.
    S.PENDING_RISK: frozenset({S.PENDING_RISK, S.ACCEPTED}) | _UNTOUCHED,
    S.DENIED: frozenset(),
    # On its way, or a stop held here: then it follows the market, may be triggered (ROUTED) or refused at that moment
    # (DENIED), and it ends without a venue. On its way, the venue's word may come before our own ROUTED.
    S.ACCEPTED: frozenset({S.ACCEPTED, S.ROUTED, S.PENDING_CANCEL, S.PENDING_UNKNOWN}) | _VENUE_WORDS | _UNTOUCHED,
    S.ROUTED: frozenset({S.ROUTED, S.PENDING_CANCEL, S.PENDING_UNKNOWN}) | _VENUE_WORDS,
    S.WORKING: frozenset({S.WORKING, S.PENDING_CANCEL, S.PENDING_UNKNOWN}) | _VENUE_WORDS - {S.REJECTED},
    S.PARTIALLY_FILLED: frozenset({S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.PENDING_UNKNOWN})
    | _VENUE_WORDS - {S.REJECTED, S.WORKING},
    # Fills may cross a cancel on the way, and a venue may refuse it or fall silent about it.
    S.PENDING_CANCEL: frozenset({S.PENDING_CANCEL, S.PENDING_UNKNOWN}) | _VENUE_WORDS,
    # Left only on proof. Asking to cancel proves nothing: it is asked for while the status stays.
    S.PENDING_UNKNOWN: frozenset({S.PENDING_UNKNOWN}) | _VENUE_WORDS,
    # A late fill is the truth whatever was believed: it is entered, and may complete an order that was thought over.
    S.CANCELED: frozenset({S.CANCELED, S.FILLED}),
    S.EXPIRED: frozenset({S.EXPIRED, S.FILLED}),
    # Filled in part and then over is what "rejected" turns out to have been.
    S.REJECTED: frozenset({S.REJECTED, S.FILLED, S.CANCELED}),
    # A venue may fill more than it was asked to; the position follows.
    S.FILLED: frozenset({S.FILLED}),
}

assert set(MOVES) == set(S), "every status has a row"

TERMINAL = frozenset({S.DENIED, S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED})
"""Nothing of these is in the market any more."""

OPEN = frozenset(S) - TERMINAL
"""These may still fill; their leaves count as exposure."""


def may(current: S, target: S) -> bool:
    """Whether an order in `current` may become `target`."""
    return target in MOVES[current]
