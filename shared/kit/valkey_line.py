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

Commands = Sequence[tuple[Any, ...]]

_REFUSALS = ("NOPERM", "NOAUTH", "WRONGPASS", "ERR ACL")


class NotAllowed(Unavailable):
    """The store knows who asks, and does not let him do this."""

    def __init__(self, user: str, why: str) -> None:
        super().__init__(f"Valkey refuses user {user}: {why}; run `trade2026 secrets` and restart Valkey"[:400])


class Line:
    """Connects when first asked, and again only after `renew`: until then what was not answered is unknown."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        place = urlsplit(url)
        self._host, self._port = place.hostname or "127.0.0.1", place.port or 6379
        self._user = user
        self._hello: Commands = [("AUTH", user, password)] if password else []
        self._wire: _Wire | None = None

    async def ask(self, commands: Commands) -> list[Any]:
        """The answers, in order. Unavailable: nobody knows which of the commands were executed."""
        wire = self._wire or await self._connect()
        return await wire.ask(commands)

    def renew(self) -> None:
        """Give up what is under way; the next question opens another connection."""
        self.close()
        self._wire = None

    @property
    def local_host(self) -> str:
        """The address that this end of the connection has; "" while there is none."""
        return self._wire.local_host if self._wire is not None else ""

    def close(self) -> None:
        if self._wire is not None:
            self._wire.cut("the connection was given up")

    async def _connect(self) -> _Wire:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(1):
                _, wire = await loop.create_connection(lambda: _Wire(loop, self._user), self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"Valkey is away: {error!r}"[:300]) from error
        self._wire = wire
        if self._hello:
            try:
                await wire.ask(self._hello)
            except Unavailable as error:
                wire.cut(error.detail)
                raise
        return wire


class _Wire(asyncio.Protocol):
    """One connection. Once cut it stays so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, user: str) -> None:
        self._loop = loop
        self._user = user
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()
        self._waiting: deque[_Asked] = deque()
        self._why_cut = ""

    @property
    def local_host(self) -> str:
        return str(self._transport.get_extra_info("sockname")[0]) if self._transport is not None else ""

    async def ask(self, commands: Commands) -> list[Any]:
        if self._transport is None:
            raise Unavailable(self._why_cut)
        loop = self._loop
        asked = _Asked(len(commands), loop.create_future())
        self._waiting.append(asked)
        self._transport.write(b"".join([hiredis.pack_command(command) for command in commands]))
        timer = loop.call_later(TIMEOUT_S, self.cut, f"Valkey has not answered within {TIMEOUT_S:g} s")
        try:
            answers = await asked.done
        finally:
            timer.cancel()
        for answer in answers:
            if trouble := _trouble(answer):
                if str(trouble).startswith(_REFUSALS):
                    raise NotAllowed(self._user, str(trouble))
                raise Unavailable(f"Valkey refused: {trouble}"[:300])
        return answers

    def cut(self, why: str) -> None:
        """Whoever waits for an answer is told that none will come."""
        transport, self._transport = self._transport, None
        self._why_cut = self._why_cut or why
        if transport is not None:
            transport.abort()
        while self._waiting:
            done = self._waiting.popleft().done
            if not done.done():
                done.set_exception(Unavailable(why))
                done.exception()  # whoever asked may be gone

    # What the loop tells.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False and self._waiting:
            asked = self._waiting[0]
            asked.answers.append(answer)
            if len(asked.answers) == asked.count:
                self._waiting.popleft()
                if not asked.done.done():
                    asked.done.set_result(asked.answers)

    def connection_lost(self, exc: Exception | None) -> None:
        self.cut(f"Valkey is away: {exc!r}"[:300])


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
