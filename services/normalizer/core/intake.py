"""What a delivery brings: ticks for the fold, amendments for later, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol, TypeVar

from services.normalizer.core.amending import Repairs
from services.normalizer.core.columns import columns_of, tick_of
from services.normalizer.core.share import Share
from shared.contract.market import Frame, TickWords
from shared.contract.ticks import TickColumns
from shared.domain.bars import BarFold, SaidBar


class Piece(Protocol):
    """A message that was heard, where it stands in the stream, and the address it came to."""

    @property
    def message(self) -> Any: ...

    @property
    def sequence(self) -> int: ...

    @property
    def address(self) -> str: ...


P = TypeVar("P", bound=Piece)
Unreadable = list[tuple[P, Exception]]


def _kind(one: Piece) -> type[Any]:
    return type(one.message)


class Intake:
    """Feeds the fold and the repairs with what was heard; of several copies, with what `owns` says is one's own."""

    def __init__(
        self,
        fold: BarFold,
        repairs: Repairs,
        decode: Callable[[bytes, str], TickColumns],
        owns: Callable[[str], bool] | None,
    ) -> None:
        self._fold = fold
        self._repairs = repairs
        self._decode = decode
        self._owns = owns
        self._share = Share(owns)
        self._refused = 0

    @property
    def totals(self) -> dict[str, int]:
        return {**self._fold.totals, "amendments_refused": self._refused}

    def begin(self, ahead: Mapping[str, int]) -> None:
        """Some symbols' ticks are folded up to there already."""
        self._share.begin(ahead)

    def ahead(self, sequence: int) -> Mapping[str, int]:
        return self._share.ahead_of(sequence)

    def take(self, heard: Sequence[P]) -> tuple[list[SaidBar], Unreadable[P]]:
        """Fold in stream order, single ticks that follow each other as columns; what of our share cannot be read."""
        said: list[SaidBar] = []
        unreadable: Unreadable[P] = []
        for kind, some in groupby(heard, key=_kind):
            if kind is Frame:
                for one in some:
                    said += self._frame(one, unreadable)
            elif kind is TickWords:
                mine = [one for one in some if self._share.takes(one.message.symbol, one.sequence)]
                for columns in _columns(mine, unreadable):
                    said += self._fold.take(columns)
            else:
                for one in some:
                    self._amendment(one, unreadable)
        return said, unreadable

    def _frame(self, one: P, unreadable: Unreadable[P]) -> list[SaidBar]:
        try:
            columns = self._share.of(self._decode(one.message.payload, one.message.venue), one.sequence)
        except Exception as error:
            if self._owns is None or self._owns(one.address):
                unreadable.append((one, error))
            return []
        return self._fold.take(columns) if columns is not None else []

    def _amendment(self, one: P, unreadable: Unreadable[P]) -> None:
        if self._share.takes(one.message.symbol, one.sequence):
            try:
                self._refused += self._repairs.add(one.message, self._fold)
            except Exception as error:
                unreadable.append((one, error))


def _columns(some: Sequence[P], unreadable: Unreadable[P]) -> list[TickColumns]:
    """Single ticks as columns, in their order. Whatever is raised on the way is the trouble of one of them, which is
    looked for by halves: the others are taken, since no delivery comes again."""
    try:
        return columns_of([tick_of(one.message) for one in some])
    except Exception as error:
        if len(some) == 1:
            unreadable.append((some[0], error))
            return []
    middle = len(some) // 2
    return _columns(some[:middle], unreadable) + _columns(some[middle:], unreadable)
