"""Where bars begin and end: from midnight UTC on, or from the open of a market's session.

Between two sessions bars are counted from the close of the former, so that none reaches across an open or a close, and
there is no bar of a day. Before the first session that a calendar knows time is counted from midnight UTC, after the
last one from its close.
"""

from __future__ import annotations

import numpy as np

from shared.contract.market import Interval
from shared.domain.bars.compiled import compiled
from shared.domain.bars.layout import NEVER, TIME_NS_MAX, Hours

DAY = Interval.d1.length_ns
UNBROKEN, SESSION, BETWEEN = 0, 1, 2


@compiled
def session_at(hours: Hours, calendar: int, at_ns: int) -> int:
    """The last session of a calendar that has begun by then, as its place in `hours`; -1 where none is known."""
    begin, end = hours.begins[calendar], hours.begins[calendar + 1]
    place = begin + np.searchsorted(hours.opens[begin:end], at_ns, "right") - 1
    known = place >= begin and (place + 1 < end or at_ns < hours.closes[place])
    return place if known else -1


@compiled
def stretch(hours: Hours, s: int, at_ns: int) -> tuple[int, int, int]:
    """What kind of time it is then, from when bars are counted, and where it ends."""
    calendar = hours.calendar[s]
    if calendar < 0:
        return UNBROKEN, 0, TIME_NS_MAX + DAY
    first, last = int(hours.begins[calendar]), int(hours.begins[calendar + 1]) - 1
    if at_ns < hours.opens[first]:
        return UNBROKEN, 0, hours.opens[first]
    if at_ns >= hours.closes[last]:
        return UNBROKEN, hours.closes[last], TIME_NS_MAX + DAY
    place = session_at(hours, calendar, at_ns)
    if at_ns < hours.closes[place]:
        return SESSION, hours.opens[place], hours.closes[place]
    return BETWEEN, hours.closes[place], hours.opens[place + 1]


@compiled
def bar_at(at_ns: int, length: int, kind: int, anchor: int, end: int) -> tuple[int, int]:
    """Start and end of the bar of a length in such time; NEVER where there is none."""
    if length == DAY and kind != UNBROKEN:
        return (anchor, end) if kind == SESSION else (NEVER, NEVER)
    start = at_ns - (at_ns - anchor) % length
    return start, min(start + length, end)


@compiled
def between(hours: Hours, s: int, length: int, earlier: tuple[int, int], start: int) -> int:
    """Intervals without a trade between the bar that began and ended `earlier` and one that begins then.

    None before the first bar. With a calendar they are counted within the session, and days in sessions.
    """
    began, ended = earlier
    if began < 0:
        return 0
    kind, anchor, _ = stretch(hours, s, start)
    if kind == UNBROKEN:
        return max(0, start - ended) // length
    if length == DAY:
        before = session_at(hours, hours.calendar[s], began)
        return session_at(hours, hours.calendar[s], start) - before - 1 if before >= 0 else 0
    return max(0, start - max(ended, anchor)) // length
