"""Bars in markets with sessions, against a few lines of Python."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.market import Bar, Interval
from shared.contract.sessions import Timetable
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import INTERVALS, BarFold

S = 1_000_000_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * S


NEW_YORK = Timetable(
    calendar="XNYS",
    library="test",
    year_first=2026,
    year_last=2026,
    opens=(at("2026-11-25 14:30"), at("2026-11-27 14:30"), at("2026-11-30 14:30"), at("2026-12-01 14:30")),
    closes=(at("2026-11-25 21:00"), at("2026-11-27 18:00"), at("2026-11-30 21:00"), at("2026-12-01 21:00")),
)
"""Thanksgiving's week: a holiday, a half-day, a week-end."""


def columns(times: Sequence[int], *, symbol: str = "AAPL", ended: bool = False) -> TickColumns:
    event_ns, count = np.array(times, np.int64), len(times)
    return TickColumns(
        venue="xnas",
        symbols=(symbol,),
        codes=np.zeros(count, np.int32),
        event_ns=event_ns,
        receive_ns=event_ns,
        price=np.full(count, 100.0),
        quantity=np.ones(count),
        side=np.zeros(count, np.int8),
        trade_id=Texts.blank(count),
        sequence=np.arange(count),
        ended=ended,
    )


def a_fold(*intervals: Interval) -> BarFold:
    return BarFold(10 * S, intervals or INTERVALS, lambda symbol: NEW_YORK if symbol == "AAPL" else None)


def bars_of(fold: BarFold, *times: int, symbol: str = "AAPL") -> list[Bar]:
    said = fold.take(columns(times, symbol=symbol))
    return [one.bar for one in said + fold.take(columns([], symbol=symbol, ended=True))]


def bounds(interval: Interval, at_ns: int) -> tuple[int, int] | None:
    """The oracle: the bar of a length that a trade of that time is in."""
    length = interval.length_ns
    edges = [edge for pair in zip(NEW_YORK.opens, NEW_YORK.closes, strict=True) for edge in pair]
    if at_ns < edges[0]:
        return at_ns - at_ns % length, min(at_ns - at_ns % length + length, edges[0])
    if at_ns >= edges[-1]:
        start = edges[-1] + (at_ns - edges[-1]) // length * length
        return start, start + length
    place = max(n for n, edge in enumerate(edges) if edge <= at_ns)
    begin, end = edges[place], edges[place + 1]
    if interval is Interval.d1:
        return (begin, end) if place % 2 == 0 else None
    start = begin + (at_ns - begin) // length * length
    return start, min(start + length, end)


