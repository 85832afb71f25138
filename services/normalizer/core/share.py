"""Which ticks a copy folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shared.contract.ticks import TickColumns
from shared.domain.bars.parts import only


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
