"""Asking the lake in SQL: one question, which reads; its answer as a table, CSV or JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
from pyarrow import csv

from shared.cli import show
from shared.cli.lakes.reading import Bounds, reading
from shared.cli.lakes.words import Shape
from shared.cli.trouble import Trouble
from shared.kit.settings import Suite

READS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.RELATION}
SHOWN_MAX = 1000


def ask(suite: Suite, sql: str, shape: Shape, bounds: Bounds) -> None:
    """Print the answer."""
    check(sql)
    with tempfile.TemporaryDirectory(prefix="trade2026-query-") as spill, reading(suite, Path(spill), bounds) as lake:
        WRITERS[shape](lake.rows(sql))


def check(sql: str) -> None:
    """`Trouble` unless it is one question that only reads."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise Trouble(" ".join(str(error).split())) from None
    if len(statements) != 1 or statements[0].type not in READS:
        raise Trouble("the lake is only read: give one SELECT (or WITH …, DESCRIBE, SUMMARIZE, EXPLAIN)")


def _as_table(batches: Iterator[Any]) -> None:
    heads: list[str] = []
    rows: list[tuple[Any, ...]] = []
    left = 0
    for batch in batches:
        heads = batch.schema.names
        room = SHOWN_MAX - len(rows)
        rows += _tuples(batch.slice(0, room))
        left += max(0, len(batch) - room)
    sys.stdout.write(show.table(heads, rows) + "\n")
    if left:
        sys.stdout.write(f"… and {left:,} rows more; --format csv prints all\n")


def _as_csv(batches: Iterator[Any]) -> None:
    first = next(batches)
    with csv.CSVWriter(sys.stdout.buffer, first.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _as_json(batches: Iterator[Any]) -> None:
    """A line for each row."""
    for batch in batches:
        for row in batch.to_pylist():
            sys.stdout.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _tuples(batch: Any) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True)) if len(batch) else []


WRITERS: dict[Shape, Callable[[Iterator[Any]], None]] = {
    Shape.table: _as_table,
    Shape.csv: _as_csv,
    Shape.json: _as_json,
}
