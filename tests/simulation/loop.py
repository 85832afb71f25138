"""An event loop whose time jumps to whatever is due next, and in which parts of the program can be stopped or ended.

Everything a service starts carries its life in its context. The steps of a life that is stopped wait; those of a life
that has ended never come: no `finally` is run, no file is closed, as after `kill -9`.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any

EPOCH_NS = 1_700_000_000_000_000_000
STEPS_MAX = 400_000


class Stuck(Exception):
    """Nothing is left that could happen, or it never ends."""


@dataclass(eq=False)
class Life:
    """One life of one service."""

    name: str
    number: int
    ended: bool = False
    stopped: bool = False
    waiting: list[asyncio.Handle] = field(default_factory=list[asyncio.Handle])

    @property
    def still(self) -> bool:
        return self.ended or self.stopped

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class Loop(asyncio.BaseEventLoop):
    """No sockets, no threads, no real time."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.troubles: list[str] = []
        self._now_s = 0.0
        self._asked = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._reaping = False

    def time(self) -> float:
        return self._now_s

    def now_ns(self) -> int:
        return EPOCH_NS + round(self._now_s * 1e9)

    def monotonic_ns(self) -> int:
        return round(self._now_s * 1e9)

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        done: asyncio.Future[None] = self.create_future()
        timer = self.call_later(seconds, _settle, done)
        try:
            await done
        except BaseException:
            timer.cancel()
            raise

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
        """What is due at one moment comes in the order in which it was asked for."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._asked += 1
        heapq.heappush(self._timers, (when, self._asked, timer))
        return timer

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        ready = self._ready
        if not ready:
            self._go_on()
        self.steps += len(ready)
        if self.steps > STEPS_MAX:
            raise Stuck(f"{self.steps} steps, and no end")
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            life = handle._context.get(LIFE)
            if life is not None and life.still and not self._reaping:
                life.waiting.append(handle)
            else:
                handle._run()

    def _go_on(self) -> None:
        """Jump to the next moment at which something is due."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise Stuck("nothing is left that could happen")
        self._now_s = now_s = max(self._now_s, timers[0][0])
        while timers and timers[0][0] <= now_s:
            handle = heapq.heappop(timers)[2]
            if not handle._cancelled:
                self._ready.append(handle)

    def resume(self, life: Life) -> None:
        """What waited while it was stopped comes now, in its order."""
        life.stopped = False
        if not life.ended:
            waiting, life.waiting = life.waiting, []
            self._ready.extendleft(reversed(waiting))

    def reap(self, lives: list[Life]) -> None:
        """End everything, so that nothing of this run is left to be destroyed at some other time."""
        self._reaping = True
        steps, self.steps = self.steps, 0
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        for life in lives:
            self._ready.extend(life.waiting)
            life.waiting = []
        if tasks:
            self.run_until_complete(asyncio.wait(tasks, timeout=60))
        self.steps = steps
        self._timers.clear()
        self.close()

    # What the machinery asks of a loop.

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not self._reaping and "never retrieved" not in context.get("message", ""):
            self.troubles.append(f"{context.get('message')}: {error!r}")

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """There are no threads here: it is done at once."""
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def _process_events(self, event_list: Any) -> None:
        raise AssertionError("there are no sockets here")

    def _write_to_self(self) -> None:
        pass

    def get_debug(self) -> bool:
        return False


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def run(main: Callable[[], Coroutine[Any, Any, None]], loop: Loop, lives: list[Life]) -> None:
    """Run to the end. Collecting garbage would end what a dead life left behind at moments that no seed decides."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main())
    finally:
        loop.reap(lives)
        asyncio.set_event_loop(None)
        if collecting:
            gc.enable()


def context_of(life: Life) -> Context:
    """The context in which everything of a life runs."""
    context = Context()
    context.run(LIFE.set, life)
    return context
