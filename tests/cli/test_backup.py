"""Backups of a suite that is stopped, and everything for which a backup or a restore is refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from shared.cli import state
from shared.cli.main import app
from shared.contract.tables import FILLS
from shared.kit.sqlite_tape import SqliteTape
from tests.conftest import IN_CI
from tests.journeys.rig import CHECKOUT, free_offset
from tests.questdb_server import QuestServer

FILES = {
    "valkey/appendonlydir/appendonly.aof.manifest": b"file a seq 1 type b\n",
    "valkey/appendonlydir/appendonly.aof.1.base.rdb": bytes(range(256)) * 40,
    "nats/jetstream/$G/streams/ORDERS/msgs/1.blk": b"message" * 100,
    "kill/strategy.tour": b"by hand",
    "live-gateway/kills.json": b"[]",
}


class Home:
    """A place for a suite: its state, its configuration, its secrets."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.var, self.config, self.secrets = root / "var", root / "config", root / "secrets"
        self._monkeypatch = monkeypatch

    def here(self) -> Home:
        """What is run next runs here."""
        self._monkeypatch.setenv("TRADE2026_VAR", str(self.var))
        self._monkeypatch.setenv("TRADE2026_CONFIG", str(self.config))
        self._monkeypatch.setenv("TRADE2026_SECRETS", str(self.secrets))
        return self

    def configured(self, limit: str = "1") -> Home:
        self.config.mkdir(parents=True)
        (self.config / "risk.yaml").write_text(f"limit: {limit}\n")
        return self

    def states(self) -> dict[str, bytes]:
        """Every file of the state."""
        there = (path for path in self.var.rglob("*") if path.is_file())
        named = {path.relative_to(self.var).as_posix(): path.read_bytes() for path in there}
        return {name: words for name, words in named.items() if not name.startswith(("run/", "tape/"))}

    def rows(self) -> int:
        with closing(sqlite3.connect(self.var / "tape" / "tape.db")) as tape:
            return tape.execute("SELECT count(*) FROM ticks").fetchone()[0]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADE2026_PORT_OFFSET", str(free_offset()))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A suite that was stopped."""
    home = Home(tmp_path / "source", monkeypatch).configured().here()
    for name, words in FILES.items():
        (home.var / name).parent.mkdir(parents=True, exist_ok=True)
        (home.var / name).write_bytes(words)
    (home.var / "tape").mkdir()
    with closing(sqlite3.connect(home.var / "tape" / "tape.db")) as tape:
        tape.execute("CREATE TABLE ticks (n INTEGER)")
        tape.executemany("INSERT INTO ticks VALUES (?)", [(n,) for n in range(500)])
        tape.commit()
    home.secrets.mkdir()
    (home.secrets / "live_gateway_binance_key").write_text("hush")
    return home


@pytest.fixture
def saved(source: Home, tmp_path: Path) -> Path:
    """Its backup."""
    assert trade2026("backup", str(tmp_path / "saved")).exit_code == 0
    return tmp_path / "saved"


