"""Raw Binance websocket recordings, `.jsonl.gz`: a line is the receive time in ns, a space, and the message as it came.

A `trade` is a tick, a `bookTicker` a quote; depth updates, snapshots and whatever else is JSON are of another kind.
Event time is `T`, else `E`; spot quotes carry neither, so theirs is the receive time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from services.gateway.feeds.formats.blocks import Source
from services.gateway.feeds.formats.rows import Account, Choice, Markets, Quotes, Rows, Trades
from services.gateway.feeds.formats.sieve import Sieve

VENUE = "binance"
BLOCK_BYTES = 1 << 20
MS_MAX = 9_000_000_000_000


@dataclass
class _Lists:
    """What the lines of a block said, before it becomes columns."""

    trades: list[tuple[int, int, int, float, float, int, str]] = field(default_factory=list[Any])
    quotes: list[tuple[int, int, int, float, float, float, float]] = field(default_factory=list[Any])


def read(source: Source, choice: Choice, account: Account, markets: Markets) -> Iterator[Rows]:
    """The ticks and quotes of a raw recording."""
    for block in source.blocks(BLOCK_BYTES):
        lists = _Lists()
        for line in block.removesuffix(b"\n").split(b"\n"):
            account.lines += 1
            try:
                if not _read_line(line, lists, account.lines, markets):
                    account.other += 1
            except (ValueError, TypeError, KeyError) as error:
                account.note_bad(account.lines, _reason(error))
        yield Rows(_trades(lists, account), _quotes(lists, account))


def _read_line(line: bytes, lists: _Lists, number: int, markets: Markets) -> bool:
    """Whether the line was a tick or a quote; raises when it is none of anything."""
    if not line.strip():
        return False
    received, space, text = line.partition(b" ")
    if not space or not received.isdigit():
        raise ValueError("must be a receive time in ns, a space, and JSON")
    said = orjson.loads(text)
    if not isinstance(said, dict):
        raise ValueError("the message must be a JSON object")
    words: Any = said.get("data", said)
    kind = words.get("e") or str(said.get("stream", "")).rpartition("@")[2]
    if kind == "trade":
        code = markets.code(VENUE, words["s"])
        if code < 0:
            return False
        side = -1 if _flag(words["m"]) else 1
        price, quantity = float(words["p"]), float(words["q"])
        lists.trades.append((number, code, _event_ns(words, None), price, quantity, side, str(words["t"])))
        return True
    if kind == "bookTicker":
        code = markets.code(VENUE, words["s"])
        if code < 0:
            return False
        bid, ask = (float(words["b"]), float(words["B"])), (float(words["a"]), float(words["A"]))
        lists.quotes.append((number, code, _event_ns(words, int(received)), *bid, *ask))
        return True
    return False


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("m: must be true or false")
    return value


def _event_ns(words: dict[str, Any], received_ns: int | None) -> int:
    at_ms = words.get("T") or words.get("E")
    if at_ms is None and received_ns is not None:
        at_ms = received_ns / 1_000_000
        if 0 < at_ms < MS_MAX:
            return received_ns
    if not isinstance(at_ms, int) or not 0 < at_ms < MS_MAX:
        raise ValueError(f"T: must be a time in ms, not {at_ms!r}")
    return at_ms * 1_000_000


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]}: is missing"
    if isinstance(error, orjson.JSONDecodeError):
        return f"not JSON: {error}"
    return str(error)


def _trades(lists: _Lists, account: Account) -> Trades:
    line, code, event_ns, price, quantity, side, ids = zip(*lists.trades, strict=True) if lists.trades else ((),) * 7
    trades = Trades(
        np.array(line, np.int64),
        np.array(code, np.int32),
        np.array(event_ns, np.int64),
        np.array(price, np.float64),
        np.array(quantity, np.float64),
        np.array(side, np.int8),
        list(ids),
    )
    sieve = Sieve(trades.line, account)
    sieve.positive(trades.price, "price")
    sieve.positive(trades.quantity, "quantity")
    sieve.close()
    trades = trades if sieve.ok.all() else trades.where(sieve.ok)
    account.used_ticks += len(trades)
    return trades


def _quotes(lists: _Lists, account: Account) -> Quotes:
    line, code, event_ns, *sides = zip(*lists.quotes, strict=True) if lists.quotes else ((),) * 7
    bid, bid_quantity, ask, ask_quantity = (np.array(side, np.float64) for side in sides)
    sieve = Sieve(np.array(line, np.int64), account)
    for price, quantity, name in ((bid, bid_quantity, "bid"), (ask, ask_quantity, "ask")):
        # A book without orders on one side shows zeros there.
        absent = (price == 0) & (quantity == 0)
        price[absent] = quantity[absent] = np.nan
        sieve.positive(price, name, ~absent)
        sieve.positive(quantity, f"{name}_quantity", ~absent)
    sieve.refuse(np.isnan(bid) & np.isnan(ask), "bid: neither bid nor ask is there")
    sieve.close()
    columns = np.array(code, np.int32), np.array(event_ns, np.int64), bid, bid_quantity, ask, ask_quantity
    quotes = Quotes(sieve.lines, *columns)
    quotes = quotes if sieve.ok.all() else quotes.where(sieve.ok)
    account.used_quotes += len(quotes)
    return quotes
