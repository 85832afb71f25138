"""A recorded day through frames and the fold, against a recomputation by polars."""

from __future__ import annotations

import zipfile
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from shared.contract.market import Bar, Interval
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import BarFold
from shared.kit.frames import decode_frame, encode_frame

ROWS = 451_545


def day(folder: Path) -> pl.DataFrame:
    midnight = datetime(2013, 10, 8, tzinfo=ZoneInfo("America/New_York"))
    with zipfile.ZipFile(folder / "equities" / "spy_20131008_trade.zip") as archive:
        raw = archive.read(archive.namelist()[0])
    columns = ["ms", "price", "quantity", "venue", "condition", "suspicious"]
    table = pl.read_csv(raw, has_header=False, new_columns=columns, schema_overrides={"condition": pl.String})
    return table.select(
        event_ns=(pl.col("ms") * 1_000_000 + int(midnight.timestamp()) * 1_000_000_000).cast(pl.Int64),
        price=pl.col("price") / 10_000,
        quantity=pl.col("quantity").cast(pl.Float64),
    )


def frames(ticks: pl.DataFrame, rows: int = 4096) -> list[bytes]:
    found: list[bytes] = []
    for begin in range(0, len(ticks), rows):
        part = ticks[begin : begin + rows]
        count = len(part)
        columns = TickColumns(
            venue="lean",
            symbols=["SPY"],
            codes=np.zeros(count, np.int32),
            event_ns=part["event_ns"].to_numpy(),
            receive_ns=part["event_ns"].to_numpy(),
            price=part["price"].to_numpy(),
            quantity=part["quantity"].to_numpy(),
            side=np.zeros(count, np.int8),
            trade_id=Texts.of([str(n) for n in range(begin + 1, begin + 1 + count)]),
            sequence=np.arange(begin, begin + count),
            replay="r1",
            ended=begin + rows >= len(ticks),
        )
        found.append(encode_frame(columns))
    return found


@pytest.mark.recorded
def test_every_bar_of_a_recorded_day_is_what_polars_makes_of_it(recorded: Path) -> None:
    ticks = day(recorded)
    assert len(ticks) == ROWS
    fold = BarFold(10_000_000_000)

    said = [one.bar for payload in frames(ticks) for one in fold.take(decode_frame(payload, "lean"))]

    assert fold.totals == {"ticks": ROWS, "late": 0, "duplicates": 0, "bars": len(said), "revisions": 0}
    for interval in Interval:
        bars = [bar for bar in said if bar.interval is interval]
        assert [words(bar) for bar in bars] == recomputed(ticks, interval), interval


def words(bar: Bar) -> tuple[float, ...]:
    return (bar.start_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.count)


def recomputed(ticks: pl.DataFrame, interval: Interval) -> list[tuple[float, ...]]:
    price = pl.col("price")
    return (
        ticks.with_columns(start_ns=pl.col("event_ns") // interval.length_ns * interval.length_ns)
        .sort("event_ns", maintain_order=True)
        .group_by("start_ns", maintain_order=True)
        .agg(
            open=price.first(),
            high=price.max(),
            low=price.min(),
            close=price.last(),
            volume=pl.col("quantity").sum(),
            count=pl.len(),
        )
        .rows()
    )
