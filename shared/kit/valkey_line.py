"""Line: one connection to Valkey on which questions follow each other without waiting for the answers.

The commits of a service go over one of these, in order. The client library's pipeline costs about 7 µs a command and a
timer for each answer; here a batch is packed and parsed in C and has one timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import hiredis

from shared.contract.errors import Unavailable

TIMEOUT_S = 3.0


class Line(asyncio.Protocol):
    """Connects when first asked, and again after it broke. What was asked and not answered is unknown."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 6379
        self._hello = [("AUTH", parts.username or "default", parts.password)] if parts.password else []
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[_Asked] = deque()

    async def ask(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answers, in order. Unavailable: nobody knows which of the commands were executed."""
        if self._transport is None:
            await self._connect()
        asked = _Asked(len(commands), asyncio.get_running_loop().create_future())
        return await self._send(commands, asked)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(1):
                await loop.create_connection(lambda: self, self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"Valkey is away: {error!r}"[:300]) from error
        if self._hello:
            await self._send(self._hello, _Asked(1, loop.create_future()))

    async def _send(self, commands: Sequence[tuple[Any, ...]], asked: _Asked) -> list[Any]:
        assert self._transport is not None
        self._waiting.append(asked)
        self._transport.write(b"".join([hiredis.pack_command(command) for command in commands]))
        timer = asyncio.get_running_loop().call_later(TIMEOUT_S, self._silent)
        try:
            answers = await asyncio.shield(asked.done)
        finally:
            timer.cancel()
        for answer in answers:
            if trouble := _trouble(answer):
                raise Unavailable(f"Valkey refused: {trouble}"[:300])
        return answers

    def _silent(self) -> None:
        self._break(f"Valkey has not answered within {TIMEOUT_S:g} s")

    # What the loop tells.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._reader = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            asked = self._waiting[0]
            asked.answers.append(answer)
            if len(asked.answers) == asked.count:
                self._waiting.popleft()
                if not asked.done.done():
                    asked.done.set_result(asked.answers)

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(f"Valkey is away: {exc!r}"[:300])

    def _break(self, why: str) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        while self._waiting:
            done = self._waiting.popleft().done
            if not done.done():
                done.set_exception(Unavailable(why))
                done.exception()  # whoever asked may be gone


def _trouble(answer: Any) -> Exception | None:
    """The error in an answer, or in the answers of a transaction."""
    if isinstance(answer, list):
        return next((one for one in answer if isinstance(one, Exception)), None)  # pyright: ignore
    return answer if isinstance(answer, Exception) else None


class _Asked:
    """A batch on its way, and the answers so far."""

    __slots__ = ("answers", "count", "done")

    def __init__(self, count: int, done: asyncio.Future[list[Any]]) -> None:
        self.count = count
        self.done = done
        self.answers: list[Any] = []
