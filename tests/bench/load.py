"""Load: requests at a fixed rate whatever the answers do (open loop), or as fast as they are answered (saturation).

In an open loop latency counts from the moment a request was due to leave, so that a slow answer cannot hide those
behind it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Send = Callable[[int], Awaitable[bool]]
"""The n-th request; whether it was answered as it should be."""


@dataclass(frozen=True)
class Load:
    """What a run gave: milliseconds at the median and the 99th percentile, the share answered well, how many a second,
    and what the client itself cost a request, in microseconds of CPU."""

    p50_ms: float
    p99_ms: float
    well: float
    rate_per_s: float
    client_us: float


async def open_loop(send: Send, *, rate_per_s: float, seconds: float, warm_up_s: float = 2.0) -> Load:
    """Requests at `rate_per_s` for `warm_up_s` uncounted and then `seconds` counted."""
    loop = asyncio.get_running_loop()
    total, skipped = round(rate_per_s * (seconds + warm_up_s)), round(rate_per_s * warm_up_s)
    tally = _Tally(skipped)
    tasks: set[asyncio.Task[None]] = set()
    start = loop.time() + 0.05
    cpu = time.process_time()

    async def one(n: int, due: float) -> None:
        good = await send(n)
        tally.note(n, (loop.time() - due) * 1000, good)

    for n in range(total):
        due = start + n / rate_per_s
        # The loop's timers are no finer than this; who is due within it leaves now.
        if (wait := due - loop.time()) > 0.0005:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(n, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    while tasks:
        await asyncio.wait(tasks)
    return tally.load(loop.time() - start - warm_up_s, (time.process_time() - cpu) / total)


async def saturate(send: Send, *, at_once: int, seconds: float, warm_up_s: float = 2.0) -> Load:
    """`at_once` requests under way at all times."""
    loop = asyncio.get_running_loop()
    tally = _Tally(0)
    begin, end = loop.time() + warm_up_s, loop.time() + warm_up_s + seconds
    cpu, sent = time.process_time(), 0

    async def one_after_another() -> None:
        nonlocal sent
        while (due := loop.time()) < end:
            sent += 1
            good = await send(sent)
            if due >= begin:
                tally.note(sent, (loop.time() - due) * 1000, good)

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    return tally.load(seconds, (time.process_time() - cpu) / sent)


class _Tally:
    def __init__(self, skipped: int) -> None:
        self._skipped = skipped
        self._taken_ms: list[float] = []
        self._well = 0

    def note(self, n: int, taken_ms: float, good: bool) -> None:
        if n >= self._skipped:
            self._taken_ms.append(taken_ms)
            self._well += good

    def load(self, seconds: float, cpu_s: float) -> Load:
        cuts = statistics.quantiles(self._taken_ms, n=100)
        count = len(self._taken_ms)
        return Load(cuts[49], cuts[98], self._well / count, count / seconds, cpu_s * 1e6)


class Connections:
    """Kept-alive HTTP/1.1 connections that cost the client some 25 µs a request."""

    def __init__(self, port: int, count: int = 64) -> None:
        self._port = port
        self._count = count
        self._all: list[_Connection] = []
        self._idle: asyncio.Queue[_Connection] = asyncio.Queue()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self._count):
            _, connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
            self._all.append(connection)
            self._idle.put_nowait(connection)

    def close(self) -> None:
        for connection in self._all:
            connection.transport.close()

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body."""
        connection = await self._idle.get()
        try:
            return await connection.ask(
                b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (path.encode(), len(body), body)
            )
        finally:
            self._idle.put_nowait(connection)


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self._heard = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= length and self._answer is not None:
            answer, self._answer, self._heard = self._answer, None, b""
            answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the door closed: {exc!r}"))
