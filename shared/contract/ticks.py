"""Many ticks as columns: what a frame says, once it is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the contract stands on the standard library and pydantic alone
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TickColumns:
    """Trades of one venue in arrival order, a column each, all of length n.

    `codes` index `symbols`. Times are ns UTC. `side` is 1 where a buyer took, -1 a seller, 0 unknown. `replay` names
    the replay the ticks come from ("" when live); `ended` says that it sends nothing more for these symbols.
    """

    venue: str
    symbols: Sequence[str]
    codes: NDArray[np.int32]
    event_ns: NDArray[np.int64]
    receive_ns: NDArray[np.int64]
    price: NDArray[np.float64]
    quantity: NDArray[np.float64]
    side: NDArray[np.int8]
    trade_id: Sequence[str]
    sequence: NDArray[np.int64]
    replay: str = ""
    ended: bool = False

    def __len__(self) -> int:
        return len(self.event_ns)
