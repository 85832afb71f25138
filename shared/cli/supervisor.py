"""The supervisor: one quiet process that starts the suite, keeps every part of it alive, and ends it in order.

It runs no thread and no event loop, because it forks all its life. Signals arrive on a pipe, readiness on others.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import psutil

from shared.cli import infrastructure, logs, ports, state, users
from shared.cli.announce import Announce
from shared.cli.kept import Kept
from shared.cli.launch import HANDLED, Birth, launch
from shared.cli.preload import preload, program_life, service_life
from shared.cli.state import Row, Running, State
from shared.cli.trouble import Trouble
from shared.contract.base import rfc3339
from shared.contract.roster import ROSTER
from shared.kit.settings import Suite

DRAIN_S = 10.5
NEXT_S = 1.0
INFRASTRUCTURE_STOP_S = 5.0
START_S = 60.0
EARLY_DEATHS_MAX = 5
WRONG_SETTINGS = 2
TURN_S = 0.05
LOG_CHECK_S = 30.0
STUCK_CHECK_S = 2.0


class Supervisor:
    """One suite. `held` are descriptors that no child may keep (the lock's)."""

    def __init__(self, suite: Suite, announce: Announce, held: tuple[int, ...] = ()) -> None:
        self._suite = suite
        self._announce = announce
        self._held = held
        self._run = suite.var / "run"
        self._log = suite.var / "log"
        self._infrastructure: list[Kept] = []
        self._services: list[Kept] = []
        self._stop = False
        self._stop_now = False
        self._wrong: str | None = None
        self._written: tuple[Row, ...] | None = None
        self._logs_checked_s = 0.0
        self._stuck_checked_s = 0.0
        self._started = rfc3339(time.time_ns())
        self._selector = selectors.DefaultSelector()
        self._signals = os.pipe()

    def run(self) -> int:
        """The suite's whole life: 0 after an orderly end, 1 when it could not be started."""
        began_s = time.monotonic()
        self._take_signals()
        try:
            end_leftovers(self._run)
            ports.check(self._suite)
            self._prepare()
            self._start_infrastructure()
            self._turn_until(lambda: all(part.state is State.READY for part in self._infrastructure), START_S)
            self._start_services()
            self._watch_start(began_s)
            while not self._over:
                self._turn(1.0)
        except Trouble as trouble:
            self._wrong = str(trouble)
        finally:
            self._end_all()
        if self._wrong:
            self._announce.say(self._wrong)
        self._announce.settled(ready=False)
        return 1 if self._wrong else 0

    # Starting.

    def _take_signals(self) -> None:
        reading, writing = self._signals
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        for number in HANDLED:
            signal.signal(number, _wake)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._selector.register(reading, selectors.EVENT_READ, None)

    def _prepare(self) -> None:
        """What the services may do at NATS and Valkey follows from their tables, so these come first."""
        if self._suite.nats_url and self._suite.valkey_url:
            preload(self._suite)
            return
        users.make_passwords(self._suite.users)
        users.write_rules(self._suite.users, preload(self._suite))

    def _start_infrastructure(self) -> None:
        for name, port, command, answers in infrastructure.embedded(self._suite):
            # On SIGTERM they end whole, with whatever they have forked themselves.
            part = Kept(name, port, program_life(command), lambda p=port, a=answers: a(p), death=signal.SIGTERM)
            if name == "nats":
                part.stuck = partial(infrastructure.nats_stuck, self._suite)
            self._infrastructure.append(part)
            self._start(part)

    def _start_services(self) -> None:
        if self._over:
            return
        self._services = [Kept(e.name, self._suite.port(e.name), service_life(e.name)) for e in ROSTER]
        for service in self._services:
            self._start(service)

    def _watch_start(self, began_s: float) -> None:
        self._turn_until(self._all_ready, START_S)
        if self._over:
            return
        if self._all_ready():
            self._announce.say(f"all ready in {time.monotonic() - began_s:.1f} s")
        else:
            late = [kept.name for kept in self._all if kept.state is not State.READY]
            self._announce.say(f"not ready after {START_S:.0f} s: {', '.join(late)}\n{logs.ends(self._log, late)}")
        self._announce.settled(ready=self._all_ready())

    def _all_ready(self) -> bool:
        return all(kept.state is State.READY for kept in self._all)

    def _start(self, kept: Kept) -> None:
        log = self._rotate(kept)
        reading, writing = os.pipe()
        closes = (*self._held, *self._announce.descriptors(), *self._signals, *self._descriptors(), reading)
        pid = launch(Birth(kept.name, log, closes, kept.death), lambda: kept.run(writing))
        os.close(writing)
        born = 0.0
        with contextlib.suppress(psutil.Error):
            born = psutil.Process(pid).create_time()
        if kept.answers is None:
            self._selector.register(reading, selectors.EVENT_READ, kept)
        else:
            os.close(reading)
        kept.started(pid, born, reading if kept.answers is None else -1)

    def _descriptors(self) -> list[int]:
        mine = [kept.ready_fd for kept in self._all if kept.ready_fd >= 0]
        if isinstance(self._selector, selectors.EpollSelector):
            mine.append(self._selector.fileno())
        return mine

    # Living.

    @property
    def _all(self) -> list[Kept]:
        return [*self._infrastructure, *self._services]

    @property
    def _over(self) -> bool:
        return self._stop or self._wrong is not None

    def _turn_until(self, done: Callable[[], bool], seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while not done() and not self._over and time.monotonic() < end_s:
            self._turn(TURN_S)

    def _turn(self, wait_s: float) -> None:
        """One step: what happened is taken note of, what is due is done, what changed is written down."""
        restless = any(kept.state in (State.WAITING, State.STARTING, State.STOPPING) for kept in self._all)
        for key, _ in self._selector.select(TURN_S if restless else wait_s):
            if key.data is None:
                self._heed(os.read(key.fd, 256))
            else:
                self._hear_ready(key.data)
        self._reap()
        now_s = time.monotonic()
        for kept in self._all:
            if kept.answers is not None and kept.state is State.STARTING and kept.answers():
                self._note_ready(kept)
            if kept.state is State.WAITING and now_s >= kept.due_s and not self._over:
                self._start(kept)
        self._check_logs(now_s)
        self._check_stuck(now_s)
        self._write()

    def _heed(self, numbers: bytes) -> None:
        asked = [number for number in numbers if number != signal.SIGCHLD]
        self._stop_now = self._stop_now or (self._stop and bool(asked))
        self._stop = self._stop or bool(asked)

    def _hear_ready(self, kept: Kept) -> None:
        word = os.read(kept.ready_fd, 1)
        self._close_ready(kept)
        if word and kept.state is State.STARTING:
            self._note_ready(kept)

    def _close_ready(self, kept: Kept) -> None:
        if kept.ready_fd >= 0:
            self._selector.unregister(kept.ready_fd)
            os.close(kept.ready_fd)
            kept.ready_fd = -1

    def _note_ready(self, kept: Kept) -> None:
        again = " again" if kept.was_ready else ""
        kept.ready(time.monotonic())
        scheme = "nats" if kept.name == "nats" else "redis" if kept.name == "valkey" else "http"
        self._announce.say(f"{kept.name:<14} {scheme}://{self._suite.host}:{kept.port}  ready{again}")

    def _reap(self) -> None:
        for kept in self._all:
            if kept.pid is not None:
                pid, status = os.waitpid(kept.pid, os.WNOHANG)
                if pid:
                    self._bury(kept, os.waitstatus_to_exitcode(status))

    def _bury(self, kept: Kept, code: int) -> None:
        self._close_ready(kept)
        kept.died(time.monotonic(), again=not self._over)
        if self._over:
            return
        how = f"by signal {-code}" if code < 0 else f"with {code}"
        if not kept.was_ready and (code == WRONG_SETTINGS or kept.early_deaths >= EARLY_DEATHS_MAX):
            self._wrong = f"{kept.name} cannot start: it ended {how}\n{logs.ends(self._log, [kept.name])}"
            return
        wait_s = kept.due_s - time.monotonic()
        self._announce.say(f"{kept.name} ended {how}; start {kept.restarts + 1} in {max(0.0, wait_s):.1f} s")

    def _check_logs(self, now_s: float) -> None:
        if now_s - self._logs_checked_s > LOG_CHECK_S:
            self._logs_checked_s = now_s
            for kept in self._all:
                self._rotate(kept)

    def _rotate(self, kept: Kept) -> Path:
        log = self._log / f"{kept.name}.log"
        with contextlib.suppress(OSError):
            logs.rotate(log)
        return log

    def _check_stuck(self, now_s: float) -> None:
        """End what lives but cannot go on; it is then started anew, as after any death."""
        if now_s - self._stuck_checked_s < STUCK_CHECK_S or self._over:
            return
        self._stuck_checked_s = now_s
        for kept in self._all:
            if kept.pid is not None and kept.stuck and kept.state is State.READY and (why := kept.stuck()):
                self._announce.say(f"{kept.name} is stuck and is started anew: {why}")
                os.kill(kept.pid, signal.SIGKILL)

    def _write(self) -> None:
        rows = tuple(kept.row for kept in self._all)
        if rows != self._written:
            with contextlib.suppress(OSError):  # a full disk ends no suite; it is written once there is room
                Running(os.getpid(), self._started, self._suite.port_offset, rows).write(self._run)
                self._written = rows

    # Ending.

    def _end_all(self) -> None:
        """The front door first, the sources last, then what they stood on."""
        self._stop = True
        end_s = time.monotonic() + DRAIN_S
        for service in reversed(self._services):
            self._end([service], signal.SIGTERM, min(end_s, time.monotonic() + NEXT_S))
        self._turn_while(self._services, end_s)
        self._end(self._services, signal.SIGKILL, math.inf)
        for part in reversed(self._infrastructure):
            self._end([part], signal.SIGTERM, time.monotonic() + INFRASTRUCTURE_STOP_S)
            self._end([part], signal.SIGKILL, math.inf)
        with contextlib.suppress(OSError):
            (self._run / "suite.json").unlink()

    def _end(self, some: list[Kept], number: signal.Signals, end_s: float) -> None:
        for kept in some:
            if kept.pid is not None:
                kept.state = State.STOPPING
                with contextlib.suppress(ProcessLookupError):
                    os.kill(kept.pid, number)
        self._turn_while(some, end_s)

    def _turn_while(self, alive: list[Kept], end_s: float) -> None:
        """Until they are gone or the time is up; a second Ctrl-C is out of patience, but still waits for the killed."""
        while any(kept.pid is not None for kept in alive) and time.monotonic() < end_s:
            if self._stop_now and end_s < math.inf:
                return
            self._turn(TURN_S)


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Nothing: that a handler is there is what makes the signal arrive on the pipe."""


def end_leftovers(run: Path) -> None:
    """Kill what an earlier supervisor of this `var` left running; only where the system has not done so itself."""
    earlier = state.read(run)
    for row in earlier.services if earlier else ():
        if row.pid is None:
            continue
        with contextlib.suppress(psutil.Error):
            left = psutil.Process(row.pid)
            if abs(left.create_time() - row.born) < 0.01:
                left.kill()
                left.wait(5)
