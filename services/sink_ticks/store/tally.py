"""Tally: how many rows went into a store, and how many messages it will not have, since this process began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from shared.contract.errors import Refused
from shared.kit import Meter, Unheard


class Tally:
    """One store's."""

    def __init__(self, store: str, meter: Meter) -> None:
        self.written: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._store, self._meter = store, meter

    def add(self, written: Mapping[str, int], unheard: Unheard) -> None:
        self.written.update(written)
        for table, count in written.items():
            self._meter.count("rows_written", count, store=self._store, table=table)
        for _, error in unheard:
            reason = error.code.lower() if isinstance(error, Refused) else "unreadable"
            self.refused[reason] += 1
