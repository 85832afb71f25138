"""When each recorded row is due, and which quotes give way to newer ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from services.gateway.feeds.formats.rows import Ints, Quotes
from shared.contract.market import Quote

Said = tuple[int, Quote]


class Pace:
    """Event times as wall times. Rows keep their order: one earlier than the row before it is due at once."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first_event_ns: int | None = None
        self._latest_event_ns = 0
        self._started_ns = 0

    def due_ns(self, event_ns: Ints, now_ns: int) -> Ints:
        """When each of these rows is due; the very first row ever is due now."""
        if self._first_event_ns is None:
            self._first_event_ns = self._latest_event_ns = int(event_ns[0])
            self._started_ns = now_ns
        latest = np.maximum(np.maximum.accumulate(event_ns), self._latest_event_ns)
        self._latest_event_ns = int(latest[-1])
        # At a crawl the far end of a file lies beyond what nanoseconds can say.
        return self._started_ns + np.minimum((latest - self._first_event_ns) / self._speed, 4e18).astype(np.int64)


class Conflation:
    """At most one quote per symbol in `gap_ns`; what is held back is the newest, and goes out when the gap is over.

    Quotes with different sides absent do not replace one another: each says something that the other does not.
    """

    def __init__(self, gap_ns: int, quoted: Callable[[Quotes, int], Quote]) -> None:
        self._gap_ns = gap_ns
        self._quoted = quoted
        self._said_ns: dict[int, int] = {}
        self._held: dict[int, Quote] = {}
        self.conflated = 0

    def take(self, quotes: Quotes, tick_lines: Ints, now_ns: int) -> list[Said]:
        """The quotes to be said now, each with the number of these ticks that go before it."""
        keys = quotes.code * 4 + ~np.isnan(quotes.bid) * 2 + ~np.isnan(quotes.ask)
        newest, from_end = np.unique(keys[::-1], return_index=True)
        self.conflated += len(keys) - len(newest)
        replaced = [int(key) for key in newest if int(key) in self._held]
        self.conflated += len(replaced)
        for key in replaced:
            del self._held[key]
        said = [(0, quote) for quote in self.overdue(now_ns)]
        for row in sorted(len(keys) - 1 - from_end):
            key = int(keys[row])
            quote = self._quoted(quotes, int(row))
            if now_ns - self._said_ns.get(key, -self._gap_ns) >= self._gap_ns:
                self._said_ns[key] = now_ns
                said.append((int(np.searchsorted(tick_lines, quotes.line[row])), quote))
            else:
                self._held[key] = quote
        return said

    def overdue(self, now_ns: int) -> list[Quote]:
        """Quotes held back whose gap is over."""
        over = [key for key in self._held if now_ns - self._said_ns[key] >= self._gap_ns]
        for key in over:
            self._said_ns[key] = now_ns
        return [self._held.pop(key) for key in over]

    def next_ns(self) -> int | None:
        """When the next quote held back is to go out."""
        return min((self._said_ns[key] + self._gap_ns for key in self._held), default=None)

    def rest(self) -> list[Quote]:
        """Everything held back, at the end."""
        held, self._held = list(self._held.values()), {}
        return held
