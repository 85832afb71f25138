"""One list of tests for the lake in a folder and the lake in S3."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from shared.contract.errors import Unavailable
from shared.contract.tables import LAKE_DOCUMENTS, LAKE_TABLES, LAKE_TICKS
from shared.kit import lake as lake_module
from shared.kit import lake_child
from shared.kit.lake import Lake, Span, open_lake, where
from shared.kit.settings import SettingsError, Suite
from tests.conftest import Closer
from tests.seaweedfs_server import Seaweed
from tests.servers import wait_until

DAY_NS = 86_400 * 10**9
T0 = 19_000 * DAY_NS


@pytest.fixture(params=["folder", "s3"])
def suite(request: pytest.FixtureRequest, tmp_path: Path) -> Suite:
    if request.param == "folder":
        return Suite(var=tmp_path)
    server: Seaweed = request.getfixturevalue("seaweedfs")
    return server.suite(tmp_path, f"lake-{abs(hash(request.node.name)) % 10**9}")


@pytest.fixture
def lake(suite: Suite, closing: Closer) -> Lake:
    opened = open_lake(suite)
    closing(opened.close)
    return opened


def ticks(count: int, *, first: int = 0, venue: str = "sim") -> dict[str, Any]:
    numbers = np.arange(first, first + count)
    return {
        "timestamp": T0 + numbers,
        "symbol": ["SPY"] * count,
        "venue": pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [venue]),
        "trade_id": [str(n) for n in numbers],
        "price": 100.0 + numbers,
        "quantity": np.full(count, 0.1),
        "side": np.full(count, -1, np.int8),
        "receive_ns": pa.array(T0 + numbers + 5),
        "sequence": pa.chunked_array([pa.array(numbers)]),
    }


def table(suite: Suite, which: Any = LAKE_TICKS) -> DeltaTable:
    there = where(suite)
    return DeltaTable(there.uri(which), storage_options=dict(there.options))


def rows(suite: Suite, which: Any = LAKE_TICKS) -> list[dict[str, Any]]:
    return table(suite, which).to_pyarrow_table().sort_by("timestamp_ns").to_pylist()


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "lake_child.py" in " ".join(words_of(one))]


def words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def test_what_was_appended_is_there_with_every_digit(lake: Lake, suite: Suite) -> None:
    assert await lake.count(LAKE_TICKS) == 0
    await lake.append(LAKE_TICKS, ticks(3, first=123_456))
    await lake.append(LAKE_TICKS, ticks(1, first=DAY_NS, venue="other"))

    assert await lake.count(LAKE_TICKS) == 4
    first, *_, last = rows(suite)
    assert (first["timestamp_ns"], first["price"], first["side"]) == (T0 + 123_456, 123_556.0, -1)
    assert (first["timestamp"].isoformat(), str(first["date"])) == ("2022-01-08T00:00:00.000123+00:00", "2022-01-08")
    assert (str(last["date"]), last["venue"]) == ("2022-01-09", "other")
    assert table(suite).metadata().partition_columns == ["venue", "date"]


async def test_lists_of_words_and_nothing_at_all_can_be_kept(lake: Lake, suite: Suite) -> None:
    samples: dict[str, Any] = {"symbol": "a", "text": "ö\n'\"", "texts": ["x", "y"], "float": None, "int": 7}
    for one in LAKE_TABLES:
        columns = {name: [samples[kind]] for name, kind in one.columns.items()}
        await lake.append(one, {"timestamp": [T0], **columns})
        assert await lake.count(one) == 1
    [document] = rows(suite, LAKE_DOCUMENTS)
    assert (document["symbols"], document["title"], document["sentiment"]) == (["x", "y"], "ö\n'\"", None)


async def test_rows_of_a_source_are_there_once_however_often_they_are_sent(lake: Lake) -> None:
    assert await lake.place(LAKE_TICKS, "TICKS") == 0
    for _ in range(2):
        assert await lake.append(LAKE_TICKS, ticks(3), span=Span("TICKS", 0, 10)) == 10
    assert await lake.append(LAKE_TICKS, ticks(5), span=Span("TICKS", 4, 12)) == 10
    assert await lake.append(LAKE_TICKS, ticks(2, first=3), span=Span("TICKS", 10, 12)) == 12
    assert await lake.append(LAKE_TICKS, ticks(0), span=Span("TICKS", 12, 20)) == 20

    assert await lake.count(LAKE_TICKS) == 5
    assert await lake.place(LAKE_TICKS, "TICKS") == 20
    assert await lake.place(LAKE_TICKS, "OTHER") == 0


async def test_of_many_writers_at_once_one_wins_and_the_others_learn_how_far_it_went(
    suite: Suite, closing: Closer
) -> None:
    """On S3 this stands on a PUT that minds If-None-Match, which not every server has had."""
    lakes = [open_lake(suite) for _ in range(8)]
    for one in lakes:
        closing(one.close)
        await one.append(LAKE_TICKS, ticks(1, first=lakes.index(one)))

    after = 0
    for turn in range(3):
        spans = [Span("TICKS", after, after + number) for number in range(1, 9)]
        told = await asyncio.gather(
            *(
                one.append(LAKE_TICKS, ticks(100, first=span.upto * 1000), span=span)
                for one, span in zip(lakes, spans, strict=True)
            ),
            return_exceptions=True,
        )
        [after] = {one for one in told if not isinstance(one, BaseException)}
        assert all(isinstance(one, int | Unavailable) for one in told)
        won = [row["sequence"] for row in rows(suite) if row["sequence"] >= after * 1000]
        assert won == list(range(after * 1000, after * 1000 + 100))
        assert await lakes[0].count(LAKE_TICKS) == len(lakes) + 100 * (turn + 1)


async def test_small_files_become_one_while_others_are_written(lake: Lake, suite: Suite) -> None:
    for n in range(4):
        await lake.append(LAKE_TICKS, ticks(10, first=n * 10))

    writing = asyncio.gather(*(lake.append(LAKE_TICKS, ticks(10, first=n * 10)) for n in range(4, 8)))
    files = await lake.compact(LAKE_TICKS)
    await writing

    assert files["removed"] >= 4
    assert await lake.compact(LAKE_TICKS)
    assert len(table(suite).file_uris()) == 1
    assert await lake.vacuum(LAKE_TICKS, 0) >= 4
    assert [row["sequence"] for row in rows(suite)] == list(range(80))


def test_all_that_makes_a_table_is_on_disk_before_it_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    monkeypatch.setattr(
        lake_child.os, "fsync", lambda number: synced.add(str(Path(f"/proc/self/fd/{number}").readlink()))
    )
    monkeypatch.setattr(lake_child, "CONFIGURATION", {"delta.checkpointInterval": "2"})
    root = tmp_path / "ticks"
    ask = {"uri": str(root), "options": {}, "partition_by": ["venue", "date"], "kinds": dict(LAKE_TICKS.columns)}
    tables = lake_child.Tables()

    def all_of_it() -> set[str]:
        return {str(path) for path in (tmp_path, *root.rglob("*"), root)}

    for n in range(4):
        rows = lake_module._packed(LAKE_TICKS, ticks(10, first=n * 10))
        lake_child.append(tables, ask | {"rows": rows})
    assert all_of_it() <= synced
    assert {path.name for path in (root / "_delta_log").iterdir()} > {"_last_checkpoint"}
    synced.clear()
    before = all_of_it()
    assert lake_child.compact(tables, ask) == {"removed": 4, "added": 1}
    made = all_of_it() - before
    assert made
    assert made <= synced


async def test_the_process_behind_it_may_die_and_goes_when_there_is_nothing_to_do(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(LAKE_TICKS, ticks(1), span=Span("TICKS", 0, 1))
    [child] = children()
    child.kill()
    child.wait()
    with pytest.raises(Unavailable, match="append"):
        await lake.append(LAKE_TICKS, ticks(1, first=1), span=Span("TICKS", 1, 2))

    monkeypatch.setattr(lake_module, "REST_S", 0.05)
    assert await lake.append(LAKE_TICKS, ticks(1, first=1), span=Span("TICKS", 1, 2)) == 2
    await asyncio.to_thread(wait_until, lambda: not children(), "the process to be let go")
    assert await lake.count(LAKE_TICKS) == 2


async def test_one_that_hangs_is_ended(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    await lake.append(LAKE_TICKS, ticks(1))
    [child] = children()
    child.send_signal(signal.SIGSTOP)
    with pytest.raises(Unavailable, match="no answer within"):
        await lake._writer.ask({"do": "count", "uri": "x", "options": {}}, timeout_s=0.2)

    assert not psutil.pid_exists(child.pid)
    await lake.append(LAKE_TICKS, ticks(1))


async def test_a_column_that_cannot_be_one_is_a_mistake_and_no_reason_to_wait(lake: Lake) -> None:
    with pytest.raises(Exception) as caught:
        await lake.append(LAKE_TICKS, {**ticks(1), "price": [object()]})
    assert not isinstance(caught.value, Unavailable)


async def test_s3_away_is_unavailable_and_what_was_committed_survives_its_death(
    tmp_path: Path, closing: Closer
) -> None:
    server = Seaweed(tmp_path / "seaweedfs")
    closing(lambda: asyncio.to_thread(server.kill))
    server.start()
    lake = open_lake(server.suite(tmp_path))
    closing(lake.close)
    await lake.append(LAKE_TICKS, ticks(1000), span=Span("TICKS", 0, 7))

    server.kill()
    with pytest.raises(Unavailable, match="s3://trade2026/lake/ticks"):
        await lake.append(LAKE_TICKS, ticks(1), span=Span("TICKS", 7, 8))
    with pytest.raises(Unavailable):
        await lake.ping()
    server.start()

    await lake.ping()
    place = None
    async with asyncio.timeout(60):  # it listens before it has all of its parts together
        while place is None:
            with contextlib.suppress(Unavailable):
                place = await lake.append(LAKE_TICKS, ticks(1), span=Span("TICKS", 7, 8))
    assert place == 8
    assert await lake.count(LAKE_TICKS) == 1001


async def test_without_a_place_to_write_the_lake_is_unavailable_and_comes_back(tmp_path: Path, closing: Closer) -> None:
    (tmp_path / "lake").write_text("a file where the folder should be")
    lake = open_lake(Suite(var=tmp_path))
    closing(lake.close)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await lake.ping()
    (tmp_path / "lake").unlink()
    await lake.ping()
    await lake.append(LAKE_TICKS, ticks(1))


def test_a_key_is_wanted_for_s3_and_is_never_shown(tmp_path: Path, seaweedfs: Seaweed) -> None:
    there = where(seaweedfs.suite(tmp_path))
    assert there.options["AWS_SECRET_ACCESS_KEY"] == "change-this-secret"
    assert "change-this-secret" not in repr(there)
    with pytest.raises(SettingsError, match="seaweedfs_s3 cannot be read"):
        where(Suite(var=tmp_path, lake="s3://trade2026/lake", secrets=tmp_path))
    (tmp_path / "seaweedfs_s3").write_text(json.dumps({"identities": []}))
    with pytest.raises(SettingsError, match="identities"):
        where(Suite(var=tmp_path, lake="s3://trade2026/lake", secrets=tmp_path))
