"""Exporting from the lake and asking it, over a real one in a folder and one in S3."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from shared.cli.main import app
from shared.contract.tables import LAKE_BARS, LAKE_QUOTES, LAKE_TICKS
from shared.kit.lake import open_lake
from shared.kit.settings import Suite
from tests.seaweedfs_server import Seaweed

T0 = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
TICKS = 5000


def ticks(first: int, count: int) -> dict[str, Any]:
    numbers = np.arange(first, first + count)
    columns = {"timestamp": T0 + numbers * SECOND_NS, "symbol": np.array(["SPY", "AAPL"])[numbers % 2].tolist()}
    columns |= {"venue": ["sim"] * count, "trade_id": [str(n) for n in numbers], "price": 100.0 + numbers}
    columns |= {"quantity": np.ones(count), "side": np.ones(count, np.int8)}
    return {**columns, "receive_ns": T0 + numbers * SECOND_NS + 1, "sequence": numbers}


def bar(revision: int) -> dict[str, Any]:
    numbers = {name: [1.0 + revision] for name, kind in LAKE_BARS.columns.items() if kind == "float"}
    counts = {"count": [1], "revision": [revision], "number": [0], "end_ns": [T0 + 60 * SECOND_NS]}
    return {"timestamp": [T0], "venue": ["sim"], "symbol": ["SPY"], "interval": ["1m"], **numbers, **counts}


async def fill(suite: Suite) -> None:
    lake = open_lake(suite)
    try:
        await lake.append(LAKE_TICKS, ticks(0, 3000))
        await lake.append(LAKE_TICKS, ticks(2900, TICKS - 2900))
        for revision in (0, 2, 1):
            await lake.append(LAKE_BARS, bar(revision))
    finally:
        await lake.close()


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    var = tmp_path_factory.mktemp("lake")
    asyncio.run(fill(Suite(var=var)))
    return var


@pytest.fixture(autouse=True)
def _there(monkeypatch: pytest.MonkeyPatch, var: Path) -> None:
    monkeypatch.setenv("TRADE2026_VAR", str(var))


def trade2026(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done


def asked(sql: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trade2026("query", sql, "--format", "json").stdout.splitlines()]


def test_a_question_is_answered_as_a_table_as_csv_and_as_json() -> None:
    sql = "SELECT symbol, count(*) AS n FROM ticks WHERE date = '2023-11-14' GROUP BY 1 ORDER BY 1"
    assert trade2026("query", sql).stdout.splitlines()[0].split() == ["symbol", "n"]
    assert trade2026("query", sql, "--format", "csv").stdout.splitlines()[1:] == ['"AAPL",2550', '"SPY",2550']
    assert asked(sql) == [{"symbol": "AAPL", "n": 2550}, {"symbol": "SPY", "n": 2550}]
    assert asked("DESCRIBE ticks")[0]["column_name"] == "timestamp"


def test_a_long_table_is_cut_and_says_so() -> None:
    shown = trade2026("query", "SELECT * FROM ticks").stdout.splitlines()
    assert (len(shown), shown[-1]) == (1002, "… and 4,100 rows more; --format csv prints all")


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DROP TABLE ticks", "only read"),
        ("INSERT INTO ticks SELECT * FROM ticks", "only read"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("COPY ticks TO '/tmp/stolen.csv'", "only read"),
        ("INSTALL httpfs", "only read"),
        ("SET memory_limit = '9GB'", "only read"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("SELECT * FROM read_text('/etc/hostname')", "disabled"),
        ("SELECT * FROM delta_scan('/tmp')", "delta_scan"),
        ("SELECT * FROM orders", "the lake has ticks, bars"),
        ("SELEC", "syntax error"),
        ("", "one SELECT"),
    ],
)
def test_it_is_read_and_nothing_else_is_reached(sql: str, why: str) -> None:
    assert why in trade2026("query", sql, code=1).stderr


def test_a_question_that_takes_too_long_or_too_much_is_ended() -> None:
    endless = "SELECT count(*) FROM ticks a, ticks b, ticks c WHERE a.price + b.price + c.price > 1"
    assert "--timeout" in trade2026("query", endless, "--timeout", "0.3", code=1).stderr
    greedy = "SELECT list(range) FROM range(30000000)"
    assert "--memory" in trade2026("query", greedy, "--memory", "50MB", code=1).stderr
    assert "--memory" in trade2026("query", "SELECT 1", "--memory", "much", code=1).stderr


def test_a_symbol_is_exported_between_two_times_each_tick_once(tmp_path: Path) -> None:
    out = tmp_path / "spy.parquet"
    bounds = ("--from", "2023-11-14T22:13:30Z", "--to", "2023-11-14T23:13:20+00:00")
    said = trade2026("export", "spy", *bounds, "--out", str(out), "--venue", "sim").stdout

    assert said == f"{out}: 1,795 ticks of SPY\n"
    rows = pq.read_table(out).to_pylist()
    assert [row["sequence"] for row in rows] == list(range(10, 3600, 2))
    assert (rows[0]["timestamp_ns"], rows[0]["price"], "date" in rows[0]) == (T0 + 10 * SECOND_NS, 110.0, False)
    assert [path.name for path in tmp_path.iterdir()] == ["spy.parquet"]


def test_days_may_be_given_and_csv_be_had(tmp_path: Path) -> None:
    out = tmp_path / "spy.csv"
    trade2026("export", "AAPL", "--from", "2023-11-14", "--to", "2023-11-15", "--format", "csv", "--out", str(out))
    assert len(out.read_text().splitlines()) == 1 + 2500


def test_of_a_bar_the_last_revision_is_exported(tmp_path: Path) -> None:
    out = tmp_path / "bars.parquet"
    trade2026("export", "SPY", "--table", "bars", "--interval", "1m", "--out", str(out))
    assert [(row["revision"], row["close"]) for row in pq.read_table(out).to_pylist()] == [(2, 3.0)]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("NONE",), "the lake holds no ticks of NONE"),
        (("SPY", "--table", "quotes"), "the lake has ticks, bars"),
        (("SPY", "--from", "2023-11-14T22:13:30"), "--from must be RFC 3339"),
        (("SPY", "--to", "tomorrow"), "--to must be RFC 3339"),
        (("SPY", "--interval", "1m"), "--table bars"),
    ],
)
def test_what_cannot_be_exported_says_why_and_leaves_nothing(
    tmp_path: Path, arguments: tuple[str, ...], why: str
) -> None:
    out = tmp_path / "out.parquet"
    assert why in trade2026("export", *arguments, "--out", str(out), code=1).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_lake_without_the_table_is_told_of_in_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADE2026_VAR", str(tmp_path / "var"))
    done = trade2026("export", "SPY", "--out", str(tmp_path / "spy.parquet"), code=1)
    assert "no ticks yet" in done.output
    assert not (tmp_path / "spy.parquet").exists()


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    out.write_text("mine")
    assert "is there already" in trade2026("export", "SPY", "--out", str(out), code=1).stderr
    assert "no folder" in trade2026("export", "SPY", "--out", str(tmp_path / "no" / "x"), code=1).stderr
    assert out.read_text() == "mine"


def test_it_is_read_in_s3_while_it_is_written(
    seaweedfs: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = seaweedfs.suite(tmp_path, "read")
    for name in ("lake", "lake_endpoint", "secrets"):
        monkeypatch.setenv(f"TRADE2026_{name.upper()}", str(getattr(suite, name)))
    asyncio.run(_read_while_written(suite))
    out = tmp_path / "spy.parquet"
    trade2026("export", "SPY", "--out", str(out))
    assert pq.read_metadata(out).num_rows > 0


async def _read_while_written(suite: Suite) -> None:
    lake = open_lake(suite)
    try:
        await lake.append(LAKE_TICKS, ticks(0, 100))
        await lake.append(LAKE_QUOTES, {name: [] for name in ("timestamp", *LAKE_QUOTES.columns)})
        for turn in range(1, 5):
            writing = asyncio.create_task(lake.append(LAKE_TICKS, ticks(turn * 100, 100)))
            [row] = await asyncio.to_thread(asked, "SELECT count(*) AS n FROM ticks")
            await writing
            assert row["n"] in (turn * 100, turn * 100 + 100)
    finally:
        await lake.close()
