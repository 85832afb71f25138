"""Frames on their way to the bus: several at once, begun in order, each said again under its id until it is stored."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from shared.contract.errors import Unavailable
from shared.kit import Clock

IN_FLIGHT_MAX = 16
ATTEMPTS = 30


class Flight:
    """At most sixteen frames whose storing has not been confirmed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: deque[asyncio.Task[None]] = deque()

    async def begin(self, say: Callable[[], Awaitable[None]]) -> None:
        """Start saying one more; waits for the oldest when too many are under way."""
        while len(self._tasks) >= IN_FLIGHT_MAX:
            await self._land()
        self._tasks.append(asyncio.create_task(self.surely(say)))

    async def settle(self) -> None:
        """Wait until all are stored; Unavailable when one cannot be."""
        while self._tasks:
            await self._land()

    async def surely(self, say: Callable[[], Awaitable[None]], attempts: int = ATTEMPTS) -> None:
        """Say it until it is stored. A time-out means unknown, and the same id is stored once."""
        for _ in range(attempts - 1):
            try:
                await say()
                return
            except Unavailable as error:
                await self._clock.sleep(min(1.0, error.retry_after_s))
        await say()

    async def abandon(self) -> None:
        """Let what is under way come to its end, well or not."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _land(self) -> None:
        # Waited for, not awaited: if the replay is cancelled just now, what it has begun to say is not.
        oldest = self._tasks[0]
        await asyncio.wait({oldest})
        self._tasks.popleft()
        oldest.result()
