"""A day of SPY, replayed as fast as it goes: every tick on the tape, every bar as polars has it, whatever is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from shared.contract.market import Interval
from shared.contract.tables import BARS
from shared.kit import settings
from shared.kit.tape import open_tape
from tests.journeys.rig import Suite, running
from tests.questdb_server import QuestServer
from tests.servers import wait_until

pytestmark = [pytest.mark.suite, pytest.mark.recorded]

FILE = "equities/spy_20131008_trade.zip"
TICKS = 451_545
"""Lines of the file; the last one has no line end, so that `wc -l` counts one fewer."""
MIDNIGHT_NEW_YORK_MS = 1_381_204_800_000  # 2013-10-08T04:00:00Z
FIELDS = ("open", "high", "low", "close", "volume", "count")


@pytest.fixture(scope="module")
def expected(recorded: Path) -> dict[str, dict[int, tuple[float, ...]]]:
    """Each bar by its start (ns), recomputed by polars from the file."""
    with zipfile.ZipFile(recorded / FILE) as archive, archive.open(archive.namelist()[0]) as lines:
        names = ["ms", "price", "quantity", "exchange", "condition", "suspicious"]
        raw = pl.read_csv(lines.read(), has_header=False, new_columns=names, schema_overrides={"condition": pl.String})
    ticks = raw.select(
        at=((pl.col("ms") + MIDNIGHT_NEW_YORK_MS) * 1_000_000).cast(pl.Int64),
        # Divided by numpy: polars multiplies by the reciprocal, which is a last bit off.
        price=pl.Series(raw["price"].to_numpy() / 10_000),
        quantity=pl.col("quantity").cast(pl.Float64),
    )
    assert ticks.height == TICKS
    return {interval: _bars(ticks, minutes) for interval, minutes in (("1m", 1), ("5m", 5), ("1h", 60), ("1d", 1440))}


def _bars(ticks: pl.DataFrame, minutes: int) -> dict[int, tuple[float, ...]]:
    length_ns = minutes * 60_000_000_000
    # A stable sort keeps the file's order where times are equal.
    bars = (
        ticks.sort("at", maintain_order=True)
        .group_by(start=pl.col("at") // length_ns * length_ns, maintain_order=True)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            volume=pl.col("quantity").sum(),
            count=pl.len(),
        )
    )
    return {row["start"]: tuple(row[name] for name in FIELDS) for row in bars.iter_rows(named=True)}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running(tmp_path_factory.mktemp("spy"), GATEWAY_SIMULATE="false") as one:
        yield one


def _replay(suite: Suite, recorded: Path, kill: str | None = None) -> dict[str, Any]:
    pid = suite.processes()[kill]["pid"] if kill else 0
    started = suite.replay(recorded / FILE, format="lean-trades", speed="max", venue="lean")
    if kill:
        path = f"/api/gateway/replays/{started['id']}"
        wait_until(lambda: suite.get(path)["used_ticks"] > TICKS // 3, "a third of the file")
        os.kill(pid, signal.SIGKILL)
        assert suite.get(path)["state"] == "RUNNING", "half-way"
    done = suite.await_replay(started["id"])
    assert (done["state"], done["used_ticks"], done["bad"]) == ("DONE", TICKS, 0), done
    return done


def _check(suite: Suite, expected: dict[str, dict[int, tuple[float, ...]]]) -> None:
    suite.await_ready()
    suite.await_count("ticks", TICKS)
    for interval, bars in expected.items():
        wait_until(lambda i=interval, b=bars: _on_tape(suite, i) == b, f"every {interval} bar", 60)
    assert suite.get("/api/sink-ticks/count/ticks")["count"] == TICKS


def _on_tape(suite: Suite, interval: str) -> dict[int, tuple[float, ...]]:
    """The bars of an interval by their start (ns), read past the services."""

    async def read() -> list[dict[str, Any]]:
        words = {name.removeprefix("TRADE2026_").lower(): value for name, value in suite.environment.items()}
        tape = open_tape(settings.Suite(var=suite.var, **words))
        rows = await tape.read(BARS[Interval(interval)], where={"venue": "lean", "symbol": "SPY"}, limit=10_000)
        await tape.close()
        return rows

    return {row["timestamp"]: tuple(row[name] for name in FIELDS) for row in asyncio.run(read())}


def test_a_replayed_day_is_on_the_tape_tick_by_tick_and_bar_by_bar(
    suite: Suite, recorded: Path, expected: dict[str, dict[int, tuple[float, ...]]]
) -> None:
    _replay(suite, recorded)
    _check(suite, expected)


def test_replayed_twice_it_is_still_the_same(
    suite: Suite, recorded: Path, expected: dict[str, dict[int, tuple[float, ...]]]
) -> None:
    _replay(suite, recorded)
    _check(suite, expected)


@pytest.mark.parametrize("part", ["normalizer", "sink-ticks"])
def test_killed_half_way_it_is_still_the_same(
    tmp_path: Path, recorded: Path, expected: dict[str, dict[int, tuple[float, ...]]], part: str
) -> None:
    # Small frames make the replay long enough to be in the middle of it.
    with running(tmp_path, GATEWAY_SIMULATE="false", GATEWAY_FRAME_ROWS="128") as suite:
        _replay(suite, recorded, kill=part)
        _check(suite, expected)


@pytest.mark.questdb
def test_on_questdb_killed_half_way_nothing_is_lost(
    tmp_path: Path,
    recorded: Path,
    expected: dict[str, dict[int, tuple[float, ...]]],
    questdb_jar: str,
) -> None:
    server = QuestServer(questdb_jar, tmp_path / "questdb").start()
    words = {"TRADE2026_QUESTDB_HTTP": server.http, "TRADE2026_QUESTDB_PG": server.pg}
    try:
        with running(tmp_path / "var", GATEWAY_SIMULATE="false", GATEWAY_FRAME_ROWS="128", **words) as suite:
            started = suite.replay(recorded / FILE, format="lean-trades", speed="max", venue="lean")
            wait_until(lambda: suite.get("/api/sink-ticks/stats").get("rows_written", 0) > TICKS // 10, "some rows")
            server.kill()
            wait_until(
                lambda: suite.get("/api/sink-ticks/stats").get("batches_handed_back", 0) > 0, "the sink to be refused"
            )
            server.start()
            assert suite.await_replay(started["id"])["used_ticks"] == TICKS
            _check(suite, expected)
    finally:
        server.kill()