@pytest.fixture
def target(source: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty place with the same configuration."""
    return Home(tmp_path / "target", monkeypatch).configured()


def trade2026(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refused(*arguments: str) -> str:
    """The one line in which it is said."""
    ended = trade2026(*arguments)
    lines = ended.stderr.splitlines()
    assert (ended.exit_code, len(lines)) == (1, 1), (ended.exit_code, ended.output, ended.exception)
    assert not ended.stdout
    return lines[0]


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


# What is saved comes back.


def test_a_stopped_suite_is_saved_and_comes_back_as_it_was(source: Home, saved: Path, target: Home) -> None:
    target.here()
    said = trade2026("restore", str(saved))
    assert said.exit_code == 0, said.output
    assert target.states() == source.states() == FILES
    assert target.rows() == source.rows() == 500
    assert f"to {target.var}" in said.stdout
    assert "config: the same" in said.stdout
    assert "secrets: --with-secrets takes them" in said.stdout
    assert sorted(path.name for path in target.root.iterdir()) == ["config", "var"]


def test_what_was_saved_is_told_with_sizes_in_words_and_in_json(source: Home, tmp_path: Path) -> None:
    said = trade2026("backup", str(tmp_path / "one")).stdout
    assert said.startswith("saved ")
    assert "from a stopped suite" in said
    words = json.loads(trade2026("backup", str(tmp_path / "two"), "--json").stdout)
    parts = {one["part"]: one["bytes"] for one in words["parts"]}
    assert set(parts) == {"valkey", "streams", "tape", "kills", "gateway", "config"}
    assert parts["valkey"] == 20 + 256 * 40
    assert sum(parts.values()) == words["bytes"]
    assert (words["source"], words["paused_ms"]) == ("stopped", 0)


def test_the_manifest_names_the_code_and_every_file_and_is_the_last_word(source: Home, saved: Path) -> None:
    words = manifest(saved)
    listed = {item["path"] for item in words["files"]}
    there = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    assert there - listed == {"manifest.json"}
    assert words["format"] == 1
    assert len(words["requirements_sha256"]) == 64
    assert words["git"]
    assert saved.stat().st_mode & 0o777 == 0o700


def test_secrets_are_saved_when_asked_for_and_nobody_else_may_read_them(
    source: Home, target: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "with"
    assert trade2026("backup", str(folder), "--with-secrets").exit_code == 0
    assert (folder / "secrets" / "live_gateway_binance_key").stat().st_mode & 0o777 == 0o600
    target.here()
    assert trade2026("restore", str(folder)).exit_code == 0
    key = target.secrets / "live_gateway_binance_key"
    assert key.read_text() == "hush"
    assert [path.stat().st_mode & 0o777 for path in (key, target.secrets)] == [0o600, 0o700]


def test_without_being_asked_no_secret_is_saved(saved: Path) -> None:
    assert not [path for path in saved.rglob("*") if path.is_file() and b"hush" in path.read_bytes()]


@pytest.mark.questdb
def test_a_tape_goes_into_questdb_where_that_keeps_it_and_comes_out_of_it_again(
    source: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, questdb_jar: str
) -> None:
    with closing(sqlite3.connect(source.var / "tape" / "tape.db")) as tape:
        tape.execute("DROP TABLE ticks")
    asyncio.run(written(SqliteTape(source.var / "tape" / "tape.db")))
    assert trade2026("backup", str(tmp_path / "from file")).exit_code == 0
    server = QuestServer(questdb_jar, tmp_path / "questdb").start()
    try:
        monkeypatch.setenv("TRADE2026_QUESTDB_HTTP", server.http)
        monkeypatch.setenv("TRADE2026_QUESTDB_PG", server.pg)
        home = Home(tmp_path / "there", monkeypatch).configured().here()
        assert trade2026("restore", str(tmp_path / "from file")).exit_code == 0
        assert not (home.var / "tape").exists()
        said = json.loads(trade2026("backup", str(tmp_path / "from questdb"), "--json").stdout)
        assert "tape" in {one["part"] for one in said["parts"]}

        Home(tmp_path / "other", monkeypatch).configured().here()
        assert "the tape in QuestDB" in refused("restore", str(tmp_path / "from questdb"))
        said = json.loads(trade2026("restore", str(tmp_path / "from questdb"), "--replace", "--json").stdout)
        assert [name.partition("_before_")[0] for name in said["aside"]] == ["fills"]
    finally:
        server.kill()
    monkeypatch.delenv("TRADE2026_QUESTDB_HTTP")
    last = Home(tmp_path / "last", monkeypatch).configured().here()
    assert trade2026("restore", str(tmp_path / "from questdb")).exit_code == 0
    assert asyncio.run(fills(SqliteTape(last.var / "tape" / "tape.db"))) == [FILL]


FILL: dict[str, Any] = {"timestamp": 7, **{name: f"some {name}" for name in FILLS.columns}}


async def written(tape: SqliteTape) -> None:
    await tape.append(FILLS, {name: [word] for name, word in FILL.items()})
    await tape.close()


async def fills(tape: SqliteTape) -> list[dict[str, Any]]:
    found = await tape.read(FILLS)
    await tape.close()
    return found


def test_a_suite_whose_questdb_does_not_answer_is_not_saved_by_halves(
    source: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADE2026_QUESTDB_HTTP", "127.0.0.1:1")
    monkeypatch.setenv("TRADE2026_QUESTDB_PG", "127.0.0.1:1")
    assert "QuestDB does not answer at 127.0.0.1:1" in refused("backup", str(tmp_path / "saved"))
    assert not (tmp_path / "saved").exists()


def test_what_else_lies_in_var_is_said_not_to_be_in_it(source: Home, tmp_path: Path) -> None:
    (source.var / "lake").mkdir()
    words = json.loads(trade2026("backup", str(tmp_path / "saved"), "--json").stdout)
    assert any(line.endswith("lake") for line in words["left_out"])


# A backup is refused.


def test_a_backup_goes_into_an_empty_folder_only(source: Home, saved: Path) -> None:
    before = manifest(saved)
    assert refused("backup", str(saved)).endswith("is not empty; name a folder that is, or one that does not exist")
    assert manifest(saved) == before


def test_a_backup_does_not_go_into_what_it_saves(source: Home) -> None:
    assert "lies in" in refused("backup", str(source.var / "backup"))


def test_where_there_is_nothing_there_is_nothing_to_save(target: Home, tmp_path: Path) -> None:
    target.here()
    assert "nothing to save" in refused("backup", str(tmp_path / "saved"))
    assert not (tmp_path / "saved").exists()


def test_a_suite_whose_stores_do_not_answer_is_not_saved_by_halves(source: Home, tmp_path: Path) -> None:
    held = state.hold(source.var / "run")
    try:
        assert "nothing was saved" in refused("backup", str(tmp_path / "saved"))
    finally:
        os.close(held)
    assert not (tmp_path / "saved").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        reason = "only root may mount a small file system"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(source: Home, small_disk: Path) -> None:
    (source.var / "nats" / "big").write_bytes(bytes(20 << 20))
    line = refused("backup", str(small_disk / "saved"))
    assert "23 MiB free" in line or "24 MiB free" in line
    assert "36 MiB are needed" in line
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_is_told_and_nothing_is_left(source: Home, small_disk: Path) -> None:
    (source.var / "live-gateway" / "big").write_bytes(bytes(30 << 20))
    assert "is full; nothing was saved" in refused("backup", str(small_disk / "saved"))
    assert list(small_disk.iterdir()) == []


def test_a_restore_onto_a_disk_that_is_too_small_leaves_it_as_it_was(
    source: Home, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source.var / "nats" / "big").write_bytes(bytes(20 << 20))
    assert trade2026("backup", str(tmp_path / "saved")).exit_code == 0
    home = Home(small_disk, monkeypatch).configured().here()
    assert "nothing was restored" in refused("restore", str(tmp_path / "saved"))
    assert home.states() == {}
    assert sorted(path.name for path in small_disk.iterdir()) == ["config", "var"]


# A restore is refused.

Spoil = Callable[[Path], object]


def flipped(folder: Path) -> None:
    path = folder / "var/valkey/appendonlydir/appendonly.aof.1.base.rdb"
    words = bytearray(path.read_bytes())
    words[100] ^= 1
    path.write_bytes(words)


def newer(folder: Path) -> None:
    words = manifest(folder) | {"format": 2, "version": "9.9", "something": "else"}
    (folder / "manifest.json").write_text(json.dumps(words))


def outside(folder: Path) -> None:
    words = manifest(folder)
    words["files"][0]["path"] = "var/../../outside"
    (folder / "manifest.json").write_text(json.dumps(words))


SPOILT: dict[str, tuple[Spoil, str]] = {
    "one bit": (flipped, "is not what was saved: its checksum is another; nothing was restored"),
    "too short": (lambda f: os.truncate(f / "var/tape/tape.db", 100), "it has 100 bytes and had"),
    "a file": (lambda f: (f / "var/kill/strategy.tour").unlink(), "strategy.tour is missing; the backup is not whole"),
    "manifest": (lambda f: (f / "manifest.json").unlink(), "is not a whole backup: it has no manifest.json"),
    "half": (lambda f: os.truncate(f / "manifest.json", 200), "is not a manifest"),
    "newer": (newer, "has format 2, and this code reads up to 1; restore it with the project that made it (9.9"),
    "outside": (outside, "is not a manifest"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_backup_that_is_not_what_was_saved_is_not_restored(saved: Path, target: Home, what: str) -> None:
    spoil, why = SPOILT[what]
    spoil(saved)
    target.here()
    assert why in refused("restore", str(saved))
    assert target.states() == {}
    assert {path.name for path in target.root.iterdir()} <= {"config", "var"}


def test_nothing_is_restored_where_a_suite_runs(saved: Path, target: Home) -> None:
    target.here()
    held = state.hold(target.var / "run")
    try:
        assert "a suite runs in" in (line := refused("restore", str(saved)))
        assert "trade2026 down" in line
    finally:
        os.close(held)
    assert target.states() == {}


def test_what_is_there_is_not_replaced_unasked_and_then_it_is_moved_aside(saved: Path, target: Home) -> None:
    (target.var / "valkey").mkdir(parents=True)
    (target.var / "valkey" / "mine").write_text("mine")
    target.here()
    assert "is not empty (valkey); --replace moves it aside" in refused("restore", str(saved))
    said = json.loads(trade2026("restore", str(saved), "--replace", "--json").stdout)
    assert target.states() == FILES
    [aside] = said["aside"]
    assert (Path(aside) / "valkey" / "mine").read_text() == "mine"


def test_logs_are_no_state_and_are_kept_aside(saved: Path, target: Home) -> None:
    (target.var / "log").mkdir(parents=True)
    (target.var / "log" / "oms.log").write_text("once")
    target.here()
    [aside] = json.loads(trade2026("restore", str(saved), "--json").stdout)["aside"]
    assert (Path(aside) / "log" / "oms.log").read_text() == "once"


def test_another_configuration_is_kept_or_put_back_as_is_said(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "other", monkeypatch).configured("2").here()
    assert "risk.yaml in" in refused("restore", str(saved))
    assert trade2026("restore", str(saved), "--config", "mine").exit_code == 0
    assert (home.config / "risk.yaml").read_text() == "limit: 2\n"
    said = json.loads(trade2026("restore", str(saved), "--config", "backup", "--replace", "--json").stdout)
    assert (home.config / "risk.yaml").read_text() == "limit: 1\n"
    asides = [Path(path) for path in said["aside"] if ".before-" in path]
    assert sorted(path.name.partition(".")[0] for path in asides) == ["config", "var"]


def test_secrets_that_are_there_are_not_replaced_unasked(source: Home, target: Home, tmp_path: Path) -> None:
    assert trade2026("backup", str(tmp_path / "with"), "--with-secrets").exit_code == 0
    target.secrets.mkdir()
    (target.secrets / "live_gateway_binance_key").write_text("mine")
    target.here()
    assert "holds secrets already" in refused("restore", str(tmp_path / "with"))
    assert (target.secrets / "live_gateway_binance_key").read_text() == "mine"


# Killed in the middle.


def command(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "shared.cli", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def killed_once(there: Callable[[], bool], *arguments: str) -> None:
    """Run it, and kill it as soon as it has begun to write."""
    with command(*arguments) as process:
        until = time.monotonic() + 60
        while not there() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"


def test_a_backup_that_was_interrupted_is_none(source: Home, target: Home, tmp_path: Path) -> None:
    (source.var / "nats" / "big").write_bytes(bytes(64 << 20))
    folder = tmp_path / "saved"
    killed_once((folder / "var" / "nats" / "big").exists, "backup", str(folder))
    assert "what lies there is no whole backup" in refused("backup", str(folder))
    target.here()
    assert "is not a whole backup" in refused("restore", str(folder))
    assert target.states() == {}


def test_a_restore_that_was_interrupted_leaves_what_was_there_and_is_made_again(
    source: Home, target: Home, tmp_path: Path
) -> None:
    (source.var / "nats" / "big").write_bytes(bytes(64 << 20))
    folder = tmp_path / "saved"
    assert trade2026("backup", str(folder)).exit_code == 0
    target.here()
    killed_once((target.root / ".var.restoring").exists, "restore", str(folder))
    assert target.states() == {}
    assert trade2026("restore", str(folder)).exit_code == 0
    assert (target.var / "nats" / "big").stat().st_size == 64 << 20
    assert sorted(path.name for path in target.root.iterdir()) == ["config", "var"]
