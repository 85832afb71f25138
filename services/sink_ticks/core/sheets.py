"""Sheets: what waits to be written, as columns, a sheet for each table. Ticks of a frame stay columns all the way."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.contract.base import INT64_MAX
from shared.contract.tables import LakeTable, Table
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns

Row = tuple[Any, ...]
"""One row of a table: its timestamp in ns, then the table's columns in their order."""

WORD = pa.dictionary(pa.int32(), pa.utf8())
ARROW = {"symbol": WORD, "text": pa.utf8(), "float": pa.float64(), "int": pa.int64()}


class Sheet:
    """Rows of one table in the order in which they came, each with the number of the message that it is from."""

    def __init__(self, table: Table | LakeTable) -> None:
        kinds = {"timestamp": pa.int64(), **{name: ARROW[kind] for name, kind in table.columns.items()}}
        self._schema = pa.schema(list(kinds.items()))
        self._whole = [at for at, kind in enumerate(kinds.values()) if kind == pa.int64()]
        self._batches: list[pa.RecordBatch] = []
        self._rows: list[Row] = []
        self._gathered = 0
        self._numbers: list[int] = []
        self._ends: list[int] = []

    def __len__(self) -> int:
        return self._gathered + len(self._rows)

    def add(self, row: Row, number: int) -> None:
        """Add a message's row; ValueError when it cannot be one, since later it would keep all others from theirs."""
        for at in self._whole:
            if not -INT64_MAX <= (row[at] or 0) <= INT64_MAX:
                raise ValueError(f"{self._schema.names[at]}: {row[at]} has more than 64 bits")
        self._rows.append(row)
        self._note(number)

    def add_ticks(self, ticks: TickColumns, number: int) -> None:
        """A frame's. Those without an id get the frame's number and their place within it."""
        self._gather()
        self._keep(_columns(ticks, number))
        self._note(number)

    def columns(self, after: int = 0) -> Mapping[str, Any]:
        """Those of messages beyond `after`, each column one of Arrow's. Numbers have risen, or `after` is 0."""
        self._gather()
        known = bisect_right(self._numbers, after) if after else 0
        whole = pa.Table.from_batches(self._batches, self._schema).slice(self._ends[known - 1] if known else 0)
        return {name: whole.column(name) for name in self._schema.names}

    def _note(self, number: int) -> None:
        self._numbers.append(number)
        self._ends.append(len(self))

    def _gather(self) -> None:
        if self._rows:
            columns = zip(zip(*self._rows, strict=True), self._schema.types, strict=True)
            self._keep([pa.array(values, kind) for values, kind in columns])
            self._rows = []

    def _keep(self, arrays: Sequence[Any]) -> None:
        self._batches.append(pa.record_batch(arrays, schema=self._schema))
        self._gathered += len(arrays[0])


class Sheets(dict[str, Sheet]):
    """By the name of the table."""

    def of(self, table: Table | LakeTable) -> Sheet:
        """The table's sheet, a new one where there is none."""
        if table.name not in self:
            self[table.name] = Sheet(table)
        return self[table.name]


def _columns(ticks: TickColumns, number: int) -> list[Any]:
    zeros = np.zeros(len(ticks), np.int32)
    return [
        pa.array(ticks.event_ns),
        pa.DictionaryArray.from_arrays(pa.array(ticks.codes), pa.array(ticks.symbols, pa.utf8())),
        pa.DictionaryArray.from_arrays(pa.array(zeros), pa.array([ticks.venue])),
        _ids(Texts.of(ticks.trade_id), number),
        pa.array(ticks.price),
        pa.array(ticks.quantity),
        pa.array(ticks.side.astype(np.int64)),
        pa.array(ticks.receive_ns),
        pa.array(ticks.sequence),
    ]


def _ids(given: Texts, number: int) -> Any:
    blank = np.diff(given.offsets) == 0
    ids = pa.Array.from_buffers(pa.utf8(), len(given), [None, pa.py_buffer(given.offsets), pa.py_buffer(given.data)])
    if not blank.any():
        return ids
    places = pa.array(np.arange(len(given))).cast(pa.utf8())
    made = pc.call_function("binary_join_element_wise", [pa.scalar(str(number)), places, pa.scalar(".")])
    return pc.call_function("if_else", [pa.array(blank), made, ids])
