"""What the tape and the lake take and give: columns in, rows out, and conditions on them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shared.contract.tables import LakeKind, Table
from shared.contract.texts import Texts

Columns = Mapping[str, Sequence[Any]]
"""Equally long columns by name (lists, arrays of numpy or Arrow, texts): "timestamp" in ns, and the table's own."""

Row = dict[str, Any]
"""One row as read back: "timestamp" in ns, and every column of the table."""


@functools.cache
def warm() -> None:
    """Have Arrow make its table of casts, once a process and before anything waits: it takes 40 MB and up to 1.5 s."""
    pa.array([0]).cast(pa.utf8())


def conditions(table: Table, where: Mapping[str, str] | None) -> tuple[list[str], list[str]]:
    """Column names and the values they must equal; only columns of this table, since names go into the query's text."""
    names = list(where or {})
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        raise ValueError(f"{table.name} has no column {unknown[0]}")
    return names, list((where or {}).values())


def plain(column: Any) -> Any:
    """Python's own values."""
    if isinstance(column, pa.ChunkedArray):
        return [value for chunk in column.chunks for value in plain(chunk)]
    if isinstance(column, pa.DictionaryArray) and not column.null_count:
        return np.array(column.dictionary.to_pylist(), object)[column.indices.to_numpy()].tolist()
    if isinstance(column, pa.Array):
        return column.to_pylist() if column.null_count or pa.types.is_nested(column.type) else _unboxed(column)
    return column.tolist() if hasattr(column, "tolist") else column


def _unboxed(column: Any) -> list[Any]:
    """As `to_pylist`, some five times as fast."""
    if column.type != pa.utf8():
        return column.to_numpy(zero_copy_only=False).tolist()
    _, offsets, data = column.buffers()
    bounds = (
        np.frombuffer(offsets, np.int32, len(column) + 1, column.offset * 4) if len(column) else np.zeros(1, np.int32)
    )
    return Texts(bounds, np.frombuffer(data or b"", np.uint8)).strings()


ARROW: dict[LakeKind, pa.DataType] = {
    "symbol": pa.utf8(),
    "text": pa.utf8(),
    "texts": pa.list_(pa.utf8()),
    "float": pa.float64(),
    "int": pa.int64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def raw_arrow(column: Any, kind: LakeKind) -> Any:
    """A column as one of Arrow's, perhaps of another type than its kind's: Arrow takes 40 MB for its first cast."""
    if isinstance(column, Texts):
        buffers = [None, pa.py_buffer(column.offsets), pa.py_buffer(column.data)]
        return pa.Array.from_buffers(pa.utf8(), len(column), buffers)
    wanted = ARROW["int" if kind == "timestamp" else kind]
    return column if isinstance(column, (pa.Array, pa.ChunkedArray)) else pa.array(column, wanted)


def as_arrow(column: Any, kind: LakeKind) -> Any:
    """A column as Arrow has this kind; no value of it becomes an object of Python's unless it is one."""
    array = raw_arrow(column, kind)
    if kind == "timestamp":
        array = array.cast(pa.timestamp("ns", tz="UTC"))
    return array if array.type == ARROW[kind] else array.cast(ARROW[kind], safe=kind != "timestamp")
