"""Line: one kept-alive HTTP/1.1 connection that says what came back, or that nothing did."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any


class Unanswered(Exception):
    """No answer: whether what was asked for was done is unknown."""


@dataclass(frozen=True)
class Answer:
    status: int
    head: str
    body: bytes

    @property
    def words(self) -> Any:
        return json.loads(self.body)

    @property
    def orderly(self) -> bool:
        """A refusal for now says until when, and in the words agreed on."""
        return self.status not in (429, 503) or (
            "retry-after:" in self.head and "application/problem+json" in self.head
        )


class Line:
    """Connects when it has to, and never sends twice by itself."""

    def __init__(self, port: int, timeout_s: float = 20.0) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """The answer; Unanswered when the connection or the time ended before it came."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(method, path, body)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.close()
            raise Unanswered(repr(error)) from None
        except asyncio.CancelledError:
            self.close()
            raise

    async def _ask(self, method: str, path: str, body: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        kind = "content-type: application/json\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: chaos\r\n{kind}content-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answered = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(answered.partition("content-length:")[2].partition("\r\n")[0] or 0)
        answer = Answer(int(answered[9:12]), answered, await reader.readexactly(length))
        if "connection: close" in answered:
            self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            with contextlib.suppress(RuntimeError):
                self._streams[1].close()
        self._streams = None


async def get(port: int, path: str, timeout_s: float = 5.0) -> Any:
    """What stands at a path; Unanswered also when it is not a 200."""
    line = Line(port, timeout_s)
    try:
        answer = await line.ask("GET", path)
    finally:
        line.close()
    if answer.status != 200:
        raise Unanswered(f"{path}: {answer.status} {answer.body[:200]!r}")
    return answer.words
