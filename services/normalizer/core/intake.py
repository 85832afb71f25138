"""What a delivery brings: ticks for the fold, amendments for later, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol, TypeVar

from services.normalizer.core.amending import Repairs
from services.normalizer.core.columns import PlainTick, columns_of, tick_of
from services.normalizer.core.share import Share
from shared.contract.market import Amendment, Frame, TickWords
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

    def take(self, heard: Sequence[P]) -> tuple[list[SaidBar], list[tuple[P, ValueError]]]:
        """Fold in stream order, single ticks that follow each other as columns; what of our share cannot be read."""
        said: list[SaidBar] = []
        unreadable: list[tuple[P, ValueError]] = []
        for kind, some in groupby(heard, key=_kind):
            if kind is Frame:
                for one in some:
                    said += self._frame(one, unreadable)
            elif kind is TickWords:
                for columns in columns_of(self._ticks(some, unreadable)):
                    said += self._fold.take(columns)
            else:
                for one in some:
                    self._amendment(one.message, one.sequence)
        return said, unreadable

    def _ticks(self, some: Iterable[P], unreadable: list[tuple[P, ValueError]]) -> Iterator[PlainTick]:
        for one in some:
            if self._share.takes(one.message.symbol, one.sequence):
                try:
                    yield tick_of(one.message)
                except ValueError as error:
                    unreadable.append((one, error))

    def _frame(self, one: P, unreadable: list[tuple[P, ValueError]]) -> list[SaidBar]:
        try:
            columns = self._share.of(self._decode(one.message.payload, one.message.venue), one.sequence)
        except ValueError as error:
            if self._owns is None or self._owns(one.address):
                unreadable.append((one, error))
            return []
        return self._fold.take(columns) if columns is not None else []

    def _amendment(self, amendment: Amendment, sequence: int) -> None:
        if self._share.takes(amendment.symbol, sequence):
            self._refused += self._repairs.add(amendment, self._fold)
