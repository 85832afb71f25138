"""What every tape takes and gives: columns in, rows out, and conditions on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.contract.tables import Table

Columns = Mapping[str, Sequence[Any]]
"""Equally long columns by name (lists, numpy arrays): "timestamp" in ns, and every column of the table."""

Row = dict[str, Any]
"""One row as read back: "timestamp" in ns, and every column of the table."""


def conditions(table: Table, where: Mapping[str, str] | None) -> tuple[list[str], list[str]]:
    """Column names and the values they must equal; only columns of this table, since names go into the query's text."""
    names = list(where or {})
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        raise ValueError(f"{table.name} has no column {unknown[0]}")
    return names, list((where or {}).values())


def plain(column: Any) -> Any:
    """Python's own values; neither driver takes those of numpy."""
    return column.tolist() if hasattr(column, "tolist") else column
