"""What runs, and the lock that allows one suite in one var."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.cli import state
from shared.cli.state import Row, Running
from shared.cli.trouble import Trouble

SUITE = Running(
    42, "2026-01-02T03:04:05Z", 100, (Row("oms", 43, 8199, "ready", 2, 1.5), Row("nats", None, 4322, "waiting", 0))
)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    SUITE.write(tmp_path)
    assert state.read(tmp_path) == SUITE
    assert [path.name for path in tmp_path.iterdir()] == ["suite.json"]


@pytest.mark.parametrize("words", ["", "{", "[]", "{}", '{"pid": 1, "services": [{"pid": 1}]}'])
def test_a_state_file_that_cannot_be_read_is_no_state(tmp_path: Path, words: str) -> None:
    (tmp_path / "suite.json").write_text(words)
    assert state.read(tmp_path) is None


def test_a_second_suite_in_the_same_var_is_refused_by_the_first_ones_pid(tmp_path: Path) -> None:
    held = state.hold(tmp_path / "run")
    with pytest.raises(Trouble, match=f"pid {os.getpid()}.*trade2026 down"):
        state.hold(tmp_path / "run")
    os.close(held)
    os.close(state.hold(tmp_path / "run"))


def test_asking_whether_a_suite_runs_does_not_stand_in_its_way(tmp_path: Path) -> None:
    assert not state.is_held(tmp_path)
    os.close(state.hold(tmp_path))
    assert not state.is_held(tmp_path)
    held = state.hold(tmp_path)
    assert state.is_held(tmp_path)
    os.close(held)


def test_the_lock_goes_with_its_process_however_that_ended(tmp_path: Path) -> None:
    script = f"""
import os, signal, pathlib
from shared.cli import state
state.hold(pathlib.Path({str(tmp_path)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert ended.returncode == -9
    assert not state.is_held(tmp_path)


def test_the_state_of_a_suite_that_is_gone_is_not_shown(tmp_path: Path) -> None:
    os.close(state.hold(tmp_path))
    SUITE.write(tmp_path)
    assert state.running(tmp_path) is None
