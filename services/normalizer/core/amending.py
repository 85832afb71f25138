"""Bars that have to be made again, because a venue corrected or cancelled a trade in them.

Such a bar is made of the ticks that are stored, as soon as it is settled: as soon as no tick can change it any more,
and what is stored shows the amendment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from shared.contract.base import Message, Nanos, Symbol, Venue
from shared.contract.market import Amendment, Bar, Interval
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import BarFold

REPAIRS_MAX = 10_000


class Repair(Message):
    """One bar to be made again, and why."""

    venue: Venue
    symbol: Symbol
    interval: Interval
    start_ns: Nanos
    end_ns: Nanos
    amendments: tuple[Amendment, ...]

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.venue, self.symbol, self.interval.value, self.start_ns


class Repairs:
    """Those that are to be made. There are at most REPAIRS_MAX of them; what goes beyond that is refused."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str, str, int], Repair] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, kept: Iterable[Mapping[str, Any]]) -> None:
        """With those that were left."""
        self._open = {one.key: one for one in map(Repair.model_validate, kept)}

    def kept(self) -> list[dict[str, Any]]:
        return [one.model_dump(mode="json") for one in self._open.values()]

    def add(self, amendment: Amendment, fold: BarFold) -> int:
        """Note all bars that the amended trade is in; how many of them had to be refused."""
        venue, symbol, refused = amendment.venue, amendment.symbol, 0
        for interval, start_ns, end_ns in fold.bars_at(venue, symbol, amendment.event_ns):
            one = Repair(
                venue=venue, symbol=symbol, interval=interval, start_ns=start_ns, end_ns=end_ns, amendments=(amendment,)
            )
            if former := self._open.get(one.key):
                others = [other for other in former.amendments if other.trade_id != amendment.trade_id]
                one = one.model_copy(update={"amendments": (*others, amendment)})
            elif len(self._open) >= REPAIRS_MAX:
                refused += 1
                continue
            self._open[one.key] = one
        return refused

    def due(self, fold: BarFold) -> list[Repair]:
        """Those whose bars are settled."""
        return [one for one in self._open.values() if fold.is_settled(one.venue, one.symbol, one.end_ns)]

    def done(self, repair: Repair) -> None:
        """It was made; another amendment that has come meanwhile is yet to be."""
        if self._open.get(repair.key) is repair:
            del self._open[repair.key]


class Remade:
    """A bar in the making, out of stored ticks: the same fold, of that bar alone."""

    def __init__(self, repair: Repair, fold: BarFold) -> None:
        self._fold = fold.alone(repair.interval)
        self._unseen = {one.trade_id: one for one in repair.amendments}
        self._bar: Bar | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every amendment was among the ticks."""
        return not self._unseen

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
        for said in self._fold.take(replace(ticks, **chosen, trade_id=Texts.blank(len(rows)), ended=True)):
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
