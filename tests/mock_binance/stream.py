"""The mock's user data streams, and what may go wrong with them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

from aiohttp import web

Event = dict[str, Any]


class UserStreams:
    """Who listens, and how badly they are served.

    `repeat` sends everything so many times, `silent` leaves the connections open and says nothing, not even pong,
    `drop` swallows events while the connection seems well, `hold(n)` keeps n events back and sends them last first.
    """

    def __init__(self) -> None:
        self.repeat = 1
        self.silent = False
        self.drop = False
        self.joined = 0
        self._holding = 0
        self._held: list[tuple[str, Event]] = []
        self._numbers = itertools.count()
        self._queues: dict[web.WebSocketResponse, tuple[str, int, asyncio.Queue[Event], asyncio.Task[None]]] = {}

    def hear(self, owner: str, event: Event) -> None:
        if self._holding:
            self._holding -= 1
            self._held.append((owner, event))
            if not self._holding:
                held, self._held = self._held[::-1], []
                for one in held:
                    self._send(*one)
        else:
            self._send(owner, event)

    def hold(self, count: int) -> None:
        self._holding = count

    def _send(self, owner: str, event: Event) -> None:
        if self.drop or self.silent:
            return
        for who, _, queue, _ in list(self._queues.values()):
            if who == owner:
                for _ in range(self.repeat):
                    queue.put_nowait(event)

    def join(self, owner: str, socket: web.WebSocketResponse) -> int:
        number = next(self._numbers)
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._queues[socket] = (owner, number, queue, asyncio.create_task(self._pump(socket, number, queue)))
        self.joined += 1
        return number

    def forget(self, socket: web.WebSocketResponse) -> None:
        if socket in self._queues:
            self._queues.pop(socket)[3].cancel()

    async def _pump(self, socket: web.WebSocketResponse, number: int, queue: asyncio.Queue[Event]) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                event = await queue.get()
                await socket.send_json({"subscriptionId": number, "event": event})

    async def cut(self) -> None:
        """Every connection is gone, without a word."""
        for socket in list(self._queues):
            self.forget(socket)
            if socket._req is not None and socket._req.transport is not None:
                socket._req.transport.abort()

    async def terminate(self) -> None:
        """The subscription ends while its connection stays."""
        for socket, (_, number, _, _) in list(self._queues.items()):
            self.forget(socket)
            await socket.send_json({"subscriptionId": number, "event": {"e": "eventStreamTerminated", "E": 0}})

    async def play(self, *, cut: bool = False, terminate: bool = False, hold: int = 0, **words: Any) -> None:
        """Faults by name: cut, terminate, hold, repeat, silent, drop."""
        for name, value in words.items():
            setattr(self, name, value)
        if hold:
            self.hold(hold)
        if cut:
            await self.cut()
        if terminate:
            await self.terminate()

    async def close(self) -> None:
        self.silent = False
        for socket in list(self._queues):
            self.forget(socket)
            await socket.close()
