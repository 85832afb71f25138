"""What is watched and not heard yet: in order, and bounded, for nobody keeps it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from shared.kit.nats_wire import Incoming

BYTES_MAX = 128 << 20


class WatchQueue:
    """One row's. Its handler runs beside the reading of the connection, which goes on meanwhile."""

    def __init__(self, hear: Callable[[Incoming], Awaitable[None]]) -> None:
        self._hear = hear
        self._waiting: deque[Incoming] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self.task = asyncio.create_task(self._work())

    def put(self, message: Incoming) -> bool:
        """False when too much waits already: the newest is dropped."""
        if self._bytes + len(message.data) > BYTES_MAX:
            return False
        self._bytes += len(message.data)
        self._waiting.append(message)
        self._some.set()
        return True

    async def _work(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                message = self._waiting.popleft()
                self._bytes -= len(message.data)
                await self._hear(message)
