"""Lines of a recorded file as columns, and the account of every line read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shared.contract.base import Message, normal_symbol
from shared.contract.texts import Texts

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Market = tuple[str, str]

BAD_LINES_KEPT = 100


class BadLine(Message):
    """A line that could not be used."""

    line: int
    reason: str


@dataclass
class Account:
    """What became of every line: `used_ticks + used_quotes + other + bad` is the number of lines read, and of the ticks
    that are `further` ones in a line of several."""

    lines: int = 0
    used_ticks: int = 0
    used_quotes: int = 0
    further: int = 0
    other: int = 0
    bad: int = 0
    bad_lines: list[BadLine] = field(default_factory=list[BadLine])

    def note_bad(self, line: int, reason: str) -> None:
        """A line that cannot be used; the first hundred are kept with their reason."""
        self.bad += 1
        if len(self.bad_lines) < BAD_LINES_KEPT:
            self.bad_lines.append(BadLine(line=line, reason=reason[:300]))

    @property
    def balanced(self) -> bool:
        return self.lines + self.further == self.used_ticks + self.used_quotes + self.other + self.bad


class _Columns:
    """Columns of one length."""

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))  # type: ignore[arg-type]

    def where(self, mask: Mask) -> Self:
        """The rows that the mask keeps."""
        if mask.all():
            return self
        kept = np.flatnonzero(mask)
        return type(self)(*(_taken(getattr(self, column.name), kept) for column in fields(self)))  # type: ignore[arg-type]


def _taken(column: NDArray[np.generic] | Texts, kept: NDArray[np.intp]) -> NDArray[np.generic] | Texts:
    return column.chosen(kept) if isinstance(column, Texts) else column[kept]


@dataclass(frozen=True, eq=False)
class Trades(_Columns):
    """Trades in file order. `code` indexes the recording's markets."""

    line: Ints
    code: NDArray[np.int32]
    event_ns: Ints
    price: Floats
    quantity: Floats
    side: NDArray[np.int8]
    trade_id: Texts

    def __len__(self) -> int:
        return len(self.line)


@dataclass(frozen=True, eq=False)
class Quotes(_Columns):
    """Quotes in file order. NaN: this side is absent, or its quantity is not recorded."""

    line: Ints
    code: NDArray[np.int32]
    event_ns: Ints
    bid: Floats
    bid_quantity: Floats
    ask: Floats
    ask_quantity: Floats

    def __len__(self) -> int:
        return len(self.line)


@dataclass(frozen=True, eq=False)
class Rows:
    """The usable lines of one stretch of a file."""

    trades: Trades
    quotes: Quotes

    def __len__(self) -> int:
        return len(self.trades) + len(self.quotes)


def no_trades() -> Trades:
    return Trades(ints(), ints(np.int32), ints(), floats(), floats(), ints(np.int8), Texts.blank(0))


def no_quotes() -> Quotes:
    return Quotes(ints(), ints(np.int32), ints(), floats(), floats(), floats(), floats())


def ints(kind: type[np.signedinteger] = np.int64, of: Iterable[int] = ()) -> NDArray[np.signedinteger]:
    return np.array(list(of), kind)


def floats(of: Iterable[float] = ()) -> Floats:
    return np.array(list(of), np.float64)


@dataclass(frozen=True)
class Choice:
    """What the caller says about a file beyond its name; None leaves it to the file.

    `symbol` names the symbol where lines do not, and elsewhere keeps only the lines of this one.
    """

    venue: str | None = None
    symbol: str | None = None
    date: str | None = None


class Markets:
    """The markets met so far in a recording, numbered in the order in which they were met."""

    def __init__(self, choice: Choice) -> None:
        self.known: list[Market] = []
        self._choice = choice
        self._by_name: dict[Market, int] = {}
        self._by_market: dict[Market, int] = {}

    def code(self, venue: str, symbol: str) -> int:
        """The number of a market, -1 for one that was not chosen; ValueError when it cannot be one."""
        found = self._by_name.get((venue, symbol))
        if found is None:
            found = self._by_name[venue, symbol] = self._numbered(venue, symbol)
        return found

    def _numbered(self, venue: str, symbol: str) -> int:
        market = (self._choice.venue or venue).strip().lower(), normal_symbol(symbol)
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", market[0]):
            raise ValueError(f"venue: must be letters, digits, _ or -, not {venue[:60]!r}")
        if not re.fullmatch(r"[A-Z0-9][A-Z0-9_]{0,31}", market[1]):
            raise ValueError(f"symbol: must be letters and digits, not {symbol[:60]!r}")
        if self._choice.symbol not in (None, market[1]):
            return -1
        if market not in self._by_market:
            self._by_market[market] = len(self.known)
            self.known.append(market)
        return self._by_market[market]
