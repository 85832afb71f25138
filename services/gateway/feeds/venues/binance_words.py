"""What Binance's streams say, spot and USD-M futures: the same words but for a few.

Books: `depth` streams with `U` and `u`, the first and last number in a change. Spot counts without a break, so a change
leads on from `U - 1`; futures name the change before it, `pu`. Spot's `bookTicker` carries no time of its own.
Trade numbers (`t`) count one by one in both. Trades of futures with `X` other than MARKET did not happen on the book.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.gateway.feeds.live.reading import ERRORS, integer, note_garbage, number, plain_symbol
from shared.contract.feeds import Batch, BookChange, Denied, Level, Top, Trade

MS_MAX = 9_000_000_000_000


class Words(msgspec.Struct, gc=False):
    """The words of every kind of message at once: one pass reads them all."""

    e: str = ""
    s: str = ""
    E: int = 0
    T: int = 0
    t: int = 0
    p: str = ""
    q: str = ""
    m: bool | None = None
    X: str = "MARKET"
    u: int = 0
    U: int = 0
    pu: int = -1
    b: str | int | list[Level] = ""
    B: str = ""
    a: str | int | list[Level] = ""
    A: str = ""


class Refusal(msgspec.Struct):
    code: int = 0
    msg: str = ""


class Said(msgspec.Struct, gc=False):
    """A message of a combined stream, or the answer to a subscription."""

    data: Words | None = None
    error: Refusal | None = None


class Reader:
    """Reads what comes over any of the streams, and what was recorded of them."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(Said)
        self._bare = msgspec.json.Decoder(Words)

    def read(self, messages: Sequence[bytes], receive_ns: Sequence[int]) -> Batch:
        batch, decode = Batch(), self._decoder.decode
        for place, message in enumerate(messages):
            try:
                said = decode(message)
                words = said.data
                if words is None:
                    words = self._without_wrapping(message, said, batch)
                if words is None or not TAKES.get(words.e, _take_other)(words, place, receive_ns[place], batch):
                    batch.other += 1
            except ERRORS as error:
                note_garbage(batch, error)
        return batch

    def _without_wrapping(self, message: bytes, said: Said, batch: Batch) -> Words | None:
        """The answer to a subscription, or a message that came over a stream of its own."""
        if said.error is not None:
            batch.notes.append(Denied(None, f"{said.error.msg[:200]} ({said.error.code})"))
            return None
        words = self._bare.decode(message)
        return words if words.s else None


def _take_top(words: Words, place: int, received_ns: int, batch: Batch) -> bool:
    bid, ask = words.b, words.a
    if type(bid) is not str or type(ask) is not str:
        raise ValueError("b and a must be prices")
    event_ns = (words.T or words.E) * 1_000_000 or received_ns
    symbol = plain_symbol(words.s)
    batch.tops.append(Top(place, symbol, event_ns, received_ns, bid, words.B, ask, words.A, words.u))
    return True


def _take_trade(words: Words, place: int, received_ns: int, batch: Batch) -> bool:
    if words.X != "MARKET":
        return False
    at_ms, counted = words.T or words.E, integer(words.t)
    if not 0 < at_ms < MS_MAX:
        raise ValueError(f"T: must be a time in ms, not {at_ms}")
    if counted <= 0 or words.m is None:
        raise ValueError("t and m: the trade's number and whether the buyer waited must be there")
    price, quantity, side = number(words.p), number(words.q), -1 if words.m else 1
    symbol, event_ns = plain_symbol(words.s), at_ms * 1_000_000
    batch.trades.append(Trade(place, symbol, event_ns, received_ns, price, quantity, side, str(counted), counted))
    return True


def _take_change(words: Words, place: int, received_ns: int, batch: Batch) -> bool:
    bids, asks, last = words.b, words.a, words.u
    if type(bids) is not list or type(asks) is not list:
        raise ValueError("b and a must be levels")
    previous = words.pu if words.pu >= 0 else words.U - 1
    event_ns = (words.T or words.E) * 1_000_000 or received_ns
    symbol = plain_symbol(words.s)
    batch.books.append(BookChange(place, symbol, event_ns, received_ns, bids, asks, previous, last))
    return True


def _take_other(words: Words, place: int, received_ns: int, batch: Batch) -> bool:
    """Spot's best bid and ask do not say what they are; nothing else has a `B` and says nothing."""
    return not words.e and bool(words.B) and _take_top(words, place, received_ns, batch)


TAKES = {"bookTicker": _take_top, "trade": _take_trade, "depthUpdate": _take_change}
