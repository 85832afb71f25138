"""How the fold's state lies in memory.

A tick in order touches one row of `fresh` and one of `facts`, a cache line each: what it adds is carried over to the
bars of the series (`prices`, `numbers`) when something else happens than one more tick within all of them. Each
interval is a lane, and each lane has some slots: a ring of its newest bars, the current one at its head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.contract.market import Interval

OPEN, HIGH, LOW, CLOSE, VOLUME, TURNOVER, TAKER = range(7)
"""TAKER is the volume that buyers took."""
PRICES = 8

START, END, FIRST, LAST, COUNT, REVISION, EMPTY, CHANGED, CLOSED = range(9)
"""START is NEVER where there is no bar; REVISION is -1 until said, MUTE where it never is; CHANGED since then."""
NUMBERS = 9

WATERMARK, UNTIL, FRESH, NEWEST_ID, LIVE, EPOCH, GAUGE, GAUGES = range(8)
"""Of a series: highest event time taken; until when a tick in order is within every bar, none of them said; how many
are fresh; the highest id in numbers; whether the tick that last began a bar was live; how often begun anew; the first
of its gauges and how many they are."""
FACTS = 8

KEY, TAKEN_NS, OWNER = range(3)
"""Of a trade id taken: its key, the tick's time, the series (high half) and its epoch (low half)."""

TICKS, LATE, DUPLICATES, SAID, HELD, LOGGED, CROWDED = range(7)
"""The tally: ticks taken, refused as late, dropped as duplicates; bars said in this call; places held in the table and
in the log; whether the table has to be made larger before it can go on."""

NEVER = -(1 << 62)
MUTE = -2
TIME_NS_MAX = 9_200_000_000_000_000_000
"""In the year 2261: beyond it the end of a day's bar would not be an int64."""

SAID_ROWS = 4096

N = TypeVar("N", bound=np.generic)


class Lanes(NamedTuple):
    """The lengths of time that are said, and which slots they have."""

    lengths: NDArray[np.int64]
    slots: NDArray[np.int64]  # the first of each
    depths: NDArray[np.int64]


class Hours(NamedTuple):
    """The sessions of the markets that have a calendar, one calendar after the other."""

    calendar: NDArray[np.int64]  # of each series; -1 for none
    begins: NDArray[np.int64]  # where each calendar begins, and one more
    opens: NDArray[np.int64]
    closes: NDArray[np.int64]


class State(NamedTuple):
    """Everything the fold remembers of its series."""

    fresh: NDArray[np.float64]  # series, PRICES
    facts: NDArray[np.int64]  # series, FACTS
    prices: NDArray[np.float64]  # series, slots, PRICES
    numbers: NDArray[np.int64]  # series, slots, NUMBERS
    heads: NDArray[np.int64]  # series, lanes: where in its ring each lane's current bar is


class Ids(NamedTuple):
    """The trade ids that count."""

    taken: NDArray[np.int64]  # places, 3: open addressing, a power of two of them
    log: NDArray[np.int64]  # rows, 3: ids in numbers, each higher than those of its series before it
    salts: NDArray[np.uint64]  # of each series


class Gauges(NamedTuple):
    """The bars of measures in the making; see `measures.py`."""

    amounts: NDArray[np.float64]
    counts: NDArray[np.int64]


class Memory(NamedTuple):
    """All that the fold works on."""

    state: State
    lanes: Lanes
    hours: Hours
    ids: Ids
    gauges: Gauges


class Ticks(NamedTuple):
    """Columns of ticks. `series` says for each of their codes to which series it belongs."""

    series: NDArray[np.int64]
    codes: NDArray[np.int32]
    event_ns: NDArray[np.int64]
    receive_ns: NDArray[np.int64]
    price: NDArray[np.float64]
    quantity: NDArray[np.float64]
    side: NDArray[np.int8]
    id_offsets: NDArray[np.int32]
    id_data: NDArray[np.uint8]
    keys: NDArray[np.int64]  # of the ids, from where the reach begins


class Trade(NamedTuple):
    """One of them. `taker` is the quantity if a buyer took it, else 0."""

    at_ns: int
    price: float
    quantity: float
    taker: float


class Reach(NamedTuple):
    """From where to where, how much a tick may be late, whether there are live ticks and ids, and what one may say."""

    begin: int
    end: int
    lateness_ns: int
    live: bool
    has_ids: bool
    lanes: int
    said_max: int


class Said(NamedTuple):
    """Bars as they were said, in order: series, and lane or (from the number of lanes on) gauge; then as in State."""

    which: NDArray[np.int64]  # rows, 2
    numbers: NDArray[np.int64]  # rows, NUMBERS
    prices: NDArray[np.float64]  # rows, PRICES


def lanes_of(intervals: Sequence[Interval], lateness_ns: int, *, calendars: bool) -> Lanes:
    """Slots for as many bars as ticks may still change; one more where a session may cut a bar short."""
    lengths = [interval.length_ns for interval in intervals]
    depths = [-(-lateness_ns // length) + 1 + calendars for length in lengths]
    depths = [max(2, depth) for depth in depths]
    slots = np.cumsum([0, *depths])[:-1]
    return Lanes(np.array(lengths, np.int64), slots.astype(np.int64), np.array(depths, np.int64))


def room(rows: int) -> Said:
    """An empty Said for so many bars."""
    return Said(np.zeros((rows, 2), np.int64), np.zeros((rows, NUMBERS), np.int64), np.zeros((rows, PRICES)))


def empty_series(count: int, lanes: Lanes) -> State:
    """Series that have taken nothing."""
    slots = int(lanes.depths.sum())
    numbers = np.zeros((count, slots, NUMBERS), np.int64)
    numbers[:, :, START] = NEVER
    numbers[:, :, END] = NEVER
    facts = _lines(count).view(np.int64)
    facts[:, (WATERMARK, UNTIL)] = NEVER
    fresh = _lines(count)
    fresh[:, HIGH], fresh[:, LOW] = -np.inf, np.inf
    heads = np.zeros((count, len(lanes.lengths)), np.int64)
    return State(fresh, facts, np.zeros((count, slots, PRICES)), numbers, heads)


def _lines(count: int) -> NDArray[np.float64]:
    """Rows of 64 bytes, each in one line of the cache; were they in two, 2,000 symbols would take twice the time."""
    room = np.zeros(64 * (count + 1), np.uint8)
    begin = -room.ctypes.data % 64
    return room[begin : begin + 64 * count].view(np.float64).reshape(count, 8)


def doubled(state: State, lanes: Lanes) -> State:
    """The same state with room for twice as many series."""
    more = empty_series(2 * len(state.facts), lanes)
    for array, known in zip(more, state, strict=True):
        array[: len(known)] = known
    return more


def fixed(column: NDArray[Any], kind: type[N]) -> NDArray[N]:
    """A read-only view. To the compiler it is another type than a writable one, so it must always be the same."""
    view = np.ascontiguousarray(column, kind).view()
    view.flags.writeable = False
    return view
