"""Open-loop load: requests leave at a fixed rate, and latency counts from the moment each was due to leave."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson

Send = Callable[[int], Awaitable[bool]]
"""The n-th request; whether it was answered as it should be."""


@dataclass(frozen=True)
class Latency:
    """What a run gave: milliseconds at the median and the 99th percentile, and the share that was answered well."""

    p50_ms: float
    p99_ms: float
    well: float
    rate_per_s: float


async def open_loop(send: Send, *, rate_per_s: float, seconds: float, warm_up_s: float = 2.0) -> Latency:
    """Requests at `rate_per_s` for `warm_up_s` uncounted and then `seconds` counted."""
    loop = asyncio.get_running_loop()
    total, skipped = round(rate_per_s * (seconds + warm_up_s)), round(rate_per_s * warm_up_s)
    taken: list[float] = []
    well = 0
    start = loop.time() + 0.05

    async def one(n: int, due: float) -> None:
        nonlocal well
        good = await send(n)
        if n >= skipped:
            taken.append((loop.time() - due) * 1000)
            well += good

    tasks: list[asyncio.Task[None]] = []
    for n in range(total):
        due = start + n / rate_per_s
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(n, due)))
    await asyncio.gather(*tasks)
    elapsed_s = loop.time() - start - warm_up_s
    cuts = statistics.quantiles(taken, n=100)
    return Latency(statistics.median(taken), cuts[98], well / len(taken), len(taken) / elapsed_s)


class Connections:
    """A pool of kept-alive HTTP/1.1 connections that costs the client next to nothing."""

    def __init__(self, port: int, count: int = 32) -> None:
        self._port = port
        self._idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._count = count

    async def open(self) -> None:
        for _ in range(self._count):
            self._idle.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))

    async def close(self) -> None:
        while not self._idle.empty():
            _, writer = self._idle.get_nowait()
            writer.close()
            await writer.wait_closed()

    async def post(self, path: str, words: object) -> tuple[int, bytes]:
        """Status and body."""
        body = orjson.dumps(words)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        reader, writer = await self._idle.get()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        content = await reader.readexactly(length)
        self._idle.put_nowait((reader, writer))
        return int(answer[9:12]), content
