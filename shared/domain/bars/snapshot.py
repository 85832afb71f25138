"""The fold's state as bytes: a line of JSON that says what follows, then the arrays as they lie in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.domain.bars.layout import FACTS, INTERVALS, LANES, NUMBERS, OWNER, PRICES, State, empty_series

FORM, FORM_BEFORE = 2, 1
"""The form before had trade ids under keys that are not found any more: they are left out of it."""

_LAYOUT = [FORM, PRICES, NUMBERS, FACTS, *(interval.value for interval in INTERVALS)]

Series = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]


def pack(
    names: Sequence[tuple[str, str]], replays: Sequence[Sequence[str]], state: State, entries: NDArray[np.uint64]
) -> bytes:
    """`entries` are the trade ids that still count."""
    count = len(names)
    heading = {"layout": _LAYOUT, "names": names, "replays": replays, "entries": len(entries)}
    arrays = (state.prices[:count], state.numbers[:count], state.facts[:count], entries)
    return b"\n".join((json.dumps(heading).encode(), b"".join(array.tobytes() for array in arrays)))


def symbols_of(dumped: bytes) -> list[str]:
    """The symbols that a snapshot knows."""
    return [symbol for _, symbol in unpack(dumped)[0]]


def gathered(dumps: Sequence[bytes], wanted: Callable[[str], bool]) -> bytes:
    """The series of the wanted symbols out of several snapshots, as one. No two of them know the same series."""
    names: list[tuple[str, str]] = []
    replays: list[tuple[str, ...]] = []
    parts: list[Series] = [empty_series(0)]
    taken = [np.empty((0, 3), np.uint64)]
    for dumped in dumps:
        known, seen, series, entries = unpack(dumped)
        chosen = [s for s, (_, symbol) in enumerate(known) if wanted(symbol)]
        numbers = np.full(len(known), -1, np.int64)
        numbers[chosen] = np.arange(len(names), len(names) + len(chosen))
        names += [known[s] for s in chosen]
        replays += [seen[s] for s in chosen]
        parts.append((series[0][chosen], series[1][chosen], series[2][chosen]))
        taken.append(_renumbered(entries, numbers))
    if len(set(names)) < len(names):
        raise ValueError("two snapshots know the same series")
    prices, counts, facts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    entries = np.concatenate(taken)
    return pack(names, replays, State(prices, counts, facts, entries), entries)


def _renumbered(entries: NDArray[np.uint64], numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The trade ids of the series that get a number, under that number."""
    owners = entries[:, OWNER]
    now = numbers[(owners >> np.uint64(32)).astype(np.int64)]
    kept = entries[now >= 0]
    kept[:, OWNER] = now[now >= 0].astype(np.uint64) << np.uint64(32) | (kept[:, OWNER] & np.uint64(0xFFFFFFFF))
    return kept


def unpack(dumped: bytes) -> tuple[list[tuple[str, str]], list[tuple[str, ...]], Series, NDArray[np.uint64]]:
    """Names, replays, series (with room for more) and trade ids; ValueError when this is not a snapshot."""
    line, _, rest = dumped.partition(b"\n")
    heading = json.loads(line)
    form, *parts = heading.get("layout") or [0]
    if form not in (FORM_BEFORE, FORM) or parts != _LAYOUT[1:]:
        raise ValueError(f"a snapshot of another layout: {heading.get('layout')}, not {_LAYOUT}")
    names = [(venue, symbol) for venue, symbol in heading["names"]]
    replays = [tuple(seen) for seen in heading["replays"]]
    count = len(names)
    sizes = [count * 2 * PRICES * LANES, count * 2 * NUMBERS * LANES, count * FACTS, heading["entries"] * 3]
    if len(rest) != 8 * sum(sizes):
        raise ValueError(f"a snapshot of {len(rest)} bytes where {8 * sum(sizes)} were announced")
    words = np.split(np.frombuffer(rest, np.uint64), np.cumsum(sizes)[:-1])
    series = empty_series(max(64, 2 * count))
    for array, stored in zip(series, words, strict=False):
        array[:count] = stored.view(array.dtype).reshape((count, *array.shape[1:]))
    entries = words[3].reshape(-1, 3)
    return names, replays, series, entries if form == FORM else entries[:0]
