"""CSV with a header, and Parquet: named columns, in any order.

    always   event_ns, or timestamp (RFC 3339, or epoch in ms or ns); symbol, unless the caller names it
    ticks    price (last), quantity (qty, size); and if there: side, trade_id, venue (exchange)
    quotes   bid, ask; and if there: bid_quantity, ask_quantity, venue

A row with a price is a tick, any other is a quote. A tick without trade id has its line's number (the header is line
1), in Parquet its row's number.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from services.gateway.feeds.formats.arrow import Column, compute, line_numbers
from services.gateway.feeds.formats.blocks import Source, bad_file
from services.gateway.feeds.formats.cells import Cells, read_cells
from services.gateway.feeds.formats.rows import Account, Choice, Floats, Markets, Mask, Quotes, Rows, Trades
from services.gateway.feeds.formats.sieve import Sieve
from shared.contract.texts import Texts
from shared.kit.frames import texts_of

VENUE = "replay"
BATCH_ROWS = 65_536
_ROLES = {
    "symbol": "symbol",
    "venue": "venue",
    "exchange": "venue",
    "event_ns": "event_ns",
    "timestamp": "timestamp",
    "price": "price",
    "last": "price",
    "quantity": "quantity",
    "qty": "quantity",
    "size": "quantity",
    "side": "side",
    "trade_id": "trade_id",
    "bid": "bid",
    "ask": "ask",
    **{f"{side}_{word}": f"{side}_quantity" for side in ("bid", "ask") for word in ("quantity", "qty", "size")},
    "receive_ns": "",
    "sequence": "",
}
"""What each column may be called; those without a role are known, and not used."""


def read_csv(source: Source, choice: Choice, account: Account, markets: Markets) -> Iterator[Rows]:
    """The ticks and quotes of a CSV file."""
    header: list[str] | None = None
    roles: dict[str, str] = {}
    for whole in source.blocks():
        block = whole
        if header is None:
            first, _, block = whole.partition(b"\n")
            header = _header(source.path, first)
            roles = _roles(source.path, header, choice)
            # The header is a line like any other, of another kind.
            account.lines += 1
            account.other += 1
        names = [name or f"unnamed {place}" for place, name in enumerate(header)]
        if block:
            cells = read_cells(block, names, list(roles.values()), account, quoted=True)
            columns = {role: cells.columns[name] for role, name in roles.items()}
            yield _rows(Cells(cells.lines, columns), choice, account, markets)


def read_parquet(path: Path, choice: Choice, account: Account, markets: Markets) -> Iterator[Rows]:
    """The ticks and quotes of a Parquet file."""
    try:
        with pq.ParquetFile(path) as file:
            roles = _roles(path, file.schema_arrow.names, choice)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(roles.values())):
                lines = np.arange(account.lines + 1, account.lines + 1 + batch.num_rows, dtype=np.int64)
                account.lines += batch.num_rows
                columns = {role: batch.column(name) for role, name in roles.items()}
                yield _rows(Cells(lines, columns), choice, account, markets)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OSError) as error:
        raise bad_file(path, f"cannot be read as Parquet ({str(error)[:200]}); make it anew") from None


def rows_in(path: Path) -> int:
    """How many rows a Parquet file says it has."""
    try:
        return pq.read_metadata(path).num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise bad_file(path, f"is not a Parquet file ({str(error)[:200]}); make it anew, or say the format") from None


def _header(path: Path, line: bytes) -> list[str]:
    try:
        text = line.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise bad_file(path, "does not begin with a line of column names in UTF-8; is it CSV?") from None
    return next(csv.reader([text]), [])


def _roles(path: Path, header: Sequence[str], choice: Choice) -> dict[str, str]:
    """Which column plays which role; Refused when one is unknown, twice there, or missing."""
    roles: dict[str, str] = {}
    for name in header:
        plain = name.strip().lower()
        if plain not in _ROLES:
            known = ", ".join(_ROLES)
            raise bad_file(path, f"has an unknown column {name[:60]!r}; remove or rename it (known: {known})")
        role = _ROLES[plain]
        if role in roles:
            raise bad_file(path, f"has two columns for {role}: {roles[role]!r} and {name!r}; remove one")
        if role:
            roles[role] = name
    missing = [] if {"event_ns", "timestamp"} & roles.keys() else ["event_ns or timestamp"]
    if "symbol" not in roles and choice.symbol is None:
        missing.append("symbol (or name the symbol)")
    if not ({"price", "quantity"} <= roles.keys() or {"bid", "ask"} & roles.keys()):
        missing.append("price and quantity (or bid and ask)")
    if missing:
        raise bad_file(path, f"lacks a column: {'; '.join(missing)}; add it, in a header of column names")
    return roles


def _rows(cells: Cells, choice: Choice, account: Account, markets: Markets) -> Rows:
    columns, sieve = cells.columns, Sieve(cells.lines, account)
    code = _codes(columns, sieve, choice, markets)
    if "event_ns" in columns:
        event_ns = sieve.nanos(columns["event_ns"], "event_ns")
    else:
        event_ns = sieve.times(columns["timestamp"], "timestamp")
    numbers = {name: _numbers(columns, sieve, name) for name in ("price", "quantity", "bid", "ask")}
    is_tick = ~np.isnan(numbers["price"])
    has_bid, has_ask = ~np.isnan(numbers["bid"]), ~np.isnan(numbers["ask"])
    sieve.refuse(~is_tick & ~has_bid & ~has_ask, "price: is missing")
    sieve.positive(numbers["price"], "price", is_tick)
    sieve.positive(numbers["quantity"], "quantity", is_tick)
    sides = sieve.sides(columns["side"]) if "side" in columns else np.zeros(len(cells.lines), np.int8)
    ids = _trade_ids(columns, sieve)
    quotes = {"bid": numbers["bid"], "bid_quantity": _quote_quantity(columns, sieve, "bid", ~is_tick & has_bid)}
    quotes |= {"ask": numbers["ask"], "ask_quantity": _quote_quantity(columns, sieve, "ask", ~is_tick & has_ask)}
    sieve.positive(numbers["bid"], "bid", ~is_tick & has_bid)
    sieve.positive(numbers["ask"], "ask", ~is_tick & has_ask)
    sieve.close()
    trades = Trades(cells.lines, code, event_ns, numbers["price"], numbers["quantity"], sides, ids)
    used = Rows(
        trades.where(sieve.ok & is_tick),
        Quotes(cells.lines, code, event_ns, **quotes).where(sieve.ok & ~is_tick),
    )
    account.used_ticks += len(used.trades)
    account.used_quotes += len(used.quotes)
    return used


def _codes(columns: Mapping[str, Column], sieve: Sieve, choice: Choice, markets: Markets) -> NDArray[np.int32]:
    n = len(sieve.lines)
    symbol = columns["symbol"] if "symbol" in columns else pa.array([choice.symbol] * n, pa.string())
    if "venue" in columns and choice.venue is None:
        return sieve.codes((columns["venue"], symbol), _at_named_venue(markets))
    return sieve.codes((symbol,), partial(markets.code, VENUE))


def _at_named_venue(markets: Markets) -> Callable[[str, str], int]:
    return lambda venue, symbol: markets.code(venue or VENUE, symbol)


def _numbers(columns: Mapping[str, Column], sieve: Sieve, name: str) -> Floats:
    return sieve.numbers(columns[name], name) if name in columns else np.full(len(sieve.lines), np.nan)


def _quote_quantity(columns: Mapping[str, Column], sieve: Sieve, side: str, where: Mask) -> Floats:
    quantity = _numbers(columns, sieve, f"{side}_quantity")
    sieve.positive(quantity, f"{side}_quantity", where & ~np.isnan(quantity))
    return quantity


def _trade_ids(columns: Mapping[str, Column], sieve: Sieve) -> Texts:
    if "trade_id" not in columns:
        return texts_of(line_numbers(sieve.lines))
    given = sieve.texts(columns["trade_id"], "trade_id", 64)
    missing = compute.equal(given, "")
    if compute.any(missing).as_py():
        given = compute.if_else(missing, line_numbers(sieve.lines), given)
    return texts_of(given)
