"""A process born of the supervisor: it leaves the parent's files and signals behind, and never outlives the parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True)
class Birth:
    """How a process starts: its log, which of the parent's descriptors it closes, what kills it with its parent."""

    name: str
    log: Path
    closes: tuple[int, ...]
    death: signal.Signals


def launch(birth: Birth, run: Callable[[], int]) -> int:
    """Fork; the child runs `run` and ends with what that returns. The child's pid."""
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _part(birth, parent)
        code = run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def execute(command: list[str]) -> int:
    """Become another program. Its times are UTC, so that its log can be read beside the others."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execve(command[0], command, {**os.environ, "TZ": "UTC"})


def _part(birth: Birth, parent: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in HANDLED:
        signal.signal(number, signal.SIG_DFL)
    # A group of its own: Ctrl-C reaches the supervisor alone, which then stops everything in order.
    os.setpgid(0, 0)
    for descriptor in birth.closes:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    redirect(birth.log)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, int(birth.death), 0, 0, 0)
        libc.prctl(PR_SET_NAME, birth.name[:15].encode(), 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above could tie us to it
        os._exit(1)


def redirect(log: Path) -> None:
    """Standard input from nowhere, standard output and error onto the end of a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    source = os.open(os.devnull, os.O_RDONLY)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(source, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(source)
    os.close(target)
