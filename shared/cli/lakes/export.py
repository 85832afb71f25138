"""Exporting: what was said of a symbol between two times, as one file.

It comes from the lake, which is made to be read in large pieces, so that the tape goes on undisturbed; the newest half
minute may not be in it yet. As on the tape, what was said twice is there once, and of a bar its last revision.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyarrow import csv

from shared.cli.lakes.reading import Bounds, reading
from shared.cli.lakes.words import Format, Kind
from shared.cli.trouble import Trouble
from shared.contract.base import bound
from shared.kit.settings import Suite

SAME = {
    Kind.ticks: ("timestamp_ns, venue, trade_id", "receive_ns DESC, sequence DESC"),
    Kind.quotes: ("timestamp_ns, venue, sequence", "receive_ns DESC"),
    Kind.bars: ("timestamp_ns, venue, interval, number", "revision DESC"),
}
"""What makes two rows of a symbol the same, and which of them comes first, which is the one that counts."""


@dataclass(frozen=True)
class Wanted:
    """`begin` and `end` (excluded) are RFC 3339, or a day alone, which begins at midnight UTC."""

    symbol: str
    table: Kind
    begin: str | None = None
    end: str | None = None
    venue: str | None = None
    interval: str | None = None


def export(suite: Suite, wanted: Wanted, form: Format, out: Path, bounds: Bounds) -> int:
    """Write the file; how many rows. What is there is not written over, and half a file never has its name."""
    if out.exists():
        raise Trouble(f"{out} is there already; choose another name, or move it away")
    if not out.parent.is_dir():
        raise Trouble(f"{out.parent} is no folder")
    sql, values = question(wanted)
    with tempfile.TemporaryDirectory(prefix=".trade2026-export-", dir=out.parent) as folder:
        half = Path(folder) / "file"
        with reading(suite, Path(folder), bounds) as lake:
            if wanted.table.value not in lake.tables:
                has = ", ".join(lake.tables) or "nothing"
                raise Trouble(f"no {wanted.table.value} yet, or less than half a minute old: the lake has {has}")
            count = WRITERS[form](lake.rows(sql, values), half)
        if not count:
            raise Trouble(f"nothing to export: the lake holds no {wanted.table.value} of {wanted.symbol} like that")
        try:
            out.hardlink_to(half)
        except FileExistsError:
            raise Trouble(f"{out} is there already; choose another name, or move it away") from None
    return count


def question(wanted: Wanted) -> tuple[str, list[Any]]:
    """What to ask for, with its values. The dates spare opening the files of other days."""
    conditions, values = ["symbol = ?"], [wanted.symbol]
    for name, value in (("venue", wanted.venue), ("interval", wanted.interval)):
        if value is not None:
            conditions.append(f"{name} = ?")
            values.append(value)
    for name, text, sign in (("from", wanted.begin, ">="), ("to", wanted.end, "<")):
        if text is not None:
            at_ns = _time(text, name)
            conditions += [f"timestamp_ns {sign} ?", f"date {sign[0]}= ?"]
            values += [at_ns, datetime.fromtimestamp(at_ns // 10**9, UTC).date()]
    same, first = SAME[wanted.table]
    sql = (
        f"SELECT * EXCLUDE (date) FROM {wanted.table.value} WHERE {' AND '.join(conditions)} "
        f"QUALIFY row_number() OVER (PARTITION BY {same} ORDER BY {first}) = 1 ORDER BY timestamp_ns, {same}"
    )
    return sql, values


def _time(text: str, name: str) -> int:
    try:
        return bound(f"{text}T00:00:00Z" if len(text) == len("2026-01-31") else text)
    except ValueError:
        given = "must be RFC 3339 with a time zone (2026-01-31T09:30:00Z) or a day"
        raise Trouble(f"--{name} {given}, not {text!r}") from None


def _as_parquet(batches: Iterator[Any], path: Path) -> int:
    first = next(batches)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        return _written(batches, writer)


def _as_csv(batches: Iterator[Any], path: Path) -> int:
    first = next(batches)
    with csv.CSVWriter(str(path), first.schema) as writer:
        return _written(batches, writer)


def _written(batches: Iterator[Any], writer: Any) -> int:
    count = 0
    for batch in batches:
        writer.write_batch(batch)
        count += len(batch)
    return count


WRITERS = {Format.parquet: _as_parquet, Format.csv: _as_csv}
