"""The last 24 hours of a market's trades, in minutes of event time: bounded whatever the rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from shared.contract.ticks import TickColumns

MINUTE_NS = 60_000_000_000
MINUTES = 1440


class Traded(NamedTuple):
    """Trades of one symbol: stretches within a minute (its number, first price, volume), and the newest trade."""

    code: int
    minutes: list[tuple[int, float, float]]
    last_ns: int
    last: float


def traded(columns: TickColumns) -> Iterator[Traded]:
    """What these columns say was traded, symbol by symbol. All symbols at once, since a frame may hold thousands."""
    if not len(columns):
        return
    # Numbers of 16 bits are sorted by their digits, which is several times as fast.
    kind = np.int16 if len(columns.symbols) < 1 << 15 else np.int32
    order = np.argsort(columns.codes.astype(kind), kind="stable")
    codes, event_ns = columns.codes[order], columns.event_ns[order]
    price, number = columns.price[order], event_ns // MINUTE_NS
    fresh = np.concatenate(([True], codes[1:] != codes[:-1]))
    starts = np.flatnonzero(fresh)
    stretches = np.flatnonzero(fresh | np.concatenate(([True], number[1:] != number[:-1])))
    minutes = zip(
        number[stretches].tolist(),
        price[stretches].tolist(),
        np.add.reduceat(columns.quantity[order], stretches).tolist(),
        strict=True,
    )
    newest_ns = np.maximum.reduceat(event_ns, starts)
    is_newest = event_ns == newest_ns[np.cumsum(fresh) - 1]
    newest = np.maximum.reduceat(np.where(is_newest, np.arange(len(codes)), 0), starts)
    lengths = np.diff(np.searchsorted(stretches, starts), append=len(stretches)).tolist()
    parts = zip(codes[starts].tolist(), lengths, newest_ns.tolist(), price[newest].tolist(), strict=True)
    for code, length, last_ns, last in parts:
        yield Traded(code, [next(minutes) for _ in range(length)], last_ns, last)


@dataclass
class Minute:
    number: int
    first: float
    volume: float


@dataclass
class Day:
    """Last price, and volume and change over the 24 hours before the newest trade."""

    last: float | None = None
    last_ns: int | None = None
    volume: float = 0.0
    minutes: deque[Minute] = field(default_factory=deque[Minute])

    @property
    def change_percent(self) -> float:
        if self.last is None or not self.minutes:
            return 0.0
        return (self.last / self.minutes[0].first - 1) * 100

    def add(self, traded: Traded) -> None:
        """What was traded since."""
        for minute in traded.minutes:
            self._add_minute(*minute)
        if self.last_ns is None or traded.last_ns >= self.last_ns:
            self.last, self.last_ns = traded.last, traded.last_ns

    def _add_minute(self, number: int, first: float, volume: float) -> None:
        newest = self.minutes[-1] if self.minutes else None
        if newest is None or number > newest.number:
            self.minutes.append(Minute(number, first, volume))
            while self.minutes[0].number <= number - MINUTES:
                self.minutes.popleft()
            # Summed anew every minute, so that rounding does not add up over weeks.
            self.volume = sum(minute.volume for minute in self.minutes)
        else:
            # A late trade counts in the minute it belongs to, or in the next; older than the day, not at all.
            for minute in self.minutes:
                if minute.number >= number > newest.number - MINUTES:
                    minute.volume += volume
                    self.volume += volume
                    break
