"""Wire: one connection to NATS, and the protocol spoken on it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import orjson

PONGS_DUE_MAX = 3
ALONG_WITHIN_S = 0.002
"""How long an acknowledgement waits for company: waking up is half of what the server does for a write of its own."""

REFUSED = "403"

_MESSAGES = {b"MSG", b"HMSG"}


class Incoming:
    """A message as it came in."""

    __slots__ = ("_numbers", "address", "data", "head", "reply")

    def __init__(self, address: str, reply: str, head: bytes, data: bytes) -> None:
        self.address = address
        self.reply = reply
        self.head = head
        self.data = data
        self._numbers: tuple[int, int] | None = None

    @property
    def sequence(self) -> int:
        """Its number in its stream."""
        return self._counted()[0]

    @property
    def delivered(self) -> int:
        """Which of its consumer's deliveries it is."""
        return self._counted()[1]

    def _counted(self) -> tuple[int, int]:
        # $JS.ACK.<stream>.<consumer>.<times delivered>.<number>.<delivery>.<time>.<left>, and longer on some servers
        if self._numbers is None:
            words = self.reply.rsplit(".", 4)
            self._numbers = int(words[1]), int(words[2])
        return self._numbers

    def header(self, name: str) -> str:
        """A header's value, empty when there is none."""
        _, found, rest = self.head.partition(b"\r\n%b:" % name.encode())
        return rest[: rest.index(b"\r\n")].strip().decode("utf-8", "replace") if found else ""

    @property
    def status(self) -> str:
        """What the server itself has to say, empty on an ordinary message."""
        return self.head[9:12].decode() if self.head[8:9] == b" " else ""

    @property
    def refusal(self) -> str:
        """Why the server did not take what this would have answered, empty when it did."""
        return self.head[13:].strip().decode() if self.status == REFUSED else ""


class Wire(asyncio.Protocol):
    """One connection. Once cut it stays so."""

    def __init__(
        self,
        deliver: Callable[[bytes, Incoming], None],
        complained: Callable[[str], None],
        lost: Callable[[Wire], None],
    ) -> None:
        self._deliver = deliver
        self._complained = complained
        self._tell_lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._paused = False
        self._out: list[bytes] = []
        self._leaving = False
        self._leaving_later = False
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._beats: list[asyncio.Future[None]] = []
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._needed_bytes = 0
        self.held_bytes = 0
        self.payload_max = 1 << 20
        self.about: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self.lost: asyncio.Future[None] = self._loop.create_future()

    # Writing.

    def send(self, *words: bytes) -> None:
        """Everything sent within one turn of the loop leaves in one write."""
        if not self._leaving:
            self._leaving = True
            self._loop.call_soon(self._write)
        self._hold(words)

    def send_along(self, *words: bytes) -> None:
        """Leaves with what is sent next, or a moment later."""
        if not self._leaving and not self._leaving_later:
            self._leaving_later = True
            self._loop.call_later(ALONG_WITHIN_S, self._write_along)
        self._hold(words)

    def _hold(self, words: Sequence[bytes]) -> None:
        self._out += words
        for one in words:
            self.held_bytes += len(one)

    def _write_along(self) -> None:
        self._leaving_later = False
        self._write()

    def _write(self) -> None:
        self._leaving = False
        if self._out and not self._paused and self._transport is not None:
            words, self._out = self._out, []
            self.held_bytes = 0
            self._transport.write(b"".join(words))

    async def ping(self) -> None:
        """Return once the server has answered, and so has everything sent before."""
        self._pongs.append(pong := self._loop.create_future())
        self.send(b"PING\r\n")
        await pong

    def prove_alive(self) -> None:
        """Ask for a sign of life; too many missing ones are the end."""
        self._beats = [beat for beat in self._beats if not beat.done()]
        if len(self._beats) >= PONGS_DUE_MAX:
            self.cut()
        elif not self.lost.done():
            self._beats.append(beat := self._loop.create_future())
            self._pongs.append(beat)
            self.send(b"PING\r\n")

    def cut(self) -> None:
        """Leave; what was written is still sent if the server takes it."""
        if self._transport is not None:
            self._write()
            self._transport.close() if not self._paused else self._transport.abort()
        self.connection_lost(None)

    # What the loop tells.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self.lost.done():
            return
        self.lost.set_result(None)
        for waiting in (self.about, *self._pongs):
            if not waiting.done():
                waiting.set_exception(ConnectionError("the connection was lost"))
                waiting.exception()
        self._tell_lost(self)

    def data_received(self, data: bytes) -> None:
        """A message of megabytes comes in pieces, which are put together once."""
        self._unread.append(data)
        self._unread_bytes += len(data)
        if self._unread_bytes < self._needed_bytes:
            return
        words = b"".join(self._unread) if len(self._unread) > 1 else data
        rest = words[self._read(words) :]
        self._unread = [rest] if rest else []
        self._unread_bytes = len(rest)

    def _read(self, words: bytes) -> int:
        """Take in all that is whole; where the rest begins."""
        at, end, self._needed_bytes = 0, len(words), 0
        while (eol := words.find(b"\r\n", at)) >= 0:
            line = words[at:eol].split(b" ")
            verb = line[0]
            if verb not in _MESSAGES:
                self._control(verb, words[at:eol])
                at = eol + 2
                continue
            start = eol + 2
            stop = start + int(line[-1])
            if stop + 2 > end:
                self._needed_bytes = stop + 2 - at
                break
            body = start if verb == b"MSG" else start + int(line[-2])
            reply = line[3].decode() if len(line) == (5 if verb == b"MSG" else 6) else ""
            self._deliver(line[2], Incoming(line[1].decode(), reply, words[start:body], words[body:stop]))
            at = stop + 2
        return at

    def _control(self, verb: bytes, line: bytes) -> None:
        if verb == b"PING":
            self.send(b"PONG\r\n")
        elif verb == b"PONG":
            pong = self._pongs.popleft() if self._pongs else None
            if pong is not None and not pong.done():
                pong.set_result(None)
        elif verb == b"INFO":
            about = orjson.loads(line[5:])
            self.payload_max = about.get("max_payload", self.payload_max)
            if not self.about.done():
                self.about.set_result(about)
        elif verb == b"-ERR":
            self._complained(line[5:].decode("utf-8", "replace").strip("'"))
