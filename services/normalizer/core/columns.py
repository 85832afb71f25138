"""Single ticks as columns.

A tick in the plain form is read by msgspec, anything else (aliases, times in milliseconds, sides in words) by the
contract, which is what decides. Measured: 2.8 µs a tick against 9.9 µs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec
import numpy as np
from pydantic import TypeAdapter

from shared.contract.base import INT64_MAX, Symbol, Venue
from shared.contract.market import Tick, TickWords
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns

_NUMBER = re.compile(r"(?:0|[1-9]\d{0,19})(?:\.\d{1,12})?")
AMOUNT_MIN, AMOUNT_MAX = 1e-12, 1e20


class PlainTick(msgspec.Struct, forbid_unknown_fields=True):
    """A tick as `Tick.encode` writes it: names as they are kept, amounts in strings, the side a number."""

    venue: str
    symbol: str
    event_ns: int
    receive_ns: int
    price: str
    quantity: str
    side: int = 0
    trade_id: str = ""
    sequence: int = 0


_decode = msgspec.json.Decoder(PlainTick).decode


def tick_of(words: TickWords) -> PlainTick:
    """The tick in these words; ValueError when it is none, or not one of the address it came to."""
    try:
        tick = _decode(words.payload)
    except msgspec.MsgspecError:
        return _by_contract(words)
    is_plain = (
        (tick.venue, tick.symbol) == (words.venue, words.symbol)
        and _is_market(tick.venue, tick.symbol)
        and 0 <= tick.event_ns <= INT64_MAX
        and 0 <= tick.receive_ns <= INT64_MAX
        and -INT64_MAX <= tick.sequence <= INT64_MAX
        and -1 <= tick.side <= 1
        and len(tick.trade_id) <= 64
        and _is_amount(tick.price)
        and _is_amount(tick.quantity)
    )
    return tick if is_plain else _by_contract(words)


_venue, _symbol = TypeAdapter[str](Venue).validate_python, TypeAdapter[str](Symbol).validate_python


@lru_cache(1 << 14)
def _is_market(venue: str, symbol: str) -> bool:
    """Whether these are names as the contract writes them. Nobody else has looked at an address."""
    try:
        return (_venue(venue), _symbol(symbol)) == (venue, symbol)
    except ValueError:
        return False


def _is_amount(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and AMOUNT_MIN <= float(text) < AMOUNT_MAX


def _by_contract(words: TickWords) -> PlainTick:
    tick = Tick.decode(words.payload)
    if (tick.venue, tick.symbol) != (words.venue, words.symbol):
        raise ValueError(f"the tick is of {tick.venue} {tick.symbol}, not of {words.venue} {words.symbol}")
    return PlainTick(
        tick.venue,
        tick.symbol,
        tick.event_ns,
        tick.receive_ns,
        str(tick.price),
        str(tick.quantity),
        int(tick.side),
        tick.trade_id,
        tick.sequence,
    )


def columns_of(ticks: Iterable[PlainTick]) -> list[TickColumns]:
    """One set of columns for each venue, in the order of arrival."""
    by_venue: dict[str, list[PlainTick]] = {}
    for tick in ticks:
        by_venue.setdefault(tick.venue, []).append(tick)
    return [_columns(venue, some) for venue, some in by_venue.items()]


def _columns(venue: str, ticks: Sequence[PlainTick]) -> TickColumns:
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
