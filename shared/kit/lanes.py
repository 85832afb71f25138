"""One message at a time per key, in order of arrival; different keys side by side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """A queue per key, worked by one task for as long as it holds anything.

    The bound is the caller's: whoever puts messages in must not have more than a stated number unfinished.
    """

    def __init__(self, work: Callable[[T], Awaitable[None]]) -> None:
        self._work = work
        self._waiting: dict[str, deque[T]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, key: str, item: T) -> None:
        """Work `item` after everything put before under the same key."""
        queue = self._waiting.get(key)
        if queue is not None:
            queue.append(item)
            return
        self._waiting[key] = deque((item,))
        task = asyncio.create_task(self._run(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, key: str) -> None:
        queue = self._waiting[key]
        try:
            while queue:
                await self._work(queue[0])
                queue.popleft()
        finally:
            del self._waiting[key]

    async def drained(self) -> None:
        """Return once nothing is in hand."""
        while self._tasks:
            await asyncio.wait(self._tasks)
