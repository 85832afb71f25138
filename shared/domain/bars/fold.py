"""The fold of ticks into bars: what is taken, when a bar is said, and what makes a series begin anew.

A series is one symbol at one venue. Its watermark is the highest event time taken. A tick no older than the watermark
less the lateness is taken wherever it falls, unless its trade id was taken within that time; an older one is late.
A bar opens at its earliest event time (among equals the first to arrive) and closes at its latest (the last to arrive).

A bar is said when a tick at or beyond its end arrives, when its end has passed on the clock of a live series, or when
the source has ended. A said bar that changes is said again with the next revision: at once when it was closed, at its
close when it was only said as it stood. An interval without a trade has no bar.

A replay new to a series that begins before the watermark makes the series begin anew, so that the same file gives the
same bars a second time.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.contract.market import Bar
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import kernel, layout, snapshot
from shared.domain.bars.layout import INTERVALS, LANES, Said, State, Ticks
from shared.domain.bars.taken import PLACES_MIN, hash_all, living, placed, places_for, salt_of

__all__ = ["INTERVALS", "BarFold", "SaidBar"]

N = TypeVar("N", bound=np.generic)

CHUNK = 1 << 12
assert CHUNK <= PLACES_MIN // 2
DICTIONARIES_KEPT = 256
REPLAYS_KEPT = 8


@dataclass(frozen=True)
class SaidBar:
    """A bar as it was said. `replay` is the one that last began its series, "" when live."""

    bar: Bar
    replay: str


class BarFold:
    """All series of all venues. What it says depends on the ticks and their order alone, not on how they are cut."""

    def __init__(self, lateness_ns: int) -> None:
        if not 0 <= lateness_ns <= kernel.SHORTEST:
            raise ValueError("lateness must lie between 0 and the shortest interval")
        self._lateness_ns = lateness_ns
        self._names: list[tuple[str, str]] = []
        self._number: dict[tuple[str, str], int] = {}
        self._replays: list[tuple[str, ...]] = []
        self._state = State(*layout.empty_series(64), placed(np.empty((0, 3), np.uint64), places_for(0)))
        self._salts = np.zeros(64, np.uint64)
        self._tally = np.zeros(5, np.int64)
        self._keys = np.zeros(CHUNK, np.uint64)
        self._room = layout.room(layout.SAID_ROWS)
        self._known: OrderedDict[tuple[str, tuple[str, ...]], NDArray[np.int64]] = OrderedDict()
        self._bars = 0
        self._revisions = 0

    @property
    def totals(self) -> dict[str, int]:
        """What was counted since this fold was made."""
        ticks, late, duplicates = self._tally[: layout.SAID].tolist()
        counts = {"ticks": ticks, "late": late, "duplicates": duplicates}
        return {**counts, "bars": self._bars, "revisions": self._revisions}

    @property
    def symbols(self) -> int:
        """How many series it knows."""
        return len(self._names)

    def take(self, columns: TickColumns) -> list[SaidBar]:
        """Fold these ticks; the bars said by them, in order."""
        series = self._series_of(columns.venue, tuple(columns.symbols))
        said = self._begin_anew(columns, series) if columns.replay else []
        ids = Texts.of(columns.trade_id)
        for begin in range(0, len(columns), CHUNK):
            part = slice(begin, begin + CHUNK)
            said += self._fold(
                Ticks(
                    series,
                    _fixed(columns.codes[part], np.int32),
                    _fixed(columns.event_ns[part], np.int64),
                    _fixed(columns.receive_ns[part], np.int64),
                    _fixed(columns.price[part], np.float64),
                    _fixed(columns.quantity[part], np.float64),
                    _fixed(ids.offsets[begin : begin + CHUNK + 1], np.int32),
                    _fixed(ids.data, np.uint8),
                    self._keys,
                ),
                live=not columns.replay,
            )
        if columns.ended:
            said += self._say_open(series)
        return said

    def close_due(self, now_ns: int) -> list[SaidBar]:
        """Say the bars of live series whose end has passed by this clock."""
        said: list[SaidBar] = []
        left = 1
        while left:
            left = kernel.close_due(self._state, self.symbols, now_ns, self._room, self._tally)
            said += self._drain(self._room)
        return said

    def dump(self) -> bytes:
        """Everything remembered, as bytes."""
        entries = living(self._state.taken, self._state.facts, self._lateness_ns)
        return snapshot.pack(self._names, self._replays, self._state, entries)

    def load(self, dumped: bytes) -> None:
        """Remember what `dump` gave, and nothing else. ValueError when it is not such a thing."""
        names, replays, series, entries = snapshot.unpack(dumped)
        self._names, self._replays = names, replays
        self._number = {name: at for at, name in enumerate(names)}
        self._known.clear()
        self._state = State(*series, placed(entries, places_for(len(entries))))
        self._salts = np.zeros(len(self._state.facts), np.uint64)
        self._salts[: len(names)] = [salt_of(*name) for name in names]
        self._tally[layout.HELD] = len(entries)

    # Series.

    def _series_of(self, venue: str, symbols: tuple[str, ...]) -> NDArray[np.int64]:
        """The series behind each of a frame's symbols. Feeds name the same ones in every frame."""
        known = self._known.get((venue, symbols))
        if known is None:
            known = np.array([self._register((venue, symbol)) for symbol in symbols], np.int64)
            self._known[venue, symbols] = known
            if len(self._known) > DICTIONARIES_KEPT:
                self._known.popitem(last=False)
        return known

    def _register(self, name: tuple[str, str]) -> int:
        number = self._number.get(name)
        if number is None:
            number = self._number[name] = len(self._names)
            self._names.append(name)
            self._replays.append(())
            if number == len(self._state.facts):
                self._state = layout.doubled(self._state)
                self._salts = np.concatenate((self._salts, np.zeros_like(self._salts)))
            self._salts[number] = salt_of(*name)
        return number

    def _begin_anew(self, columns: TickColumns, series: NDArray[np.int64]) -> list[SaidBar]:
        """Where this replay is new to a series and goes back in its time: say what is open and forget the series."""
        new = [code for code, s in enumerate(series.tolist()) if columns.replay not in self._replays[s]]
        said: list[SaidBar] = []
        for code in new:
            s = int(series[code])
            at = np.flatnonzero(columns.codes == code)
            if len(at) == 0:
                continue
            if columns.event_ns[at[0]] < self._state.facts[s, layout.WATERMARK]:
                said += self._say_open(series[code : code + 1])
                self._forget(s)
            self._replays[s] = (*self._replays[s], columns.replay)[-REPLAYS_KEPT:]
        return said

    def _forget(self, s: int) -> None:
        prices, numbers, facts = layout.empty_series(1)
        epoch = (self._state.facts[s, layout.EPOCH] + 1) & 0xFFFFFFFF
        self._state.prices[s], self._state.numbers[s], self._state.facts[s] = prices[0], numbers[0], facts[0]
        self._state.facts[s, layout.EPOCH] = epoch

    # The kernel.

    def _fold(self, ticks: Ticks, *, live: bool) -> list[SaidBar]:
        count = len(ticks.codes)
        if count and not 0 <= ticks.codes.min() <= ticks.codes.max() < len(ticks.series):
            raise ValueError("codes must index symbols")
        self._make_places(count)
        hash_all(ticks, self._state.facts, self._salts, self._state.taken, self._keys)
        said: list[SaidBar] = []
        begin = 0
        while begin < count:
            begin = kernel.fold(self._state, ticks, self._room, self._tally, begin, self._lateness_ns, live)
            said += self._drain(self._room)
        return said

    def _make_places(self, count: int) -> None:
        """Keep the table of trade ids at most half full."""
        taken = self._state.taken
        if 2 * (self._tally[layout.HELD] + count) > len(taken):
            entries = living(taken, self._state.facts, self._lateness_ns)
            places = max(places_for(len(entries) + count), len(taken) // 2)
            self._state = self._state._replace(taken=placed(entries, places))
            self._tally[layout.HELD] = len(entries)

    def _say_open(self, series: NDArray[np.int64]) -> list[SaidBar]:
        said = layout.room(len(series) * LANES)
        kernel.say_open(self._state, series, said, self._tally)
        return self._drain(said)

    def _drain(self, said: Said) -> list[SaidBar]:
        """The bars in `said`, which is empty again."""
        count = int(self._tally[layout.SAID])
        self._tally[layout.SAID] = 0
        if count == 0:
            return []
        bars = list(self._read(*(column[:count].tolist() for column in said)))
        self._bars += count
        self._revisions += sum(one.bar.revision > 0 for one in bars)
        return bars

    def _read(
        self, which: Sequence[Sequence[int]], numbers: Sequence[Sequence[int]], prices: Sequence[Sequence[float]]
    ) -> Iterable[SaidBar]:
        for (s, lane), (start_ns, _, _, count, revision, empty, _, _), price in zip(
            which, numbers, prices, strict=True
        ):
            opened, high, low, close, volume, turnover = price
            (venue, symbol), interval = self._names[s], INTERVALS[lane]
            bar = Bar(
                venue=venue,
                symbol=symbol,
                interval=interval,
                start_ns=start_ns,
                end_ns=start_ns + interval.length_ns,
                open=opened,
                high=high,
                low=low,
                close=close,
                volume=volume,
                vwap=min(max(turnover / volume, low), high),
                count=count,
                revision=revision,
                empty_before=empty,
            )
            yield SaidBar(bar, self._replays[s][-1] if self._replays[s] else "")


def _fixed(column: NDArray[Any], kind: type[N]) -> NDArray[N]:
    """A read-only view. To the compiler it is another type than a writable one, so it must always be the same."""
    view = np.ascontiguousarray(column, kind).view()
    view.flags.writeable = False
    return view


@functools.cache
def warm() -> None:
    """Have everything compiled, or its machine code loaded, before the first tick waits for it. Once a process."""
    fold = BarFold(0)
    one = np.ones(1, np.int64)
    price = np.ones(1)
    ids = Texts.of(["x"])
    codes, side = np.zeros(1, np.int32), np.zeros(1, np.int8)
    fold.take(TickColumns("warm", ("WARM",), codes, one, one, price, price, side, ids, one, ended=True))
    fold.close_due(0)
    fold.load(fold.dump())
