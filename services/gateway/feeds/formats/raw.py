"""What a venue said, word for word, read by the very code that reads it live: recordings and our own captures.

A line is the receive time in ns, a space, and the message; or seconds, a colon, a space, and the message, as cryptofeed
records. A trade is a tick, a best bid and ask is a quote; whatever else the venue's dialect knows is of another kind.
The folder names the venue (`<venue>/<date>/<file>`), or the request does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.gateway.feeds.formats.blocks import Folder, Source
from services.gateway.feeds.formats.rows import Account, Choice, Floats, Ints, Markets, Quotes, Rows, Trades, ints
from services.gateway.feeds.formats.sieve import Sieve
from services.gateway.feeds.live.dialect import Reader
from services.gateway.feeds.live.reading import epoch_ns
from services.gateway.feeds.venues import DIALECTS
from shared.contract.errors import Refused
from shared.contract.feeds import Top, Trade
from shared.contract.texts import Texts
from shared.domain.trade_numbers import Numbers

BINANCE = "binance"
BLOCK_BYTES = 1 << 20
NANOS_MAX = 9_200_000_000_000_000_000
SENT = (b" <- ", b" <-> ", b" -> ")
"""In a line of cryptofeed's that tells of what was sent or answered, and not of what came in."""


def venue_of(path: Path, choice: Choice) -> str | None:
    """The venue whose words these are."""
    names = (choice.venue or "", *(part.name for part in (path, *path.parents[:2])))
    return next((name for name in names if name in DIALECTS), None)


def read(source: Source | Folder, choice: Choice, account: Account, markets: Markets) -> Iterator[Rows]:
    """The ticks and quotes of what a venue said."""
    venue = venue_of(source.path, choice)
    if venue is None:
        known = ", ".join(DIALECTS)
        raise Refused("VENUE_UNKNOWN", f"venue: name the one whose words these are, one of {known}", field="venue")
    yield from _read(source, venue, account, markets)


def read_binance(source: Source | Folder, choice: Choice, account: Account, markets: Markets) -> Iterator[Rows]:
    """The same of Binance's words, whatever the venue is to be called."""
    return _read(source, BINANCE, account, markets)


def _read(source: Source | Folder, venue: str, account: Account, markets: Markets) -> Iterator[Rows]:
    reader = DIALECTS[venue](None).reader()
    numbers: dict[str, Numbers] = {}
    for block in source.blocks(BLOCK_BYTES):
        lines = _lines(block, account)
        batch = reader.read(lines.messages, lines.receive_ns)
        if batch.garbage:
            _note_garbage(lines, reader, account)
        known, places = account.bad, np.array(lines.numbers, np.int64)
        new = [trade for trade in batch.trades if _is_new(trade, numbers)]
        trades = _trades(new, places, _codes(new, venue, markets), account)
        quotes = _quotes(batch.tops, places, _codes(batch.tops, venue, markets), account)
        # Several trades may come in one line.
        told = len(np.unique(trades.line))
        account.further += len(trades) - told
        account.other += len(places) - batch.garbage - told - len(quotes) - (account.bad - known)
        yield Rows(trades, quotes)


def _is_new(trade: Trade, numbers: dict[str, Numbers]) -> bool:
    """A venue may say a trade twice, as after a reconnection. It is told once here, as it is live."""
    return not trade.number or numbers.setdefault(trade.symbol, Numbers()).take(trade.number)[0]


class _Lines(NamedTuple):
    """The messages of a block, each with its line number and receive time."""

    numbers: Sequence[int]
    messages: Sequence[bytes]
    receive_ns: Sequence[int]


def _lines(block: bytes, account: Account) -> _Lines:
    lines = block.removesuffix(b"\n").split(b"\n")
    first, account.lines = account.lines + 1, account.lines + len(lines)
    try:
        times, messages = zip(*(line.split(b" ", 1) for line in lines), strict=True)
        receive_ns = list(map(int, times))
    except ValueError:
        return _sorted_out(lines, first, account)
    if min(receive_ns) <= 0 or max(receive_ns) > NANOS_MAX:
        return _sorted_out(lines, first, account)
    return _Lines(range(first, first + len(lines)), messages, receive_ns)


