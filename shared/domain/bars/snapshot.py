"""The fold's memory as bytes: a line of JSON that says what follows, then the arrays as they lie in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.contract.market import Interval
from shared.domain.bars.layout import (
    FACTS,
    NUMBERS,
    OWNER,
    PRICES,
    Gauges,
    Lanes,
    State,
    empty_series,
)
from shared.domain.bars.measures import AMOUNTS, COUNTS, empty_gauges

FORM = 3
"""Form 2 had no taker volume: its bars could not be gone on with."""


@dataclass(frozen=True)
class Snapshot:
    """Series with their names, the gauges they have (series and measure), and the trade ids that still count."""

    intervals: tuple[Interval, ...]
    depths: tuple[int, ...]
    names: list[tuple[str, str]]
    replays: list[tuple[str, ...]]
    state: State
    gauged: list[tuple[int, str]]
    gauges: Gauges
    taken: NDArray[np.int64]
    log: NDArray[np.int64]

    @property
    def lanes(self) -> Lanes:
        lengths = np.array([interval.length_ns for interval in self.intervals], np.int64)
        slots = np.cumsum([0, *self.depths])[:-1].astype(np.int64)
        return Lanes(lengths, slots, np.array(self.depths, np.int64))


def pack(snapshot: Snapshot) -> bytes:
    heading = {
        "form": FORM,
        "intervals": snapshot.intervals,
        "depths": snapshot.depths,
        "names": snapshot.names,
        "replays": snapshot.replays,
        "gauged": snapshot.gauged,
        "ids": [len(snapshot.taken), len(snapshot.log)],
    }
    arrays = (*snapshot.state, *snapshot.gauges, snapshot.taken, snapshot.log)
    return b"\n".join((json.dumps(heading).encode(), b"".join(array.tobytes() for array in arrays)))


def unpack(dumped: bytes) -> Snapshot:
    """What was packed; ValueError when this is not a snapshot, or one of another form."""
    line, _, rest = dumped.partition(b"\n")
    heading = json.loads(line)
    if heading.get("form") != FORM:
        raise ValueError(f"a snapshot of form {heading.get('form', 'unknown')}, where {FORM} can be read")
    intervals = tuple(map(Interval, heading["intervals"]))
    names = [(venue, symbol) for venue, symbol in heading["names"]]
    gauged = [(s, word) for s, word in heading["gauged"]]
    count, lanes, slots = len(names), len(intervals), sum(heading["depths"])
    shapes = [
        *((count, PRICES), (count, FACTS), (count, slots, PRICES), (count, slots, NUMBERS), (count, lanes)),
        *((len(gauged), AMOUNTS), (len(gauged), COUNTS), *((ids, 3) for ids in heading["ids"])),
    ]
    sizes = [int(np.prod(shape)) for shape in shapes]
    if len(rest) != 8 * sum(sizes):
        raise ValueError(f"a snapshot of {len(rest)} bytes where {8 * sum(sizes)} were announced")
    parts = np.split(np.frombuffer(rest, np.int64), np.cumsum(sizes)[:-1])
    kinds = [np.float64, np.int64, np.float64, np.int64, np.int64, np.float64, np.int64, np.int64, np.int64]
    arrays: list[Any] = [part.view(kind).reshape(shape) for part, kind, shape in zip(parts, kinds, shapes, strict=True)]
    return Snapshot(
        intervals,
        tuple(heading["depths"]),
        names,
        [tuple(seen) for seen in heading["replays"]],
        State._make(arrays[:5]),
        gauged,
        Gauges._make(arrays[5:7]),
        *arrays[7:],
    )


def symbols_of(dumped: bytes) -> list[str]:
    """The symbols that a snapshot knows."""
    return [symbol for _, symbol in unpack(dumped).names]


def gathered(dumps: Sequence[bytes], wanted: Callable[[str], bool]) -> bytes:
    """The series of the wanted symbols out of several snapshots, as one. No two of them know the same series."""
    parts = [_chosen(unpack(dumped), wanted) for dumped in dumps] or [nothing((), NO_LANES)]
    first = parts[0]
    if any((part.intervals, part.depths) != (first.intervals, first.depths) for part in parts):
        raise ValueError("the snapshots are of other intervals than one another")
    names = [name for part in parts for name in part.names]
    if len(set(names)) < len(names):
        raise ValueError("two snapshots know the same series")
    offsets = np.cumsum([0, *(len(part.names) for part in parts)]).tolist()
    moved = [_moved(part, np.arange(len(part.names)) + offset) for part, offset in zip(parts, offsets, strict=False)]
    whole = Snapshot(
        first.intervals,
        first.depths,
        names,
        [seen for part in parts for seen in part.replays],
        State._make(map(np.concatenate, zip(*(part.state for part in parts), strict=True))),
        [one for part in moved for one in part.gauged],
        Gauges._make(map(np.concatenate, zip(*(part.gauges for part in parts), strict=True))),
        np.concatenate([part.taken for part in moved]),
        np.concatenate([part.log for part in moved]),
    )
    return pack(whole)


def nothing(intervals: tuple[Interval, ...], lanes: Lanes) -> Snapshot:
    """That of a fold which has taken nothing."""
    ids = np.empty((0, 3), np.int64)
    depths = tuple(lanes.depths.tolist())
    return Snapshot(intervals, depths, [], [], empty_series(0, lanes), [], empty_gauges([]), ids, ids)


NO_LANES = Lanes(*(np.empty(0, np.int64) for _ in range(3)))


def _chosen(known: Snapshot, wanted: Callable[[str], bool]) -> Snapshot:
    """The wanted series alone, numbered anew."""
    chosen = [s for s, (_, symbol) in enumerate(known.names) if wanted(symbol)]
    numbers = np.full(len(known.names), -1, np.int64)
    numbers[chosen] = np.arange(len(chosen))
    part = _moved(known, numbers)
    kept = [at for at, (s, _) in enumerate(known.gauged) if numbers[s] >= 0]
    return Snapshot(
        known.intervals,
        known.depths,
        [known.names[s] for s in chosen],
        [known.replays[s] for s in chosen],
        State._make(array[chosen] for array in known.state),
        part.gauged,
        Gauges._make(array[kept] for array in known.gauges),
        part.taken,
        part.log,
    )


def _moved(known: Snapshot, numbers: NDArray[np.int64]) -> Snapshot:
    """The same, where a series has another number; what belongs to one with none is left out of measures and ids."""
    gauged = [(int(numbers[s]), word) for s, word in known.gauged if numbers[s] >= 0]
    ids = (_renumbered(entries, numbers) for entries in (known.taken, known.log))
    return Snapshot(known.intervals, known.depths, known.names, known.replays, known.state, gauged, known.gauges, *ids)


def _renumbered(entries: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    now = numbers[entries[:, OWNER] >> 32]
    kept = entries[now >= 0]
    kept[:, OWNER] = now[now >= 0] << 32 | kept[:, OWNER] & 0xFFFFFFFF
    return kept


def fitted(known: Snapshot, intervals: Sequence[Interval], lanes: Lanes, room: int) -> State:
    """The series of a snapshot in these lanes, with room for so many; a lane it did not know is empty."""
    count = len(known.names)
    state = empty_series(room, lanes)
    state.fresh[:count], state.facts[:count] = known.state.fresh, known.state.facts
    rows = np.arange(count)
    for k, interval in enumerate(intervals):
        if interval not in known.intervals:
            continue
        old = known.intervals.index(interval)
        before, depth = known.lanes, int(lanes.depths[k])
        heads = known.state.heads[:, old]
        # Where the ring has as many places as it had, each bar stays in its own.
        state.heads[:count, k] = heads if depth == known.depths[old] else depth - 1
        for back in range(min(depth, known.depths[old])):
            source = before.slots[old] + (heads - back) % known.depths[old]
            target = lanes.slots[k] + (state.heads[:count, k] - back) % depth
            state.prices[rows, target] = known.state.prices[rows, source]
            state.numbers[rows, target] = known.state.numbers[rows, source]
    return state
