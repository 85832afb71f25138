"""The newest bars of each series."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from shared.contract import keys
from shared.contract.base import Symbol, Venue
from shared.contract.market import Bar, Interval, Measure
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
        by_key: dict[str, dict[str, Bar]] = {}
        for bar in bars:
            by_key.setdefault(_key(bar), {})[_name(bar)] = bar
        for key, some in by_key.items():
            for name, bar in some.items():
                transaction.hash_put(key, name, bar)
            # Each series begins at another count, so that they are not all trimmed in the same minute.
            added = self._untrimmed.get(key, zlib.crc32(key.encode()) % TRIM_EVERY) + len(some)
            self._untrimmed[key] = added % TRIM_EVERY
            if added >= TRIM_EVERY:
                names = sorted({*await self._valkey.hash(key), *some}, key=_place)
                if old := names[: -self._kept]:
                    transaction.hash_drop(key, *old)
        await self._journal.commit(transaction)

    async def said(self, venue: str, symbol: str, interval: str, start_ns: int) -> Bar | None:
        """A bar of a length of time as it was said last; None when it is not kept any more."""
        held = await self._valkey.hash(keys.bars(interval, venue, symbol))
        return Bar.decode(held[str(start_ns)]) if str(start_ns) in held else None

    async def show(
        self, venue: Venue, symbol: Symbol, interval: Interval | Measure, limit: Limit = 100
    ) -> dict[str, Any]:
        """The newest bars of a series, oldest first, and how many intervals among them were without a trade."""
        held = await self._valkey.hash(keys.bars(interval, venue, symbol))
        bars = [Bar.decode(held[name]) for name in sorted(held, key=_place)[-min(limit, self._kept) :]]
        return {
            "venue": venue,
            "symbol": symbol,
            "interval": interval,
            "count": len(bars),
            "empty": sum(bar.empty_before for bar in bars[1:]),
            "bars": bars,
        }


def _name(bar: Bar) -> str:
    """A bar of a length of time by its start; of those of a measure several may begin at once."""
    return f"{bar.start_ns}.{bar.number}" if bar.number else str(bar.start_ns)


def _place(name: str) -> tuple[int, ...]:
    return tuple(map(int, name.split(".")))


def _key(bar: Bar) -> str:
    return keys.bars(bar.interval, bar.venue, bar.symbol)