def _sorted_out(lines: Sequence[bytes], first: int, account: Account) -> _Lines:
    """The same, one by one, where some line is no receive time in ns and a message."""
    found: list[tuple[int, bytes, int]] = []
    for number, line in enumerate(lines, first):
        time, _, message = line.partition(b" ")
        try:
            received_ns = int(time) if time.isdigit() else _seconds_ns(time, line)
            if received_ns is not None and not 0 < received_ns <= NANOS_MAX:
                raise ValueError("the receive time must lie between 1970 and 2261")
        except ValueError as error:
            account.note_bad(number, str(error))
            continue
        if received_ns is None:
            account.other += 1
        else:
            found.append((number, message, received_ns))
    return _Lines(*zip(*found, strict=True)) if found else _Lines((), (), ())


def _seconds_ns(time: bytes, line: bytes) -> int | None:
    """The time of cryptofeed's kind of line; None where nothing came in."""
    if not line.strip() or any(mark in line[:4096] for mark in SENT):
        return None
    if not time.endswith(b":"):
        raise ValueError("must be a receive time in ns, a space, and the message")
    return epoch_ns(time[:-1].decode("latin-1"))


def _note_garbage(lines: _Lines, reader: Reader, account: Account) -> None:
    """Find the lines that cannot be read, one by one, which is slow and seldom needed."""
    for number, message, received_ns in zip(*lines, strict=True):
        alone = reader.read([message], [received_ns])
        if alone.garbage:
            account.note_bad(number, alone.reason)


def _codes(found: Sequence[Trade | Top], venue: str, markets: Markets) -> NDArray[np.int32]:
    """The number of each one's market, -1 where it was not chosen."""
    symbols = [one.symbol for one in found]
    numbers = {symbol: markets.code(venue, symbol) for symbol in dict.fromkeys(symbols)}
    return np.array([numbers[symbol] for symbol in symbols], np.int32)


def _trades(found: Sequence[Trade], places: Ints, codes: NDArray[np.int32], account: Account) -> Trades:
    trades = Trades(
        places[[trade.place for trade in found]] if found else ints(),
        codes,
        np.array([trade.event_ns for trade in found], np.int64),
        np.array([trade.price for trade in found], np.float64),
        np.array([trade.quantity for trade in found], np.float64),
        np.array([trade.side for trade in found], np.int8),
        Texts.of([trade.trade_id for trade in found]),
    )
    trades = trades.where(codes >= 0)
    sieve = Sieve(trades.line, account)
    sieve.positive(trades.price, "price")
    sieve.positive(trades.quantity, "quantity")
    sieve.close()
    trades = trades.where(sieve.ok)
    account.used_ticks += len(trades)
    return trades


def _quotes(found: Sequence[Top], places: Ints, codes: NDArray[np.int32], account: Account) -> Quotes:
    quotes = Quotes(
        places[[top.place for top in found]] if found else ints(),
        codes,
        np.array([top.event_ns for top in found], np.int64),
        _figures([top.bid for top in found]),
        _figures([top.bid_quantity for top in found]),
        _figures([top.ask for top in found]),
        _figures([top.ask_quantity for top in found]),
    )
    quotes = quotes.where(codes >= 0)
    sieve = Sieve(quotes.line, account)
    sides = ((quotes.bid, quotes.bid_quantity, "bid"), (quotes.ask, quotes.ask_quantity, "ask"))
    for price, quantity, name in sides:
        # A book without orders on one side shows zeros there.
        absent = np.isnan(price) | ((price == 0) & (quantity == 0))
        price[absent] = quantity[absent] = np.nan
        sieve.positive(price, name, ~absent)
        sieve.positive(quantity, f"{name}_quantity", ~absent & ~np.isnan(quantity))
    sieve.refuse(np.isnan(quotes.bid) & np.isnan(quotes.ask), "bid: neither bid nor ask is there")
    sieve.close()
    quotes = quotes.where(sieve.ok)
    account.used_quotes += len(quotes)
    return quotes


def _figures(texts: Sequence[str]) -> Floats:
    try:
        return np.array(list(map(float, texts)), np.float64)
    except ValueError:
        return np.array([_figure(text) for text in texts], np.float64)


def _figure(text: str) -> float:
    """NaN where nothing stands, -1 where nothing that is a number does."""
    try:
        return float(text or "nan")
    except ValueError:
        return -1.0
