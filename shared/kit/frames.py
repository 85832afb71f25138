"""Frames: tick columns as they travel, an Arrow IPC stream of one record batch. See the columns in `SCHEMA`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.contract.base import TIME_NS_MAX
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns

N = TypeVar("N", bound=np.generic)

SCHEMA = pa.schema(
    [
        ("symbol", pa.dictionary(pa.int32(), pa.utf8())),
        ("event_ns", pa.int64()),
        ("receive_ns", pa.int64()),
        ("price", pa.float64()),
        ("quantity", pa.float64()),
        ("side", pa.int8()),
        ("trade_id", pa.utf8()),
        ("sequence", pa.int64()),
    ]
)
"""`replay` and `ended` ("1" or "") travel as metadata of the schema."""

ROWS_MAX = 1 << 20
TRADE_ID_BYTES_MAX = 64
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9_]{0,31}")
_VENUE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_REPLAY = re.compile(r"[!-~]{0,128}")  # it travels in the header of a message


def encode_frame(columns: TickColumns) -> bytes:
    """The columns as one frame."""
    trade_ids = Texts.of(columns.trade_id)
    count = len(columns)
    arrays = [
        pa.DictionaryArray.from_arrays(pa.array(columns.codes, pa.int32()), pa.array(columns.symbols, pa.utf8())),
        pa.array(columns.event_ns, pa.int64()),
        pa.array(columns.receive_ns, pa.int64()),
        pa.array(columns.price, pa.float64()),
        pa.array(columns.quantity, pa.float64()),
        pa.array(columns.side, pa.int8()),
        pa.Array.from_buffers(pa.utf8(), count, [None, pa.py_buffer(trade_ids.offsets), pa.py_buffer(trade_ids.data)]),
        pa.array(columns.sequence, pa.int64()),
    ]
    schema = SCHEMA.with_metadata({"replay": columns.replay, "ended": "1" if columns.ended else ""})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()


def decode_frame(payload: bytes, venue: str) -> TickColumns:
    """The columns in a frame; `ValueError` says what is wrong with it."""
    batch = _only_batch(payload)
    columns = {field.name: batch.column(at) for at, field in enumerate(SCHEMA)}
    symbols, codes = _symbols(columns["symbol"])
    metadata = batch.schema.metadata or {}
    ticks = TickColumns(
        venue=venue,
        symbols=symbols,
        codes=codes,
        event_ns=_numbers(columns["event_ns"], np.int64),
        receive_ns=_numbers(columns["receive_ns"], np.int64),
        price=_numbers(columns["price"], np.float64),
        quantity=_numbers(columns["quantity"], np.float64),
        side=_numbers(columns["side"], np.int8),
        trade_id=texts_of(columns["trade_id"]),
        sequence=_numbers(columns["sequence"], np.int64),
        replay=metadata.get(b"replay", b"").decode("utf-8", "replace"),
        ended=metadata.get(b"ended", b"") == b"1",
    )
    _check_names(ticks)
    if len(ticks):
        _check_values(ticks)
    return ticks


def _only_batch(payload: bytes) -> Any:
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            if not reader.schema.equals(SCHEMA):
                raise ValueError(_difference(reader.schema))
            batches = list(reader)
        if len(batches) != 1:
            raise ValueError(f"a frame holds exactly one record batch; this one holds {len(batches)}")
        if len(batches[0]) > ROWS_MAX:
            raise ValueError(f"a frame holds at most {ROWS_MAX} rows; this one holds {len(batches[0])}")
        batches[0].validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"the frame is not a readable Arrow IPC stream: {error}") from error
    for column, field in zip(batches[0].columns, SCHEMA, strict=True):
        if column.null_count:
            raise ValueError(f"column {field.name} holds {column.null_count} nulls; a tick has all its values")
    return batches[0]


def _difference(schema: Any) -> str:
    given = {field.name: str(field.type) for field in schema}
    for field in SCHEMA:
        if field.name not in given:
            return f"the frame has no column {field.name} {field.type}"
        if given[field.name] != str(field.type):
            return f"column {field.name} must be {field.type}, not {given[field.name]}"
    return f"the frame's columns must be {', '.join(SCHEMA.names)}, in this order; they are {', '.join(given)}"


def _symbols(column: Any) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    if column.dictionary.null_count:
        raise ValueError("the symbol dictionary holds nulls")
    known = texts_of(column.dictionary)
    # A feed names the same symbols in every frame; the cache spares reading and checking them each time.
    return _read_symbols(known.offsets.tobytes(), known.data.tobytes()), _numbers(column.indices, np.int32)


@lru_cache(maxsize=256)
def _read_symbols(offsets: bytes, data: bytes) -> tuple[str, ...]:
    symbols = tuple(Texts(np.frombuffer(offsets, np.int32), np.frombuffer(data, np.uint8)))
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise ValueError(f"{symbol!r} is not a symbol: upper case letters, digits and _, at most 32")
    return symbols


def _numbers(column: Any, kind: type[N]) -> NDArray[N]:
    buffer = column.buffers()[-1]
    if buffer is None or len(column) == 0:
        return np.empty(0, kind)
    return np.frombuffer(buffer, kind, len(column), column.offset * np.dtype(kind).itemsize)


def texts_of(column: Any) -> Texts:
    """An Arrow utf8 column, as it lies in memory."""
    _, offsets, data = column.buffers()
    if len(column) == 0 or offsets is None:
        return Texts.blank(0)
    bounds = np.frombuffer(offsets, np.int32, len(column) + 1, column.offset * 4)
    return Texts(bounds, np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8))


def _check_names(ticks: TickColumns) -> None:
    if not _VENUE.fullmatch(ticks.venue):
        raise ValueError(f"{ticks.venue!r} is not a venue: lower case letters, digits, _ and -, at most 32")
    if not _REPLAY.fullmatch(ticks.replay):
        raise ValueError("the replay's id must be at most 128 printable ASCII characters without a space")


def _check_values(ticks: TickColumns) -> None:
    for name, values in (("price", ticks.price), ("quantity", ticks.quantity)):
        # NaN fails every comparison, so this is one pass for every kind of nonsense.
        if not (values.min() >= 1e-12 and values.max() < 1e21):
            raise ValueError(f"column {name} must be positive and finite, from 1e-12 to below 1e21")
    for name, values in (("event_ns", ticks.event_ns), ("receive_ns", ticks.receive_ns)):
        if values.min() < 0 or values.max() > TIME_NS_MAX:
            raise ValueError(f"column {name} must lie between 1970 and 2261, in nanoseconds since 1970")
    if ticks.side.min() < -1 or ticks.side.max() > 1:
        raise ValueError("column side must be 1 (buyer took), -1 (seller took) or 0 (unknown)")
    if np.diff(Texts.of(ticks.trade_id).offsets).max() > TRADE_ID_BYTES_MAX:
        raise ValueError(f"column trade_id holds a value of more than {TRADE_ID_BYTES_MAX} bytes")
