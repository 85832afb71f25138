"""The newest bars of each series."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from shared.contract import keys
from shared.contract.base import Symbol, Venue
from shared.contract.market import Bar, Interval
from shared.kit import Journal, Valkey

TRIM_EVERY = 100

Limit = Annotated[int, Field(ge=1, le=1000)]


class BarStore:
    """Bars by their start, a hash for each series. It may hold some more than are kept, until it is trimmed."""

    def __init__(self, valkey: Valkey, journal: Journal, kept: int) -> None:
        self._valkey = valkey
        self._journal = journal
        self._kept = kept
        self._untrimmed: dict[str, int] = {}

    async def keep(self, bars: Sequence[Bar]) -> None:
        """All of them, in one transaction."""
        transaction = self._journal.transaction()
        for bar in bars:
            transaction.hash_put(_key(bar), str(bar.start_ns), bar)
        for key, added in self._count(bars).items():
            if added < TRIM_EVERY:
                self._untrimmed[key] = added
                continue
            starts = {int(start) for start in await self._valkey.hash(key)}
            starts |= {bar.start_ns for bar in bars if _key(bar) == key}
            self._untrimmed[key] = 0
            if old := sorted(starts)[: -self._kept]:
                transaction.hash_drop(key, *map(str, old))
        await self._journal.commit(transaction)

    async def show(self, venue: Venue, symbol: Symbol, interval: Interval, limit: Limit = 100) -> dict[str, Any]:
        """The newest bars of a series, oldest first, and how many intervals among them were without a trade."""
        held = await self._valkey.hash(keys.bars(interval.value, venue, symbol))
        bars = [Bar.decode(held[start]) for start in sorted(held, key=int)[-min(limit, self._kept) :]]
        return {
            "venue": venue,
            "symbol": symbol,
            "interval": interval.value,
            "count": len(bars),
            "empty": sum(bar.empty_before for bar in bars[1:]),
            "bars": bars,
        }

    def _count(self, bars: Sequence[Bar]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for bar in bars:
            key = _key(bar)
            # Each series begins at another count, so that they are not all trimmed in the same minute.
            before = counts.get(key, self._untrimmed.get(key, zlib.crc32(key.encode()) % TRIM_EVERY))
            counts[key] = before + 1
        return counts


def _key(bar: Bar) -> str:
    return keys.bars(bar.interval.value, bar.venue, bar.symbol)
