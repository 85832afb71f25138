"""What the normalizer decides besides the fold: ticks as columns, which of them are its own, what a bar is called,
and which bars may go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from shared.contract.market import Tick
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import SaidBar
from shared.domain.bars.parts import only


def columns_of(ticks: Iterable[Tick]) -> list[TickColumns]:
    """Single ticks as columns, one set for each venue, in the order of arrival."""
    by_venue: dict[str, list[Tick]] = {}
    for tick in ticks:
        by_venue.setdefault(tick.venue, []).append(tick)
    return [_columns(venue, some) for venue, some in by_venue.items()]


def _columns(venue: str, ticks: Sequence[Tick]) -> TickColumns:
    numbers = {symbol: code for code, symbol in enumerate(dict.fromkeys(tick.symbol for tick in ticks))}
    return TickColumns(
        venue=venue,
        symbols=tuple(numbers),
        codes=np.array([numbers[tick.symbol] for tick in ticks], np.int32),
        event_ns=np.array([tick.event_ns for tick in ticks], np.int64),
        receive_ns=np.array([tick.receive_ns for tick in ticks], np.int64),
        price=np.array([float(tick.price) for tick in ticks]),
        quantity=np.array([float(tick.quantity) for tick in ticks]),
        side=np.array([tick.side for tick in ticks], np.int8),
        trade_id=Texts.of([tick.trade_id for tick in ticks]),
        sequence=np.array([tick.sequence for tick in ticks], np.int64),
    )


class Share:
    """Which ticks this copy folds: those of its own symbols, and of them those that are not folded already."""

    def __init__(self, owns: Callable[[str], bool] | None) -> None:
        """Without `owns`, there is one copy."""
        self._owns = owns
        self._ahead: dict[str, int] = {}

    def begin(self, ahead: Mapping[str, int]) -> None:
        """The series of some symbols are folded up to there already."""
        self._ahead = dict(ahead)

    def ahead_of(self, sequence: int) -> Mapping[str, int]:
        """The symbols that are folded further than this."""
        if self._ahead:
            self._ahead = {symbol: at for symbol, at in self._ahead.items() if at > sequence}
        return self._ahead

    def takes(self, symbol: str, sequence: int) -> bool:
        """Whether to fold a tick that stands there in the stream."""
        return (self._owns is None or self._owns(symbol)) and sequence > self._ahead.get(symbol, 0)

    def of(self, columns: TickColumns, sequence: int) -> TickColumns | None:
        """Those of the ticks to be folded, which came in one message; None when there are none for this copy."""
        if self._owns is None and not self._ahead:
            return columns
        return only(columns, lambda symbol: self.takes(symbol, sequence))


def name_of(said: SaidBar) -> str:
    """The same for the same saying of a bar, also by a process that folds the same ticks again after a crash.

    The count tells apart two sayings that a bar closed by the clock, before and after a crash, may give one revision.
    """
    bar = said.bar
    return f"{bar.venue}-{bar.symbol}-{bar.interval.value}-{bar.start_ns}-{bar.revision}-{bar.count}-{said.replay}"


def wave(unsaid: Sequence[SaidBar], count_max: int) -> int:
    """How many of these may be said at once: a correction must not overtake what it corrects."""
    met: set[tuple[str, str, str, int]] = set()
    for said in unsaid[:count_max]:
        bar = said.bar
        key = (bar.venue, bar.symbol, bar.interval.value, bar.start_ns)
        if key in met:
            break
        met.add(key)
    return len(met)
