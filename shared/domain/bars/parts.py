"""The fold in parts, where several copies share it by symbol: which ticks a part takes, and how parts become others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars.snapshot import gathered, symbols_of


def only(columns: TickColumns, wanted: Callable[[str], bool]) -> TickColumns | None:
    """The ticks of the wanted symbols; None when there is none among its symbols."""
    chosen = [code for code, symbol in enumerate(columns.symbols) if wanted(symbol)]
    if len(chosen) == len(columns.symbols):
        return columns
    if not chosen:
        return None
    codes = np.full(len(columns.symbols), -1, np.int32)
    codes[chosen] = np.arange(len(chosen), dtype=np.int32)
    fresh = codes[columns.codes]
    rows = np.flatnonzero(fresh >= 0)
    return replace(
        columns,
        symbols=tuple(columns.symbols[code] for code in chosen),
        codes=fresh[rows],
        event_ns=columns.event_ns[rows],
        receive_ns=columns.receive_ns[rows],
        price=columns.price[rows],
        quantity=columns.quantity[rows],
        side=columns.side[rows],
        trade_id=Texts.of(columns.trade_id).chosen(rows),
        sequence=columns.sequence[rows],
    )


Amended = Mapping[str, Any]
"""What is still to be done for a symbol, in words that can be kept; it says which symbol."""


@dataclass(frozen=True)
class Checkpoint:
    """A fold, and how far into the stream it reaches; some symbols' series may be `ahead` of that.

    `amended` are the bars still to be made again.
    """

    sequence: int
    fold: bytes
    ahead: Mapping[str, int] = field(default_factory=dict[str, int])
    amended: Sequence[Amended] = ()

    def encode(self) -> bytes:
        """As it is kept: how far on one line, then the fold."""
        heading = {"sequence": self.sequence, "ahead": dict(self.ahead), "amended": list(self.amended)}
        return json.dumps(heading).encode() + b"\n" + self.fold

    @classmethod
    def decode(cls, kept: bytes) -> Checkpoint:
        """What `encode` gave; ValueError when it is something else."""
        line, _, fold = kept.partition(b"\n")
        heading = json.loads(line)
        try:
            return cls(fold=fold, **heading)
        except TypeError as error:
            raise ValueError("a checkpoint of another form") from error


def shared_out(before: Sequence[Checkpoint | None], count: int, owner: Callable[[str], int]) -> dict[int, Checkpoint]:
    """The checkpoints of so many copies, out of those that other copies have left (None: nothing); by index.

    Series are taken as they are. Where one copy had come further than another, the stream is followed from where the
    slowest had come to, and what the others have folded already is passed over.
    """
    known = [one for one in before if one is not None]
    sequence = min((one.sequence for one in known), default=0) if len(known) == len(before) else 0
    reached = {symbol: one.ahead.get(symbol, one.sequence) for one in known for symbol in symbols_of(one.fold)}
    parts: dict[int, Checkpoint] = {}
    for index in range(1, count + 1):
        fold = gathered([one.fold for one in known], lambda symbol, index=index: owner(symbol) == index)
        ahead = {name: at for name, at in reached.items() if owner(name) == index and at > sequence}
        amended = [todo for one in known for todo in one.amended if owner(todo["symbol"]) == index]
        parts[index] = Checkpoint(sequence, fold, ahead, amended)
    return parts
