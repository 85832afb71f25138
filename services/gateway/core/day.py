"""The last 24 hours of a market's trades, in minutes of event time: bounded whatever the rate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MINUTE_NS = 60_000_000_000
MINUTES = 1440


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

    def add(self, event_ns: NDArray[np.int64], price: NDArray[np.float64], quantity: NDArray[np.float64]) -> None:
        """Trades in arrival order; those of one stretch within a minute are added at once."""
        number = event_ns // MINUTE_NS
        starts = np.flatnonzero(np.concatenate(([True], number[1:] != number[:-1])))
        volumes = np.add.reduceat(quantity, starts)
        for start, volume in zip(starts, volumes, strict=True):
            self._add_minute(int(number[start]), float(price[start]), float(volume))
        newest = int(np.flatnonzero(event_ns == event_ns.max())[-1])
        if self.last_ns is None or event_ns[newest] >= self.last_ns:
            self.last, self.last_ns = float(price[newest]), int(event_ns[newest])

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
