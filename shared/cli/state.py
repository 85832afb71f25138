"""What runs: the state file that the supervisor keeps, and the lock that allows one suite in one `var`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from shared.cli.trouble import Trouble

LOCK_TRIES = 10


class State(StrEnum):
    """One process's state, as the supervisor sees it."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Row:
    """One process. `born` tells it from a later process with the same pid."""

    service: str
    pid: int | None
    port: int
    state: str
    restarts: int
    born: float = 0.0


@dataclass(frozen=True)
class Running:
    """One suite: its supervisor and every process under it."""

    pid: int
    started: str
    port_offset: int
    services: tuple[Row, ...]

    def write(self, run: Path) -> None:
        """Replace the state file in one step, so that a reader never sees half of it."""
        fresh = run / "suite.json.new"
        fresh.write_text(json.dumps(asdict(self), indent=1))
        fresh.replace(run / "suite.json")


def read(run: Path) -> Running | None:
    """The state last written, of a suite that may be gone; None when there is none or it cannot be read."""
    try:
        words: dict[str, Any] = json.loads((run / "suite.json").read_text())
        rows = tuple(Row(**row) for row in words.pop("services"))
        return Running(**words, services=rows)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def running(run: Path) -> Running | None:
    """The state of the suite that runs in this `var` now, or None."""
    return read(run) if is_held(run) else None


def is_held(run: Path) -> bool:
    """Whether a supervisor holds the lock. It goes with the process, however that ended."""
    try:
        descriptor = os.open(run / "suite.lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def hold(run: Path) -> int:
    """Take the lock for this process's life; the descriptor that holds it. `Trouble` names the holder."""
    run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run / "suite.lock", os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(LOCK_TRIES):  # someone asking whether it is held holds it for an instant
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sign(descriptor)
            return descriptor
        time.sleep(0.02)
    holder = os.pread(descriptor, 20, 0).decode() or "unknown"
    os.close(descriptor)
    raise Trouble(f"a suite runs in {run.parent} already (pid {holder}); `trade2026 down` stops it")


def sign(descriptor: int) -> None:
    """Write this process into the lock it holds."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