MS = 1_000_000
anywhere = st.integers(at("2026-11-25 00:00") // MS, at("2026-12-02 12:00") // MS)
about_an_edge = st.builds(
    lambda edge, off: edge // MS + off,
    st.sampled_from((*NEW_YORK.opens, *NEW_YORK.closes)),
    st.integers(-20, 20) | st.integers(-90_000, 90_000),
)
trades = st.lists(st.tuples(anywhere | about_an_edge, st.integers(0, 9_000)), min_size=1, max_size=60)
some_intervals = st.sets(st.sampled_from(tuple(Interval)), min_size=1)


@given(trades, some_intervals)
@settings(max_examples=300, deadline=None)
def test_every_bar_is_where_the_sessions_put_it(times: list[tuple[int, int]], intervals: set[Interval]) -> None:
    """Each trade arrives after a delay. Trades close together and few lengths are what the fold's fast path takes."""
    arrived = [at_ms * MS for at_ms, _ in sorted(times, key=sum)]
    expected: dict[tuple[str, int, int], int] = {}
    for interval in intervals:
        for one in arrived:
            if found := bounds(interval, one):
                key = (interval.value, *found)
                expected[key] = expected.get(key, 0) + 1

    fold = a_fold(*intervals)
    last = {(bar.interval, bar.start_ns, bar.end_ns): bar.count for bar in bars_of(fold, *arrived)}

    assert fold.totals["ticks"] == len(arrived)
    assert last == expected


def test_hours_are_counted_from_the_open_and_the_last_ends_with_the_session() -> None:
    bars = bars_of(a_fold(Interval.h1), *(at(f"2026-11-27 {time}") for time in ("14:30", "15:29", "15:30", "17:45")))

    assert [(bar.timestamp[11:16], (bar.end_ns - bar.start_ns) // (60 * S), bar.count) for bar in bars] == [
        ("14:30", 60, 2),
        ("15:30", 60, 1),
        ("17:30", 30, 1),
    ]
    assert [bar.empty_before for bar in bars] == [0, 0, 1]


def test_a_day_is_the_session_alone_and_goes_by_its_date() -> None:
    times = [at(f"2026-11-{time}") for time in ("25 15:00", "25 22:00", "27 09:00", "27 15:00", "30 20:00")]
    bars = bars_of(a_fold(Interval.d1), *times)

    assert [(bar.session, bar.count, bar.empty_before) for bar in bars] == [
        ("2026-11-25", 1, 0),
        ("2026-11-27", 1, 0),
        ("2026-11-30", 1, 0),
    ]
    assert bars[1].end_ns == at("2026-11-27 18:00")


def test_empty_days_are_counted_in_sessions_and_empty_minutes_within_one() -> None:
    days = bars_of(a_fold(Interval.d1), at("2026-11-25 15:00"), at("2026-11-30 15:00"))
    minutes = bars_of(a_fold(Interval.m1), at("2026-11-25 20:50"), at("2026-11-27 14:33"))

    assert [bar.empty_before for bar in days] == [0, 1]
    assert [bar.empty_before for bar in minutes] == [0, 3]


def test_no_bar_reaches_across_an_open() -> None:
    bars = bars_of(a_fold(Interval.h4), at("2026-11-27 14:29"), at("2026-11-27 14:31"))

    assert [(bar.end_ns, bar.count) for bar in bars] == [(at("2026-11-27 14:30"), 1), (at("2026-11-27 18:00"), 1)]


def test_the_first_open_that_is_known_ends_the_bar_before_it() -> None:
    times = ("14:10", "14:20", "14:31", "14:32", "15:05")
    bars = bars_of(a_fold(Interval.h1), *(at(f"2026-11-25 {time}") for time in times))

    assert [(bar.timestamp[11:16], bar.end_ns, bar.count) for bar in bars] == [
        ("14:00", at("2026-11-25 14:30"), 2),
        ("14:30", at("2026-11-25 15:30"), 3),
    ]


def test_after_the_last_close_that_is_known_days_are_counted_from_it() -> None:
    times = ("12-01 20:00", "12-01 21:10", "12-01 23:50", "12-02 00:10", "12-02 21:00")
    bars = bars_of(a_fold(Interval.d1), *(at(f"2026-{time}") for time in times))

    assert [(bar.start_ns, bar.end_ns, bar.count) for bar in bars] == [
        (at("2026-12-01 14:30"), at("2026-12-01 21:00"), 1),
        (at("2026-12-01 21:00"), at("2026-12-02 21:00"), 3),
        (at("2026-12-02 21:00"), at("2026-12-03 21:00"), 1),
    ]


def test_the_clock_closes_a_session_s_day_at_its_close() -> None:
    fold = a_fold(Interval.d1)
    fold.take(columns([at("2026-11-27 17:59")]))

    assert fold.close_due(at("2026-11-27 18:00") - 1) == []
    assert [one.bar.session for one in fold.close_due(at("2026-11-27 18:00"))] == ["2026-11-27"]


def test_a_market_without_a_calendar_has_days_of_utc() -> None:
    (bar,) = bars_of(a_fold(Interval.d1), at("2026-11-26 03:00"), symbol="BTCUSDT")

    assert (bar.start_ns, bar.session) == (at("2026-11-26 00:00"), "2026-11-26")


def test_a_session_that_begins_on_the_evening_before_goes_by_its_own_date() -> None:
    opens, closes = (at("2026-11-29 23:00"),), (at("2026-11-30 22:00"),)
    globex = NEW_YORK.model_copy(update={"opens": opens, "closes": closes})
    (bar,) = bars_of(BarFold(10 * S, (Interval.d1,), lambda _: globex), at("2026-11-29 23:30"))

    assert (bar.timestamp, bar.session) == ("2026-11-29T23:00:00Z", "2026-11-30")
