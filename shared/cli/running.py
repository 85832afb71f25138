"""Starting and stopping a suite: in this terminal, or detached from it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

from shared.cli import logs, state
from shared.cli.announce import READY, Announce, Pipe, Terminal
from shared.cli.checkout import commit_of
from shared.cli.launch import redirect
from shared.cli.supervisor import Supervisor
from shared.cli.trouble import Trouble
from shared.kit.settings import Suite

OPEN_FILES = 65_536
STOP_S = 40.0


def up(suite: Suite, *, detach: bool) -> int:
    """Run the suite here until Ctrl-C, or detached from this terminal; then this returns once all is ready."""
    held = state.hold(suite.var / "run")
    return _detached(suite, held) if detach else _supervise(suite, Terminal(), held)


def _supervise(suite: Suite, announce: Announce, held: int) -> int:
    suite = suite.model_copy(update={"git": commit_of(suite.git)})
    # The services read these again, in their own processes and wherever they stand.
    os.environ["TRADE2026_VAR"], os.environ["TRADE2026_GIT"] = str(suite.var), suite.git
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return Supervisor(suite, announce, (held,)).run()


def _detached(suite: Suite, held: int) -> int:
    reading, writing = os.pipe()
    sys.stdout.flush()
    if os.fork() == 0:
        os.close(reading)
        _become_daemon(suite, writing, held)
    os.close(writing)
    os.close(held)
    return _relay(reading)


def _become_daemon(suite: Suite, report: int, held: int) -> None:
    code = 1
    try:
        os.setsid()
        log = suite.var / "log" / "supervisor.log"
        logs.rotate(log)
        redirect(log)
        state.sign(held)
        code = _supervise(suite, Pipe(report), held)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _relay(reading: int) -> int:
    """What the detached supervisor says until it is ready or gone; 0 when it is ready."""
    ready = False
    with os.fdopen(reading, "rb", buffering=0) as report:
        while words := report.read(4096):
            ready = ready or words.endswith(READY)
            sys.stdout.write(words.rstrip(READY).decode(errors="replace"))
            sys.stdout.flush()
    return 0 if ready else 1


def down(suite: Suite) -> str:
    """Stop the suite of this `var`; what there is to say about it."""
    run = suite.var / "run"
    if not state.is_held(run):
        return f"nothing runs in {suite.var}"
    pid = _holder(run)
    began_s = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    while state.is_held(run):
        if time.monotonic() - began_s > STOP_S:
            raise Trouble(
                f"the supervisor (pid {pid}) has not stopped within {STOP_S:.0f} s; kill -9 {pid} ends it all"
            )
        time.sleep(0.02)
    return f"stopped in {time.monotonic() - began_s:.1f} s"


def _holder(run: Path) -> int:
    try:
        return int((run / "suite.lock").read_text())
    except ValueError:
        raise Trouble("the supervisor is just starting; try again") from None
