"""Frames say what they were given, and are refused with a reason when they are not frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.kit.frames import SCHEMA, decode_frame, encode_frame


def ticks(count: int = 3) -> TickColumns:
    return TickColumns(
        venue="sim",
        symbols=["BTCUSDT", "SPY"],
        codes=(np.arange(count) % 2).astype(np.int32),
        event_ns=10**18 + np.arange(count),
        receive_ns=10**18 + 7 + np.arange(count),
        price=100.0 + np.arange(count),
        quantity=np.full(count, 0.1),
        side=(np.arange(count) % 3 - 1).astype(np.int8),
        trade_id=[f"id{n}" if n % 2 else "" for n in range(count)],
        sequence=np.arange(count),
        replay="r1",
        ended=True,
    )


def same(one: TickColumns, other: TickColumns) -> bool:
    names = ("codes", "event_ns", "receive_ns", "price", "quantity", "side", "sequence")
    columns = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    words = [(t.venue, list(t.symbols), list(t.trade_id), t.replay, t.ended) for t in (one, other)]
    return columns and words[0] == words[1]


@pytest.mark.parametrize("count", [0, 1, 3, 5000])
def test_a_frame_says_what_it_was_given(count: int) -> None:
    given_ = ticks(count)
    decoded = decode_frame(encode_frame(given_), "sim")

    assert same(decoded, given_)
    assert same(decode_frame(encode_frame(decoded), "sim"), given_)
    assert [decoded.codes.dtype, decoded.event_ns.dtype, decoded.side.dtype] == [np.int32, np.int64, np.int8]


def test_live_ticks_name_no_replay() -> None:
    decoded = decode_frame(encode_frame(replace(ticks(), replay="", ended=False)), "sim")

    assert (decoded.replay, decoded.ended) == ("", False)


def test_ids_are_made_into_strings_only_for_who_asks() -> None:
    ids = decode_frame(encode_frame(replace(ticks(), trade_id=["a", "", "ö€"])), "sim").trade_id

    assert isinstance(ids, Texts)
    assert (ids[0], ids[-1], list(ids[1:]), len(ids)) == ("a", "ö€", ["", "ö€"], 3)
    with pytest.raises(IndexError):
        ids[3]


def stream(*batches: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def whole() -> pa.RecordBatch:
    with pa.ipc.open_stream(encode_frame(ticks())) as reader:
        return reader.read_next_batch()


def changed(name: str, values: Any) -> bytes:
    at = SCHEMA.names.index(name)
    return stream(whole().set_column(at, SCHEMA.field(at), pa.array(values, SCHEMA.field(at).type)))


BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "not a readable Arrow IPC stream"),
    "noise": (lambda: b"\x00\xff" * 500, "not a readable Arrow IPC stream"),
    "truncated": (lambda: encode_frame(ticks())[:-200], "not a readable Arrow IPC stream"),
    "no batch": (lambda: stream(whole()).replace(stream(whole()), _schema_only()), "exactly one record batch"),
    "two batches": (lambda: stream(whole(), whole()), "exactly one record batch; this one holds 2"),
    "a column missing": (lambda: stream(whole().drop_columns(["side"])), "no column side int8"),
    "a column more": (lambda: stream(whole().append_column("x", pa.array([1, 2, 3]))), "in this order"),
    "another type": (
        lambda: stream(whole().set_column(3, "price", pa.array([1, 2, 3], pa.int64()))),
        "column price must be double, not int64",
    ),
    "a null": (lambda: changed("price", [1.0, None, 2.0]), "column price holds 1 nulls"),
    "a price of nothing": (lambda: changed("price", [1.0, 0.0, 2.0]), "price must be positive"),
    "a negative quantity": (lambda: changed("quantity", [1.0, -1.0, 2.0]), "quantity must be positive"),
    "not a number": (lambda: changed("price", [1.0, float("nan"), 2.0]), "price must be positive and finite"),
    "infinity": (lambda: changed("quantity", [1.0, float("inf"), 2.0]), "quantity must be positive and finite"),
    "a time before 1970": (lambda: changed("event_ns", [1, -1, 2]), "event_ns must lie between"),
    "a time after 2261": (lambda: changed("receive_ns", [1, 2**63 - 1, 2]), "receive_ns must lie between"),
    "a third side": (lambda: changed("side", [1, 2, 0]), "side must be 1"),
    "a long id": (lambda: changed("trade_id", ["", "x" * 65, ""]), "more than 64 bytes"),
    "no symbol": (lambda: encode_frame(replace(ticks(), symbols=["BTC.USDT", "*"])), "'BTC.USDT' is not a symbol"),
    "no replay": (lambda: encode_frame(replace(ticks(), replay="a\r\nb")), "replay's id"),
}


def _schema_only() -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA):
        pass
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_frame_is_refused_with_a_reason(broken: str) -> None:
    make, reason = BROKEN[broken]
    with pytest.raises(ValueError, match=reason):
        decode_frame(make(), "sim")


def test_codes_that_point_outside_the_dictionary_are_refused() -> None:
    codes = pa.array([0, 1, 9], pa.int32())
    column = pa.DictionaryArray.from_arrays(codes, pa.array(["A", "B"]), safe=False)
    with pytest.raises(ValueError, match="not a readable"):
        decode_frame(stream(whole().set_column(0, SCHEMA.field(0), column)), "sim")


def test_a_frame_from_no_venue_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a venue"):
        decode_frame(encode_frame(ticks()), "Sim!")


@given(st.binary(max_size=40), st.integers(0, 3000), st.booleans())
@settings(max_examples=400, deadline=None)
def test_whatever_comes_is_either_ticks_or_refused(noise: bytes, at: int, cut: bool) -> None:
    frame = encode_frame(ticks())
    at %= len(frame)
    damaged = frame[:at] + noise + (b"" if cut else frame[at + len(noise) :])
    try:
        decoded = decode_frame(damaged, "sim")
    except ValueError:
        return
    assert len(decoded) == len(list(decoded.trade_id)) == len(decoded.codes)
