"""How the fold's state lies in memory: arrays over series, and within them a lane for each interval.

The five intervals of one field lie side by side, so that a tick in order (it falls in the current bar of every
interval at once) is a handful of vector operations.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.market import Interval

INTERVALS = tuple(Interval)
LANES = len(INTERVALS)
LENGTHS = tuple(interval.length_ns for interval in INTERVALS)
assert all(longer % shorter == 0 for shorter, longer in pairwise(LENGTHS)), "intervals nest"

CURRENT, PREVIOUS = 0, 1

OPEN, HIGH, LOW, CLOSE, VOLUME, TURNOVER = range(6)
PRICES = 6

START, FIRST, LAST, COUNT, REVISION, EMPTY, CHANGED, CLOSED = range(8)
"""START is NEVER where there is no bar; REVISION is -1 until said; CHANGED since then; CLOSED by the clock."""
NUMBERS = 8

WATERMARK, LIVE, EPOCH, TOLD = range(4)
"""Of a series: highest event time taken; whether that tick was live; how often begun anew; a current bar was said."""
FACTS = 4

KEY, TAKEN_NS, OWNER = range(3)
"""Of a trade id taken: its hash (0 where empty), the tick's time, the series (high half) and its epoch (low half)."""

TICKS, LATE, DUPLICATES, SAID, HELD = range(5)
"""The tally: ticks taken, refused as late, dropped as duplicates; bars said in this call; places held in the table."""

NEVER = -(1 << 62)
TIME_NS_MAX = 9_200_000_000_000_000_000
"""In the year 2261: beyond it the end of a day's bar would not be an int64."""

SAID_PER_TICK_MAX = 2 * LANES
SAID_ROWS = 4096


class State(NamedTuple):
    """Everything the fold remembers."""

    prices: NDArray[np.float64]  # series, current or previous, PRICES, LANES
    numbers: NDArray[np.int64]  # series, current or previous, NUMBERS, LANES
    facts: NDArray[np.int64]  # series, FACTS
    taken: NDArray[np.uint64]  # places, 3: open addressing, a power of two of them


class Ticks(NamedTuple):
    """What is folded in one call. `series` says for each tick to which series it belongs."""

    series: NDArray[np.int64]
    codes: NDArray[np.int32]
    event_ns: NDArray[np.int64]
    receive_ns: NDArray[np.int64]
    price: NDArray[np.float64]
    quantity: NDArray[np.float64]
    id_offsets: NDArray[np.int32]
    id_data: NDArray[np.uint8]
    keys: NDArray[np.uint64]  # scratch, filled from the ids


class Trade(NamedTuple):
    """One of them."""

    at_ns: int
    price: float
    quantity: float


class Said(NamedTuple):
    """Bars as they were said, in order: series and lane, the numbers, the prices."""

    which: NDArray[np.int64]  # rows, 2
    numbers: NDArray[np.int64]  # rows, NUMBERS
    prices: NDArray[np.float64]  # rows, PRICES


def room(rows: int) -> Said:
    """An empty Said for so many bars."""
    return Said(np.empty((rows, 2), np.int64), np.empty((rows, NUMBERS), np.int64), np.empty((rows, PRICES)))


def empty_series(count: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Prices, numbers and facts of series that have taken nothing."""
    numbers = np.zeros((count, 2, NUMBERS, LANES), np.int64)
    numbers[:, :, START] = NEVER
    facts = np.zeros((count, FACTS), np.int64)
    facts[:, WATERMARK] = NEVER
    return np.zeros((count, 2, PRICES, LANES)), numbers, facts


def doubled(state: State) -> State:
    """The same state with room for twice as many series."""
    prices, numbers, facts = empty_series(len(state.facts))
    return State(
        np.concatenate((state.prices, prices)),
        np.concatenate((state.numbers, numbers)),
        np.concatenate((state.facts, facts)),
        state.taken,
    )
