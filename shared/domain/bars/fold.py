"""The fold of ticks into bars: what is taken, when a bar is said, and what makes a series begin anew.

A series is one symbol at one venue. Its watermark is the highest event time taken. A tick no older than the watermark
less the lateness is taken wherever it falls, unless its trade id was taken within that time; an older one is late.
A bar opens at its earliest event time (among equals the first to arrive) and closes at its latest (the last to arrive).
Where bars begin and end is in `hours.py`; bars that end by what was traded are in `measures.py`.

A bar is said when a tick at or beyond its end arrives, when its end has passed on the clock of a live series, or when
the source has ended. A said bar that changes is said again with the next revision: at once when it was closed, at its
close when it was only said as it stood. An interval without a trade has no bar.

A replay new to a series that begins before the watermark makes the series begin anew, so that the same file gives the
same bars a second time.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.contract.market import Bar, Interval
from shared.contract.sessions import Timetable
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import kernel, layout, snapshot
from shared.domain.bars.calendars import Calendars
from shared.domain.bars.hours import bar_at, stretch
from shared.domain.bars.layout import Gauges, Ids, Memory, Reach, Said, State, Ticks
from shared.domain.bars.measures import empty_gauges
from shared.domain.bars.snapshot import Snapshot
from shared.domain.bars.taken import PLACES_MIN, living, placed, places_for, salt_of, set_keys

__all__ = ["INTERVALS", "BarFold", "SaidBar"]

INTERVALS = tuple(Interval)
CHUNK = 1 << 12
LOG_MIN = 4 * CHUNK
SERIES_MIN = 64
assert CHUNK <= PLACES_MIN // 2
DICTIONARIES_KEPT = 256
REPLAYS_KEPT = 8
LATENESS_NS_MAX = Interval.m1.length_ns
BEHIND_NS = 10_000_000_000
"""Who folds ticks received longer ago than that is catching up: the clock would close bars still to be filled."""


@dataclass(frozen=True)
class SaidBar:
    """A bar as it was said. `replay` is the one that last began its series, "" when live."""

    bar: Bar
    replay: str


def no_measures(_symbol: str) -> Sequence[str]:
    return ()


class BarFold:
    """All series of all venues. What it says depends on the ticks and their order alone, not on how they are cut.

    `sessions` tells a symbol's timetable, None where it trades round the clock; `measures` which of them a symbol has.
    """

    def __init__(
        self,
        lateness_ns: int,
        intervals: Iterable[Interval] = INTERVALS,
        sessions: Callable[[str], Timetable | None] | None = None,
        measures: Callable[[str], Sequence[str]] = no_measures,
    ) -> None:
        if not 0 <= lateness_ns <= LATENESS_NS_MAX:
            raise ValueError("lateness must lie between 0 and a minute")
        self.lateness_ns = lateness_ns
        self._intervals = tuple(interval for interval in Interval if interval in set(intervals))
        self._lanes = layout.lanes_of(self._intervals, lateness_ns, calendars=sessions is not None)
        self._sessions = sessions
        self._calendars = Calendars(sessions)
        self._measures = measures
        self._tally = np.zeros(7, np.int64)
        self._keys = np.zeros(CHUNK, np.int64)
        self._room = layout.room(layout.SAID_ROWS)
        self._known: OrderedDict[tuple[str, tuple[str, ...]], NDArray[np.int64]] = OrderedDict()
        self._newest_received_ns: int | None = None
        self._begun = "", np.empty(0, np.int64), np.empty(0, np.int64)
        self._bars = 0
        self._revisions = 0
        self._recall(snapshot.nothing(self._intervals, self._lanes))

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
        codes = layout.fixed(columns.codes, np.int32)
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(series):
            raise ValueError("codes must index symbols")
        said = self._begin_anew(columns, series) if columns.replay else []
        if len(codes) and not columns.replay:
            self._newest_received_ns = int(columns.receive_ns[-1])
        ids = Texts.of(columns.trade_id)
        ticks = Ticks(
            series,
            codes,
            layout.fixed(columns.event_ns, np.int64),
            layout.fixed(columns.receive_ns, np.int64),
            layout.fixed(columns.price, np.float64),
            layout.fixed(columns.quantity, np.float64),
            layout.fixed(columns.side, np.int8),
            layout.fixed(ids.offsets, np.int32),
            layout.fixed(ids.data, np.uint8),
            self._keys,
        )
        # Of each length the bar before and the one after it, and one of each measure.
        lanes = len(self._intervals)
        said_max = 2 * lanes + int(self._memory.state.facts[: self.symbols, layout.GAUGES].max(initial=0))
        for begin in range(0, len(columns), CHUNK):
            end = min(begin + CHUNK, len(columns))
            has_ids = bool(ids.offsets[end] > ids.offsets[begin])
            reach = Reach(begin, end, self.lateness_ns, not columns.replay, has_ids, lanes, said_max)
            said += self._fold(ticks, reach)
        if columns.ended:
            said += self._say_open(series)
        return said

    def bars_at(self, venue: str, symbol: str, at_ns: int) -> list[tuple[Interval, int, int]]:
        """Which bars a tick of that time is in: of each length its start and end. None where no tick is taken."""
        if at_ns > layout.TIME_NS_MAX:
            return []
        s = self._register((venue, symbol))
        kind, anchor, end = stretch(self._memory.hours, s, at_ns)
        bounds = [bar_at(at_ns, interval.length_ns, kind, anchor, end) for interval in self._intervals]
        found = zip(self._intervals, bounds, strict=True)
        return [(interval, int(start), int(stop)) for interval, (start, stop) in found if start != layout.NEVER]

    def is_settled(self, venue: str, symbol: str, end_ns: int) -> bool:
        """Whether no tick can change a bar that ends then any more."""
        s = self._register((venue, symbol))
        return bool(self._memory.state.facts[s, layout.WATERMARK] - self.lateness_ns >= end_ns)

    def alone(self, interval: Interval) -> BarFold:
        """Another one, of this interval alone, with nothing in it."""
        return BarFold(self.lateness_ns, (interval,), self._sessions)

    def close_due(self, now_ns: int) -> list[SaidBar]:
        """Say the bars of live series whose end has passed by this clock, unless it is still catching up with it."""
        is_behind = self._newest_received_ns is not None and self._newest_received_ns < now_ns - BEHIND_NS
        self._newest_received_ns = None
        said: list[SaidBar] = []
        left = not is_behind
        while left:
            left = kernel.close_due(*self._memory[:2], self.symbols, now_ns, self._room, self._tally)
            said += self._drain(self._room)
        return said

    def dump(self) -> bytes:
        """Everything remembered, as bytes."""
        ids, count = self._memory.ids, self.symbols
        return snapshot.pack(
            Snapshot(
                self._intervals,
                tuple(self._memory.lanes.depths.tolist()),
                self._names,
                self._replays,
                State._make(array[:count] for array in self._memory.state),
                self._gauged,
                self._memory.gauges,
                living(ids.taken, self._memory.state.facts, self.lateness_ns),
                living(ids.log[: self._tally[layout.LOGGED]], self._memory.state.facts, self.lateness_ns),
            )
        )

    def load(self, dumped: bytes) -> None:
        """Remember what `dump` gave, and nothing else. ValueError when it is not such a thing.

        Of an interval that is not in it, the bars that are under way are not said: their beginnings are not known.
        """
        self._recall(snapshot.unpack(dumped))

    def _recall(self, known: Snapshot) -> None:
        count = len(known.names)
        room = max(SERIES_MIN, 2 * count)
        self._names, self._replays = known.names, known.replays
        self._number = {name: at for at, name in enumerate(known.names)}
        self._known.clear()
        salts = np.zeros(room, np.uint64)
        salts[:count] = [salt_of(*name) for name in known.names]
        log = np.empty((max(LOG_MIN, 2 * len(known.log)), 3), np.int64)
        log[: len(known.log)] = known.log
        ids = Ids(placed(known.taken, places_for(len(known.taken))), log, salts)
        self._tally[layout.HELD], self._tally[layout.LOGGED] = len(known.taken), len(known.log)
        lanes = self._lanes
        state = snapshot.fitted(known, self._intervals, lanes, room)
        self._gauged = []
        self._memory = Memory(state, lanes, self._calendars.hours(known.names, room), ids, empty_gauges([]))
        for s in range(count):
            self._gauge(s, known)
        for k, interval in enumerate(self._intervals):
            if interval not in known.intervals:
                for s in np.flatnonzero(state.facts[:count, layout.WATERMARK] >= 0).tolist():
                    kernel.mute(state, lanes, self._memory.hours, s, k)

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
            if number == len(self._memory.state.facts):
                self._double()
            self._memory.ids.salts[number] = salt_of(*name)
            self._memory = self._memory._replace(hours=self._calendars.with_series(number, name[1]))
            self._gauge(number)
        return number

    def _double(self) -> None:
        state = layout.doubled(self._memory.state, self._lanes)
        salts = self._memory.ids.salts
        ids = self._memory.ids._replace(salts=np.concatenate((salts, np.zeros_like(salts))))
        self._memory = self._memory._replace(state=state, ids=ids)
        self._calendars.make_room(len(state.facts))

    def _gauge(self, s: int, known: Snapshot | None = None) -> None:
        """Give a series the gauges of its measures, as far on as they are in the snapshot."""
        words = list(dict.fromkeys(self._measures(self._names[s][1])))
        more = empty_gauges(words)
        for at, word in enumerate(words):
            if known is not None and (s, word) in known.gauged:
                row = known.gauged.index((s, word))
                more.amounts[at], more.counts[at] = known.gauges.amounts[row], known.gauges.counts[row]
        facts = self._memory.state.facts[s]
        facts[layout.GAUGE], facts[layout.GAUGES] = len(self._gauged), len(words)
        self._gauged += [(s, word) for word in words]
        if words:
            gauges = Gauges._make(np.concatenate(pair) for pair in zip(self._memory.gauges, more, strict=True))
            self._memory = self._memory._replace(gauges=gauges)

    def _begin_anew(self, columns: TickColumns, series: NDArray[np.int64]) -> list[SaidBar]:
        """Where this replay is new to a series and goes back in its time: say what is open and forget the series."""
        if self._begun[0] != columns.replay or self._begun[1] is not series:
            new = [code for code, s in enumerate(series.tolist()) if columns.replay not in self._replays[s]]
            self._begun = columns.replay, series, np.array(new, np.int64)
        left = self._begun[2]
        if len(left) == 0:
            return []  # as nearly always: the same symbols as in the frame before
        first = np.full(len(series), -1)
        first[columns.codes[::-1]] = np.arange(len(columns))[::-1]  # of rows of one code the last one put stays
        self._begun = columns.replay, series, left[first[left] < 0]
        said: list[SaidBar] = []
        for code in left[first[left] >= 0].tolist():
            s = int(series[code])
            if columns.replay in self._replays[s]:
                continue  # a frame may name a symbol twice
            if columns.event_ns[first[code]] < self._memory.state.facts[s, layout.WATERMARK]:
                said += self._say_open(series[code : code + 1])
                self._forget(s)
            self._replays[s] = (*self._replays[s], columns.replay)[-REPLAYS_KEPT:]
        return said

    def _forget(self, s: int) -> None:
        """What a series has taken; its ids count no more, since it is in another epoch from now on."""
        facts = self._memory.state.facts
        kept = {fact: int(facts[s, fact]) for fact in (layout.EPOCH, layout.GAUGE, layout.GAUGES)}
        for array, empty in zip(self._memory.state, layout.empty_series(1, self._lanes), strict=True):
            array[s] = empty[0]
        for fact, value in kept.items():
            facts[s, fact] = value
        facts[s, layout.EPOCH] = (kept[layout.EPOCH] + 1) & 0x7FFFFFFF
        own = slice(kept[layout.GAUGE], kept[layout.GAUGE] + kept[layout.GAUGES])
        for array, empty in zip(
            self._memory.gauges, empty_gauges([word for _, word in self._gauged[own]]), strict=True
        ):
            array[own] = empty

    # The kernel.

    def _fold(self, ticks: Ticks, reach: Reach) -> list[SaidBar]:
        if reach.has_ids:
            self._make_log(reach.end - reach.begin)
            set_keys(ticks, reach.begin, reach.end, self._memory.state.facts, self._memory.ids)
        said: list[SaidBar] = []
        begin = reach.begin
        while begin < reach.end:
            begin = kernel.fold(self._memory, ticks, self._room, self._tally, reach, begin)
            said += self._drain(self._room)
            if self._tally[layout.CROWDED]:
                self._make_places(reach.end - begin)
        return said

    def _make_log(self, count: int) -> None:
        """Room in the log for so many more ids; what lives on is never more than half of it, for long."""
        ids, logged = self._memory.ids, int(self._tally[layout.LOGGED])
        if logged + count <= len(ids.log):
            return
        kept = living(ids.log[:logged], self._memory.state.facts, self.lateness_ns)
        size = len(ids.log)
        while 2 * (len(kept) + count) > size:
            size *= 2
        log = ids.log if size == len(ids.log) else np.empty((size, 3), np.int64)
        log[: len(kept)] = kept
        self._memory = self._memory._replace(ids=ids._replace(log=log))
        self._tally[layout.LOGGED] = len(kept)

    def _make_places(self, count: int) -> None:
        """Keep the table of trade ids at most half full, also when the log is carried over into it."""
        ids, facts = self._memory.ids, self._memory.state.facts
        kept = living(ids.taken, facts, self.lateness_ns)
        places = max(places_for(len(kept) + int(self._tally[layout.LOGGED]) + count), len(ids.taken) // 2)
        self._memory = self._memory._replace(ids=ids._replace(taken=placed(kept, places)))
        self._tally[layout.HELD], self._tally[layout.CROWDED] = len(kept), 0

    def _say_open(self, series: NDArray[np.int64]) -> list[SaidBar]:
        said = layout.room(len(series) * len(self._intervals))
        kernel.say_open(*self._memory[:2], series, said, self._tally)
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
        for (s, lane), (start_ns, end_ns, _, _, count, revision, empty, *_), price in zip(
            which, numbers, prices, strict=True
        ):
            opened, high, low, close, volume, turnover, taker, _ = price
            venue, symbol = self._names[s]
            gauge = lane - len(self._intervals)
            bar = Bar.made(  # all of it is known to be right
                venue=venue,
                symbol=symbol,
                interval=self._intervals[lane] if gauge < 0 else self._gauged[gauge][1],
                start_ns=start_ns,
                end_ns=end_ns,
                open=opened,
                high=high,
                low=low,
                close=close,
                volume=volume,
                vwap=min(max(turnover / volume, low), high),
                taker_buy_volume=min(taker, volume),
                count=count,
                revision=revision,
                empty_before=empty if gauge < 0 else 0,
                number=empty if gauge >= 0 else 0,
            )
            yield SaidBar(bar, self._replays[s][-1] if self._replays[s] else "")


@functools.cache
def warm() -> None:
    """Have everything compiled, or its machine code loaded, before the first tick waits for it. Once a process."""
    fold = BarFold(0, (Interval.m1,))
    one = np.ones(1, np.int64)
    price = np.ones(1)
    ids = Texts.of(["x"])
    codes, side = np.zeros(1, np.int32), np.zeros(1, np.int8)
    fold.take(TickColumns("warm", ("WARM",), codes, one, one, price, price, side, ids, one, ended=True))
    fold.close_due(0)
    other = BarFold(0, (Interval.s1,))
    other.load(fold.dump())
