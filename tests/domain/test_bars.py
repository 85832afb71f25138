"""The fold against ten lines of Python, and its rules one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.market import Bar, Interval
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import INTERVALS, BarFold, SaidBar, compiled, kernel, taken, warm

S = 1_000_000_000
LATENESS = 10 * S
NOON = 1_700_006_400 * S  # the start of a minute, a quarter and an hour


class T(NamedTuple):
    """A trade: seconds after NOON, price, quantity, id, symbol."""

    at_s: float
    price: float = 100.0
    quantity: float = 1.0
    trade_id: str = ""
    symbol: str = "A"
    side: int = 1

    @property
    def event_ns(self) -> int:
        return NOON + round(self.at_s * S)


def columns(trades: Sequence[T], *, replay: str = "", ended: bool = False, symbols: Sequence[str] = ()) -> TickColumns:
    symbols = tuple(symbols) or tuple(dict.fromkeys(trade.symbol for trade in trades))
    event_ns = np.array([trade.event_ns for trade in trades], np.int64)
    return TickColumns(
        venue="sim",
        symbols=symbols,
        codes=np.array([symbols.index(trade.symbol) for trade in trades], np.int32),
        event_ns=event_ns,
        receive_ns=event_ns,
        price=np.array([trade.price for trade in trades]),
        quantity=np.array([trade.quantity for trade in trades]),
        side=np.array([trade.side for trade in trades], np.int8),
        trade_id=[trade.trade_id for trade in trades],
        sequence=np.arange(len(trades), dtype=np.int64),
        replay=replay,
        ended=ended,
    )


LONGER = INTERVALS[1:]
"""Without seconds, so that a rule can be seen on few bars."""

END = columns([], ended=True, symbols=("A", "B"))


def bars_of(trades: Sequence[T]) -> dict[tuple[str, str, int], tuple[float, ...]]:
    """The oracle: all bars of trades in the order of their arrival."""
    held: dict[tuple[str, str, int], list[T]] = {}
    for interval in Interval:
        for trade in trades:
            start_ns = trade.event_ns - trade.event_ns % interval.length_ns
            held.setdefault((trade.symbol, interval.value, start_ns), []).append(trade)
    found: dict[tuple[str, str, int], tuple[float, ...]] = {}
    for key, some in held.items():
        in_time = sorted(some, key=lambda trade: trade.event_ns)
        prices, volume = [trade.price for trade in some], sum(trade.quantity for trade in some)
        taken_by_buyers = sum(trade.quantity for trade in some if trade.side == 1)
        turnover = sum(trade.price * trade.quantity for trade in some)
        found[key] = (
            *(in_time[0].price, max(prices), min(prices), in_time[-1].price),
            *(volume, taken_by_buyers, turnover / volume, len(some)),
        )
    return found


def empties_of(bars: dict[tuple[str, str, int], tuple[float, ...]]) -> dict[tuple[str, str, int], int]:
    found = dict.fromkeys(bars, 0)
    for (symbol, length, start), (other, same, later) in pairwise(sorted(bars)):
        if (symbol, length) == (other, same):
            found[other, same, later] = (later - start) // Interval(length).length_ns - 1
    return found


def last_said(said: Sequence[SaidBar]) -> dict[tuple[str, str, int], Bar]:
    """Each bar as it was said last; its revisions must have come one after the other."""
    last: dict[tuple[str, str, int], Bar] = {}
    for one in said:
        key = (one.bar.symbol, one.bar.interval.value, one.bar.start_ns)
        assert one.bar.revision == (last[key].revision + 1 if key in last else 0)
        last[key] = one.bar
    return last


def words(bar: Bar) -> tuple[float, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.taker_buy_volume, bar.vwap, bar.count)


def counts(fold: BarFold) -> tuple[int, int, int]:
    """Ticks taken, late, and sent before."""
    return fold.totals["ticks"], fold.totals["late"], fold.totals["duplicates"]


def minutes(said: Sequence[SaidBar]) -> list[Bar]:
    return [one.bar for one in said if one.bar.interval is Interval.m1]


# Quarters are exact in binary, so sums do not depend on the order of arrival.
exact = st.integers(1, 4000).map(lambda n: n / 4)
trade = st.builds(
    T,
    st.integers(0, 40_000).map(lambda n: n / 4),
    exact,
    exact,
    symbol=st.sampled_from("AB"),
    side=st.sampled_from((-1, 0, 1)),
)


@st.composite
def arrivals(draw: st.DrawFn) -> list[T]:
    """Trades in an order of arrival in which none is late, some of them sent twice."""
    trades = draw(st.lists(trade, min_size=1, max_size=60))
    gap_s = draw(st.sampled_from([0.01, 1.0, 10.0]))  # dense, sparse, or with empty intervals
    delays = draw(st.lists(st.integers(0, 39), min_size=len(trades), max_size=len(trades)))
    named = [one._replace(at_s=round(one.at_s * gap_s * 4) / 4, trade_id=f"t{n}") for n, one in enumerate(trades)]
    sent = sorted(zip(named, delays, strict=True), key=lambda pair: pair[0].at_s + pair[1] / 4)
    return [one for one, delay in sent for _ in range(1 + (delay % 5 == 0))]


def cut(trades: Sequence[T], sizes: Sequence[int]) -> list[TickColumns]:
    """These trades in frames of these sizes, over and over."""
    frames: list[TickColumns] = []
    rest = list(trades)
    while rest:
        size = sizes[len(frames) % len(sizes)]
        frames.append(columns(rest[:size], symbols=("B", "A")))
        rest = rest[size:]
    return frames


def said_by(fold: BarFold, frames: Sequence[TickColumns]) -> list[SaidBar]:
    return [bar for frame in frames for bar in fold.take(frame)]


@given(arrivals(), st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_the_bars_are_those_of_the_oracle_in_whatever_order_ticks_arrive_within_the_bound(
    sent: list[T], said_every: int
) -> None:
    fold = BarFold(LATENESS)
    said = said_by(fold, [frame for some in cut(sent, [said_every]) for frame in (some, END)])

    once = list(dict.fromkeys(sent))
    bars = last_said(said)
    expected = bars_of(once)
    assert {key: words(bar) for key, bar in bars.items()} == expected
    assert {key: bar.empty_before for key, bar in bars.items()} == empties_of(expected)
    assert counts(fold) == (len(once), 0, len(sent) - len(once))


@given(arrivals(), st.lists(st.integers(1, 9), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_what_is_said_does_not_depend_on_how_ticks_are_cut_into_frames(sent: list[T], sizes: list[int]) -> None:
    assert said_by(BarFold(LATENESS), [columns(sent, symbols=("B", "A")), END]) == said_by(
        BarFold(LATENESS), [*cut(sent, sizes), END]
    )


@given(arrivals(), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_a_fold_loaded_from_its_dump_goes_on_as_if_nothing_had_been(sent: list[T], at: int) -> None:
    frames = cut(sent, [1])
    whole, first = BarFold(LATENESS), BarFold(LATENESS)
    expected = said_by(whole, [*frames, END])

    said = said_by(first, frames[:at])
    second = BarFold(LATENESS)
    second.load(first.dump())
    said += said_by(second, [*frames[at:], END])

    assert said == expected
    assert second.dump() == whole.dump()


@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from("abcdef"), st.sampled_from("AB")), max_size=80))
@settings(max_examples=100, deadline=None)
def test_late_ticks_and_duplicates_are_told_exactly(given_: list[tuple[int, str, str]]) -> None:
    sent = [T(at_s=at, trade_id=name, symbol=symbol) for at, name, symbol in given_]
    watermark: dict[str, float] = {}
    seen: dict[tuple[str, str], float] = {}
    taken = late = duplicates = 0
    for one in sent:
        oldest = watermark.get(one.symbol, -1e9) - 10
        if one.at_s < oldest:
            late += 1
        elif seen.get((one.symbol, one.trade_id), -2e9) >= oldest:
            duplicates += 1
        else:
            taken += 1
            seen[one.symbol, one.trade_id] = one.at_s
            watermark[one.symbol] = max(watermark.get(one.symbol, -1e9), one.at_s)

    fold = BarFold(LATENESS)
    said_by(fold, cut(sent, [7]))

    assert counts(fold) == (taken, late, duplicates)


def test_a_bar_is_said_when_a_tick_at_its_end_arrives() -> None:
    fold = BarFold(LATENESS, LONGER)
    assert fold.take(columns([T(0, 100), T(59.9, 103)])) == []

    (bar,) = minutes(fold.take(columns([T(60, 99)])))

    assert (bar.start_ns, bar.end_ns, bar.revision) == (NOON, NOON + 60 * S, 0)
    assert words(bar) == (100, 103, 100, 103, 2, 2, 101.5, 2)


def test_a_late_tick_corrects_every_bar_it_falls_in_that_was_said() -> None:
    fold = BarFold(LATENESS, LONGER)
    fold.take(columns([T(290, 100), T(301, 101)]))

    corrected = [one.bar for one in fold.take(columns([T(295, 105)]))]

    assert [(bar.interval, bar.revision) for bar in corrected] == [(Interval.m1, 1), (Interval.m5, 1)]
    assert all(words(bar) == (100, 105, 100, 105, 2, 2, 102.5, 2) for bar in corrected)


def test_a_late_tick_in_an_interval_without_a_bar_makes_one_and_mends_the_count_of_empty_intervals() -> None:
    fold = BarFold(LATENESS, LONGER)
    fold.take(columns([T(30), T(245)]))

    (bar,) = minutes(fold.take(columns([T(235)])))
    (after,) = minutes(fold.take(columns([T(300)])))

    assert (bar.start_ns, bar.revision, bar.empty_before) == (NOON + 180 * S, 0, 2)
    assert (after.start_ns, after.empty_before) == (NOON + 240 * S, 0)


def test_an_older_tick_is_refused_as_late() -> None:
    fold = BarFold(LATENESS, LONGER)
    fold.take(columns([T(20), T(10), T(9.99)]))

    assert counts(fold) == (2, 1, 0)


def test_equal_times_open_with_the_first_to_arrive_and_close_with_the_last() -> None:
    fold = BarFold(LATENESS, LONGER)
    (bar,) = minutes(fold.take(columns([T(5, 1), T(5, 2), T(5, 3), T(60, 9)])))

    assert (bar.open, bar.close) == (1, 3)


def test_ticks_without_an_id_are_never_duplicates() -> None:
    fold = BarFold(LATENESS, LONGER)
    fold.take(columns([T(1), T(1), T(1, trade_id="x"), T(1, trade_id="x"), T(1, trade_id="x", symbol="B")]))

    assert counts(fold) == (4, 0, 1)


def test_the_clock_closes_a_live_bar_and_a_tick_that_comes_after_all_corrects_it_at_once() -> None:
    fold = BarFold(LATENESS, LONGER)
    fold.take(columns([T(58, 100)]))
    assert fold.close_due(NOON + 60 * S - 1) == []

    (closed,) = minutes(fold.close_due(NOON + 60 * S))
    (corrected,) = minutes(fold.take(columns([T(59, 101)])))

    assert (closed.revision, closed.close) == (0, 100)
    assert (corrected.revision, corrected.close) == (1, 101)
    assert fold.close_due(NOON + 61 * S) == []
    assert minutes(fold.take(columns([T(60, 102)]))) == []


def test_the_clock_closes_no_bar_of_a_replay_nor_of_a_feed_that_is_behind() -> None:
    replayed, behind = BarFold(LATENESS, LONGER), BarFold(LATENESS, LONGER)
    replayed.take(columns([T(58)], replay="r1"))
    frame = columns([T(58)])
    behind.take(replace(frame, receive_ns=frame.event_ns + 60 * S))

    assert replayed.close_due(NOON + 3600 * S) == behind.close_due(NOON + 3600 * S) == []


def test_while_it_catches_up_the_clock_closes_no_bar_whose_ticks_may_yet_come() -> None:
    fold = BarFold(LATENESS, LONGER)
    now_ns = NOON + 600 * S
    fold.take(columns([T(1), T(58)]))
    assert fold.close_due(now_ns) == []

    assert len(minutes(fold.close_due(now_ns + S))) == 1, "nothing came since"


def test_the_clock_closes_more_bars_than_fit_at_once() -> None:
    fold = BarFold(LATENESS, LONGER)
    fold.take(columns([T(1, symbol=f"S{n}") for n in range(2000)]))
    fold.close_due(NOON)

    said = fold.close_due(NOON + 86_400 * S)

    assert len(said) == 2000 * len(LONGER)
    assert fold.close_due(NOON + 86_400 * S) == []


def test_a_source_that_has_ended_has_its_open_bars_said_and_they_stay_open() -> None:
    fold = BarFold(LATENESS, LONGER)
    said = fold.take(columns([T(1, 100), T(2, 101)], replay="r1", ended=True))
    again = fold.take(columns([], replay="r1", ended=True, symbols=("A",)))
    more = fold.take(columns([T(3, 102)], replay="r1"))
    closed = minutes(fold.take(columns([T(60, 99)], replay="r1")))

    assert [one.bar.interval for one in said] == list(LONGER)
    assert again == more == []
    assert [(bar.revision, bar.close, bar.count) for bar in closed] == [(1, 102, 3)]


def test_a_second_replay_gives_exactly_the_same_bars() -> None:
    fold = BarFold(LATENESS, LONGER)
    file = [T(n * 7, 100 + n % 13, 0.1 * (n + 1), str(n)) for n in range(200)]
    end = columns([], ended=True, symbols=("A",))

    first = said_by(fold, [columns(file, replay="r1"), replace(end, replay="r1")])
    halves = [columns(file[:90], replay="r2"), columns(file[90:], replay="r2")]
    second = said_by(fold, [*halves, replace(end, replay="r2")])

    assert last_said(first)
    assert [one.bar for one in first] == [one.bar for one in second]
    assert {one.replay for one in first} == {"r1"}
    assert {one.replay for one in second} == {"r2"}


def test_a_second_replay_of_a_few_seconds_gives_the_same_bars_too() -> None:
    fold = BarFold(LATENESS, LONGER)
    file = [T(1, 5), T(2, 6)]

    first = fold.take(columns(file, replay="r1", ended=True))
    second = fold.take(columns(file, replay="r2", ended=True))

    assert [one.bar for one in first] == [one.bar for one in second]


def test_a_replay_killed_half_way_and_done_again_gives_the_bars_of_one_that_was_not() -> None:
    file = [T(n * 7, 100 + n % 13, 1, str(n)) for n in range(200)]
    undisturbed = BarFold(LATENESS, LONGER).take(columns(file, replay="r", ended=True))

    fold = BarFold(LATENESS, LONGER)
    fold.take(columns(file[:77], replay="r1"))
    said = fold.take(columns(file, replay="r2", ended=True))

    standing, again = said[: len(said) - len(undisturbed)], said[-len(undisturbed) :]
    assert {one.replay for one in standing} == {"r1"}
    assert [one.bar for one in again] == [one.bar for one in undisturbed]


def test_a_replay_that_goes_on_where_the_last_one_ended_goes_on_with_its_bars() -> None:
    fold = BarFold(LATENESS, LONGER)
    fold.take(columns([T(1, 5)], replay="r1"))
    (bar,) = minutes(fold.take(columns([T(2, 6), T(60, 7)], replay="r2")))

    assert words(bar) == (5, 6, 5, 6, 2, 2, 5.5, 2)


def test_a_series_begins_anew_with_its_first_trade_of_a_replay_in_whatever_frame_that_is() -> None:
    fold = BarFold(LATENESS, (Interval.m1,))
    named = ("A", "B", "B", "C")
    before = columns([T(600, 9, symbol=symbol) for symbol in "ABC"], symbols=("A", "B", "C"))
    fold.take(before)
    frames = [
        columns([T(601, 1, symbol="C"), T(1, 2, symbol="C"), T(2, 3, symbol="A")], replay="r", symbols=named),
        columns([T(3, 4, symbol="B"), T(4, 5, symbol="A")], replay="r", symbols=named),
        columns([T(2, 6, symbol="B")], replay="r", symbols=named),
    ]
    # The second of the same names stands for the same symbol.
    frames[2] = replace(frames[2], codes=np.full(1, 2, np.int32))
    said = said_by(fold, [*frames, columns([], replay="r", symbols=named, ended=True)])

    last = {(one.bar.symbol, one.bar.start_ns): one.bar.count for one in said if one.replay == "r"}
    assert last == {("A", NOON): 2, ("B", NOON): 2, ("C", NOON + 600 * S): 2}
    assert fold.totals["late"] == 1, "C was not behind its own time when the replay began"


def test_codes_that_name_no_symbol_are_refused_also_in_a_replay() -> None:
    wrong = replace(columns([T(1)], replay="r"), codes=np.full(1, 5, np.int32))
    with pytest.raises(ValueError, match="index symbols"):
        BarFold(LATENESS).take(wrong)


def test_two_replays_of_one_symbol_at_once_do_not_begin_each_other_anew_for_ever() -> None:
    fold = BarFold(LATENESS, LONGER)
    fold.take(columns([T(1000)], replay="r1"))
    fold.take(columns([T(1)], replay="r2"))
    fold.take(columns([T(1001)], replay="r1"))
    fold.take(columns([T(2)], replay="r2"))

    assert fold.totals["late"] == 1


def test_an_id_counts_anew_after_its_series_began_anew() -> None:
    fold = BarFold(LATENESS, LONGER)
    fold.take(columns([T(1, trade_id="x"), T(2, trade_id="y")], replay="r1"))
    fold.take(columns([T(1, trade_id="x"), T(2, trade_id="y")], replay="r2"))

    assert fold.totals["duplicates"] == 0


def test_a_time_too_far_ahead_to_have_a_bar_is_refused() -> None:
    fold = BarFold(LATENESS, LONGER)
    frame = columns([T(1), T(2)])
    frame.event_ns[0] = 2**63 - 1
    fold.take(frame)

    assert counts(fold) == (1, 1, 0)


def test_many_series_and_many_ids_are_all_remembered() -> None:
    fold = BarFold(LATENESS, LONGER)
    trades = [T(n / 2000, 100, 1, f"id-{n % 10_000}", f"S{n % 500}") for n in range(20_000)]
    fold.take(columns(trades))

    assert (*counts(fold), fold.symbols) == (10_000, 0, 10_000, 500)


def test_a_snapshot_that_is_none_or_of_another_layout_is_refused() -> None:
    fold = BarFold(LATENESS, LONGER)
    fold.take(columns([T(1)]))
    dumped = fold.dump()

    for broken in (b"", b"{}", dumped[:-1], dumped.replace(b'"form": 3', b'"form": 2')):
        with pytest.raises(ValueError):
            BarFold(LATENESS, LONGER).load(broken)


def test_other_intervals_go_on_with_the_bars_they_know_and_say_no_bar_whose_beginning_they_do_not() -> None:
    before = BarFold(LATENESS, (Interval.m1, Interval.h1))
    after = BarFold(LATENESS, (Interval.s1, Interval.m5, Interval.h1))
    before.take(columns([T(30, 100), T(90, 101)]))
    after.load(before.dump())

    more = [T(90.5, 102), T(95, 103), T(89.9, 99), T(300, 104), T(600), T(3600)]
    said = [one.bar for one in after.take(columns(more))]

    assert {(bar.interval, bar.start_ns - NOON) for bar in said} == {
        ("1s", 95 * S),
        ("1s", 300 * S),
        ("1s", 600 * S),
        ("5m", 300 * S),
        ("5m", 600 * S),
        ("1h", 0),
    }
    (hour,) = (bar for bar in said if bar.interval is Interval.h1)
    assert (hour.open, hour.high, hour.low, hour.count) == (100, 104, 99, 7)


def test_another_lateness_keeps_the_bars() -> None:
    before, after = BarFold(0), BarFold(LATENESS)
    before.take(columns([T(1, 5), T(2, 6)]))
    after.load(before.dump())

    (bar,) = minutes(after.take(columns([T(1.5, 7), T(60, 9)])))
    assert (bar.open, bar.high, bar.count) == (5, 7, 3)


def test_lateness_may_not_exceed_a_minute() -> None:
    with pytest.raises(ValueError, match="minute"):
        BarFold(61 * S)


def test_machine_code_is_kept_for_exactly_these_sources() -> None:
    stamps = {function._cache._cache_file._source_stamp for function in (kernel.fold, taken.set_keys)}

    assert stamps == {compiled.FINGERPRINT}


def test_once_warm_nothing_is_left_to_compile() -> None:
    warm()
    compiled_before = len(kernel.fold.signatures), len(taken.set_keys.signatures), len(taken.placed.signatures)
    fold = BarFold(LATENESS, LONGER)
    frame = columns([T(n, trade_id=str(n)) for n in range(9)])
    for one in (frame, replace(frame, trade_id=Texts.blank(9)), columns([], symbols=("A",))):
        one.price.flags.writeable = False
        fold.take(one)
    fold.load(fold.dump())

    assert compiled_before == (1, 1, 2)
    assert (len(kernel.fold.signatures), len(taken.set_keys.signatures), len(taken.placed.signatures)) == (1, 1, 2)
