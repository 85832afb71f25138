"""Proxy: a door before a server that can be told to hold back what passes, or to slam shut, for some or for all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from enum import Enum

AT_ONCE = 65_536
LATE_S = 0.7
RESET_AT_ONCE = struct.pack("ii", 1, 0)

Whom = Callable[[int], bool]
"""Whether the client that speaks from a port is cut off."""


class Cut(Enum):
    """How a connection is cut: nothing passes; requests pass and answers do not; it is reset, as is every new one; all
    passes, but late."""

    STALL = "stall"
    DEAF = "deaf"
    RESET = "reset"
    SLOW = "slow"


class Proxy:
    """Bytes from a port of its own to `target` and back, for as long as nobody cuts them."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._passages: set[_Passage] = set()
        self._server: asyncio.Server | None = None
        self._cut: tuple[Cut, Whom] | None = None
        self.port = 0

    async def start(self) -> Proxy:
        self._server = await asyncio.start_server(self._passes, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for passage in list(self._passages):
            passage.reset()
        while self._passages:
            await asyncio.sleep(0.001)

    def cut(self, how: Cut, whom: Whom = lambda port: True) -> int:
        """From now on until `heal`; how many connections that are there now it strikes."""
        self._cut = (how, whom)
        struck = [passage for passage in self._passages if whom(passage.client_port)]
        for passage in struck:
            passage.cut(how)
        return len(struck)

    def heal(self) -> None:
        """All passes again, what was held back first."""
        self._cut = None
        for passage in self._passages:
            passage.heal()

    async def _passes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passage = _Passage(reader, writer)
        self._passages.add(passage)
        try:
            if self._cut and self._cut[1](passage.client_port):
                passage.cut(self._cut[0])
            # The end of the loop may find it waiting, which is nothing to be told of.
            with contextlib.suppress(asyncio.CancelledError):
                await passage.pass_on(self._target)
        finally:
            self._passages.discard(passage)


class _Gate:
    """On the way there or back: open or not, and how late everything is that passes."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.late_s = 0.0


class _Passage:
    """One connection and its way on. A gate stands on the way there and one on the way back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._near = (reader, writer)
        self._far: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._there, self._back = _Gate(), _Gate()
        self.client_port: int = writer.get_extra_info("peername")[1]
        self.heal()

    def cut(self, how: Cut) -> None:
        if how is Cut.RESET:
            self.reset()
            return
        if how is Cut.SLOW:
            self._there.late_s = self._back.late_s = LATE_S
            return
        self._back.open.clear()
        if how is Cut.STALL:
            self._there.open.clear()

    def heal(self) -> None:
        for gate in (self._there, self._back):
            gate.late_s = 0
            gate.open.set()

    def reset(self) -> None:
        """Both sides at once, as a machine does that knows of no such connection."""
        for _, writer in filter(None, (self._near, self._far)):
            connection = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
            writer.transport.abort()
        self.heal()

    async def pass_on(self, target: int) -> None:
        """Until either side ends."""
        try:
            await self._there.open.wait()
            self._far = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            self.reset()
            return
        ways = [
            asyncio.create_task(_carry(self._near[0], self._far[1], self._there)),
            asyncio.create_task(_carry(self._far[0], self._near[1], self._back)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._near[1].close()
            self._far[1].close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: _Gate) -> None:
    with contextlib.suppress(OSError):
        while words := await reader.read(AT_ONCE):
            await gate.open.wait()
            if gate.late_s:
                await asyncio.sleep(gate.late_s)
            writer.write(words)
            await writer.drain()
