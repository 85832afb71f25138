"""The fold's state as bytes: a line of JSON that says what follows, then the arrays as they lie in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.domain.bars.layout import FACTS, INTERVALS, LANES, NUMBERS, PRICES, State, empty_series

FORM = 1
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


def unpack(dumped: bytes) -> tuple[list[tuple[str, str]], list[tuple[str, ...]], Series, NDArray[np.uint64]]:
    """Names, replays, series (with room for more) and trade ids; ValueError when this is not a snapshot."""
    line, _, rest = dumped.partition(b"\n")
    heading = json.loads(line)
    if heading.get("layout") != _LAYOUT:
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
    return names, replays, series, words[3].reshape(-1, 3)
