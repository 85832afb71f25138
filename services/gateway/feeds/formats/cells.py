"""Lines of comma-separated text as Arrow columns, each row with the number of its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from services.gateway.feeds.formats.arrow import Column, compute
from services.gateway.feeds.formats.rows import Account, Ints


@dataclass(frozen=True)
class Cells:
    """The rows of a block: text columns by name, and where in the file each row stands."""

    lines: Ints
    columns: dict[str, Column]


def read_cells(block: bytes, names: Sequence[str], wanted: Sequence[str], account: Account, *, quoted: bool) -> Cells:
    """The block's rows. Lines with the wrong number of values are bad, blank lines are of another kind."""
    first = account.lines + 1
    block = _plain(block)
    count = block.count(b"\n") + (not block.endswith(b"\n"))
    account.lines += count
    numbers = np.arange(first, first + count, dtype=np.int64)
    skipped: list[tuple[int, str]] = []
    table = _parse(block, names, wanted, quoted, skipped)
    if table.num_rows + len(skipped) != count:
        # An open quote has swallowed line ends: the lines with one are bad, and the others are read without them.
        block, numbers = _without_open_quotes(block, numbers, account)
        skipped.clear()
        table = _parse(block, names, wanted, quoted, skipped)
    for row, reason in skipped:
        account.note_bad(int(numbers[row]), reason)
    numbers = np.delete(numbers, [row for row, _ in skipped])
    columns = {name: _one(table[name]) for name in wanted}
    return _without_blanks(Cells(numbers, columns), account)


def _plain(block: bytes) -> bytes:
    if b"\r" in block:
        # A carriage return that ends no line would be taken for a line end.
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors="replace").encode()
    return block


def _parse(
    block: bytes, names: Sequence[str], wanted: Sequence[str], quoted: bool, skipped: list[tuple[int, str]]
) -> Any:
    def skip(row: Any) -> str:
        text = f"{row.actual_columns} values where {row.expected_columns} are expected"
        skipped.append(((row.number or 1) - 1, text))
        return "skip"

    if not block:
        return pa.table({name: pa.array([], pa.string()) for name in wanted})
    return csv.read_csv(
        pa.BufferReader(block),
        csv.ReadOptions(column_names=list(names), use_threads=False, block_size=len(block) + 1),
        csv.ParseOptions(quote_char='"' if quoted else False, ignore_empty_lines=False, invalid_row_handler=skip),
        csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, include_columns=list(wanted), check_utf8=False
        ),
    )


def _without_open_quotes(block: bytes, numbers: Ints, account: Account) -> tuple[bytes, Ints]:
    lines = block.removesuffix(b"\n").split(b"\n")
    odd = [row for row, line in enumerate(lines) if line.count(b'"') % 2]
    for row in odd:
        account.note_bad(int(numbers[row]), "a quotation mark that is not closed")
    kept = [line for line in lines if not line.count(b'"') % 2]
    return b"".join(line + b"\n" for line in kept), np.delete(numbers, odd)


def _without_blanks(cells: Cells, account: Account) -> Cells:
    some = np.zeros(len(cells.lines), np.bool_)
    for column in cells.columns.values():
        some |= compute.not_equal(column, "").to_numpy(zero_copy_only=False)
        if some.all():
            return cells
    account.other += int((~some).sum())
    kept = pa.array(some)
    return Cells(cells.lines[some], {name: column.filter(kept) for name, column in cells.columns.items()})


def _one(column: Any) -> Column:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
