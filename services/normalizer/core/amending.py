"""Bars that have to be made again, because a venue corrected or cancelled a trade in them.

Such a bar is made of the ticks that are stored, as soon as it is settled: as soon as no tick can change it any more,
and what is stored shows the amendment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shared.contract.base import Message, Nanos, Symbol, Venue
from shared.contract.market import Amendment, Bar, Interval
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import BarFold

REPAIRS_MAX = 10_000
NOTES_MAX = 20_000
PAUSE_NS, PAUSE_NS_MAX = 5_000_000_000, 300_000_000_000
MISSES_MAX = 80
"""In more than six hours; the streams do not keep an amendment for the tape any longer."""

Key = tuple[str, str, Interval, int]


class Repair(Message):
    """One bar to be made again, and why."""

    venue: Venue
    symbol: Symbol
    interval: Interval
    start_ns: Nanos
    end_ns: Nanos
    amendments: tuple[Amendment, ...]

    @property
    def key(self) -> Key:
        return self.venue, self.symbol, self.interval, self.start_ns


@dataclass
class Open:
    """A repair that is to be made: its amendments by trade, how often it was tried, how often the tape lacked some of
    them, and when to try again."""

    end_ns: int
    amendments: dict[str, Amendment]
    tries: int = 0
    misses: int = 0
    not_before_ns: int = 0


class Repairs:
    """Those that are to be made: at most REPAIRS_MAX bars with NOTES_MAX amendments; what goes beyond is refused."""

    def __init__(self) -> None:
        self._open: dict[Key, Open] = {}
        self._notes = 0

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, kept: Iterable[Mapping[str, Any]]) -> None:
        """With those that were left. ValueError, and no change, when one of them is none."""
        left = [Repair.model_validate(one) for one in kept]
        self._open = {one.key: Open(one.end_ns, {why.trade_id: why for why in one.amendments}) for one in left}
        self._notes = sum(len(one.amendments) for one in self._open.values())

    def kept(self) -> list[dict[str, Any]]:
        return [self._repair(key).model_dump(mode="json") for key in self._open]

    def add(self, amendment: Amendment, fold: BarFold) -> int:
        """Note all bars that the amended trade is in; for how many of them it had to be refused."""
        venue, symbol, refused = amendment.venue, amendment.symbol, 0
        for interval, start_ns, end_ns in fold.bars_at(venue, symbol, amendment.event_ns):
            key = venue, symbol, interval, start_ns
            amendments = self._open[key].amendments if key in self._open else {}
            if amendment.trade_id not in amendments:
                if self._notes >= NOTES_MAX or (key not in self._open and len(self._open) >= REPAIRS_MAX):
                    refused += 1
                    continue
                self._notes += 1
            amendments[amendment.trade_id] = amendment
            self._open[key] = Open(end_ns, amendments)
        return refused

    def due(self, fold: BarFold, now_ns: int) -> list[Repair]:
        """Those whose bars are settled, unless they were put off; the one that was tried last comes last."""
        return [
            self._repair(key)
            for key, one in self._open.items()
            if one.not_before_ns <= now_ns and fold.is_settled(key[0], key[1], one.end_ns)
        ]

    def put_off(self, repair: Repair, now_ns: int) -> None:
        """Behind all others, and each time for twice as long."""
        one = self._open[repair.key] = self._open.pop(repair.key)
        one.not_before_ns = now_ns + min(PAUSE_NS << min(one.tries, 16), PAUSE_NS_MAX)
        one.tries += 1

    def miss(self, repair: Repair) -> bool:
        """The tape lacks some of its amendments; whether it still can come to show them."""
        if one := self._open.get(repair.key):
            one.misses += 1
        return one is None or one.misses < MISSES_MAX

    def done(self, repair: Repair) -> None:
        """It was made; another amendment that has come meanwhile is yet to be."""
        if repair.key in self._open and self._repair(repair.key) == repair:
            self._notes -= len(self._open.pop(repair.key).amendments)

    def _repair(self, key: Key) -> Repair:
        venue, symbol, interval, start_ns = key
        one = self._open[key]
        why = tuple(one.amendments.values())
        return Repair.made(
            venue=venue, symbol=symbol, interval=interval, start_ns=start_ns, end_ns=one.end_ns, amendments=why
        )


class Remade:
    """A bar in the making, out of stored ticks: the same fold, of that bar alone.

    It begins with the ticks of `since_ns`, since a trade of the bar may have been told before it began.
    """

    def __init__(self, repair: Repair, fold: BarFold) -> None:
        self.since_ns = max(0, repair.start_ns - fold.lateness_ns)
        self._fold = fold.alone(repair.interval)
        self._start_ns = repair.start_ns
        self._unseen = {one.trade_id: one for one in repair.amendments}
        self._bar: Bar | None = None

    @property
    def unseen(self) -> int:
        """How many amendments were not among the ticks."""
        return len(self._unseen)

    def take(self, ticks: TickColumns) -> None:
        """The next ticks, in the order of their times. Those whose quantity is 0 are void."""
        for row, trade_id in enumerate(ticks.trade_id) if self._unseen else ():
            if (one := self._unseen.get(trade_id)) and _shows(ticks, row, one):
                del self._unseen[trade_id]
        # The order of arrival is not stored; this is the nearest to it.
        order = np.lexsort((ticks.sequence, ticks.receive_ns, ticks.event_ns))
        rows = order[ticks.quantity[order] > 0]
        names = ("codes", "event_ns", "receive_ns", "price", "quantity", "side", "sequence")
        chosen: dict[str, Any] = {name: getattr(ticks, name)[rows] for name in names}
        trade_id = Texts.of(ticks.trade_id).chosen(rows)
        for said in self._fold.take(replace(ticks, **chosen, trade_id=trade_id, ended=True)):
            if said.bar.start_ns == self._start_ns:
                self._bar = said.bar

    def bar(self, said: Bar | None) -> Bar | None:
        """As it has to be said, given how it was said last; None when there is no bar and never was."""
        if self._bar is None:
            return _void(said)
        if said is None:
            return self._bar.model_copy(update={"revision": 1})
        bar = self._bar.model_copy(update={"empty_before": said.empty_before, "revision": said.revision})
        # The same again is what was said before a crash.
        return said if bar == said else bar.model_copy(update={"revision": said.revision + 1})


def _shows(ticks: TickColumns, row: int, amendment: Amendment) -> bool:
    stated = float(amendment.price or 0), float(amendment.quantity or 0)
    return ticks.event_ns[row] == amendment.event_ns and (ticks.price[row], ticks.quantity[row]) == stated


def _void(said: Bar | None) -> Bar | None:
    """A bar all of whose trades were cancelled: its prices stand, and nothing was traded at them."""
    if said is None or said.count == 0:
        return said
    return said.model_copy(update={"count": 0, "volume": 0.0, "taker_buy_volume": 0.0, "revision": said.revision + 1})
