"""One process that is kept alive: its state, and how long to wait before it is started again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from signal import SIGKILL, Signals

from shared.cli.state import Row, State

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
HEALTHY_S = 10.0
HEALTHY_WAITS = 5


@dataclass
class Backoff:
    """How long to wait before the next start: doubling, and from the start again after a healthy life.

    Healthy is who was ready for `HEALTHY_S`, or `HEALTHY_WAITS` times as long as it had been waited for: one that
    somebody kills now and then comes back at once, one that cannot live costs a sixth of a core at most.
    """

    next_s: float = FIRST_WAIT_S
    waited_s: float = 0.0

    def after_death(self, healthy_s: float) -> float:
        """The wait after a process that had been ready for so long."""
        if self.waited_s and healthy_s >= min(HEALTHY_S, HEALTHY_WAITS * self.waited_s):
            self.next_s = FIRST_WAIT_S
        self.waited_s = self.next_s
        self.next_s = min(LONGEST_WAIT_S, self.waited_s * 2)
        return self.waited_s


@dataclass
class Kept:
    """A process and its record. `run` is its life, given a descriptor to report readiness on; `answers` is the
    other way to see that it is ready, for programs that do not report. `stuck` says why it has to be started anew
    although it lives."""

    name: str
    port: int
    run: Callable[[int], int]
    answers: Callable[[], bool] | None = None
    death: Signals = SIGKILL
    stuck: Callable[[], str | None] | None = None
    pid: int | None = None
    born: float = 0.0
    state: State = State.WAITING
    restarts: int = 0
    was_ready: bool = False
    early_deaths: int = 0
    ready_at_s: float | None = None
    due_s: float = 0.0
    ready_fd: int = -1
    backoff: Backoff = field(default_factory=Backoff)

    def started(self, pid: int, born: float, ready_fd: int) -> None:
        """It has been forked."""
        self.pid, self.born, self.ready_fd = pid, born, ready_fd
        self.state = State.STARTING
        self.ready_at_s = None

    def ready(self, now_s: float) -> None:
        """It does its work."""
        self.state = State.READY
        self.ready_at_s = now_s
        self.was_ready = True

    def died(self, now_s: float, *, again: bool) -> None:
        """It is gone; with `again` it is due for another start at `due_s`."""
        healthy_s = 0.0 if self.ready_at_s is None else now_s - self.ready_at_s
        self.pid = None
        self.early_deaths += not self.was_ready
        self.state = State.WAITING if again else State.STOPPED
        if again:
            self.restarts += 1
            self.due_s = now_s + self.backoff.after_death(healthy_s)

    @property
    def row(self) -> Row:
        return Row(self.name, self.pid, self.port, self.state, self.restarts, self.born)
