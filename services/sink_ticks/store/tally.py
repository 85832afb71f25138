"""Tally: how many rows went into a store since this process began."""

from __future__ import annotations

from collections import Counter

from shared.kit import Meter


class Tally:
    """One store's."""

    def __init__(self, store: str, meter: Meter) -> None:
        self.written: Counter[str] = Counter()
        self._store, self._meter = store, meter

    def add(self, table: str, count: int) -> None:
        """So many rows of a table were written just now."""
        if count:
            self.written[table] += count
            self._meter.count("rows_written", count, store=self._store, table=table)
