"""A sink as a real process on a real NATS, and nobody else: what is published to it, and what became of that."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nats
import numpy as np
import orjson
import psutil

from shared.contract.ticks import TickColumns
from shared.kit.frames import encode_frame
from tests.journeys.rig import free_offset
from tests.servers import Server, nats_server, wait_until

T0 = 1_700_000_000_000_000_000
SYMBOLS = tuple(f"SYM{n:03d}" for n in range(200))


class Alone:
    """`environment` says where its tape and lake are; without it, in folders."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.var = folder / "var"
        self.server: Server = nats_server(folder).start()
        self._offset = free_offset()
        self._environment = {
            **os.environ,
            "TRADE2026_VAR": str(self.var),
            "TRADE2026_PORT_OFFSET": str(self._offset),
            "TRADE2026_NATS_URL": f"nats://127.0.0.1:{self.server.port}",
            "TRADE2026_LOG_LEVEL": "info",
            **environment,
        }
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{8111 + self._offset}", trust_env=False, timeout=200)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """A new process. It need not be ready: what it wants may be away."""
        command = [sys.executable, "-m", "shared.kit", "sink-ticks"]
        with (self.var.parent / "sink.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        wait_until(self.is_alive, "the sink to serve", 30)

    def is_alive(self) -> bool:
        try:
            return self.http.get("/livez").status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
        self.http.close()
        self.server.stop()

    def get(self, path: str) -> Any:
        return self.http.get(path).json()

    def ready(self) -> bool:
        return self.http.get("/readyz").status_code == 200

    def megabytes(self) -> float:
        """What it and its process of the lake hold."""
        assert self.process is not None
        there = psutil.Process(self.process.pid)
        return sum(one.memory_full_info().uss for one in (there, *there.children(recursive=True))) / 1e6

    def metrics(self, name: str) -> dict[str, float]:
        """A metric by its labels."""
        lines = self.http.get("/metrics").text.splitlines()
        found = (line.rsplit(" ", 1) for line in lines if line.startswith(f"trade2026_{name}{{"))
        return {labels: float(value) for labels, value in found}

    def counted(self, path: str) -> int:
        """Of a route that counts; -1 while it cannot."""
        answer = self.http.get(path)
        return answer.json()["count"] if answer.status_code == 200 else -1

    def in_lake(self, table: str) -> int:
        """How many rows it holds, once all that was heard is in it; -1 while that cannot be."""
        flushed = self.http.post("/lake/flush").status_code == 200
        return self.counted(f"/lake/count/{table}") if flushed else -1

    async def publish(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Into their streams, in order."""
        client = await nats.connect(f"nats://127.0.0.1:{self.server.port}")
        stream = client.jetstream(publish_async_max_pending=256)
        for subject, payload in messages:
            await stream.publish_async(subject, payload, wait_stall=60)
        await stream.publish_async_completed()
        await client.close()

    async def parked(self) -> list[dict[str, Any]]:
        """All that was ever set aside."""
        client = await nats.connect(f"nats://127.0.0.1:{self.server.port}")
        subscription = await client.jetstream().subscribe("ops.parked.>", ordered_consumer=True)
        found: list[dict[str, Any]] = []
        info = await client.jetstream().stream_info("OPS")
        while len(found) < info.state.messages:
            found.append(orjson.loads((await subscription.next_msg(10)).data))
        await client.close()
        return found


@contextmanager
def alone(folder: Path, **environment: str) -> Iterator[Alone]:
    """One that runs, and is gone afterwards."""
    one = Alone(folder, **environment)
    try:
        one.start()
        yield one
    finally:
        one.stop()


def frame(first: int, count: int, venue: str = "sim") -> bytes:
    """So many ticks, numbered from `first`; a thousand of them lie in a second."""
    numbers = np.arange(first, first + count)
    return encode_frame(
        TickColumns(
            venue=venue,
            symbols=SYMBOLS,
            codes=(numbers % len(SYMBOLS)).astype(np.int32),
            event_ns=T0 + numbers * 1_000_000,
            receive_ns=T0 + numbers * 1_000_000 + 5,
            price=100 + numbers % 1000 / 100,
            quantity=np.ones(count),
            side=np.ones(count, np.int8),
            trade_id=numbers.astype(str).tolist(),
            sequence=numbers,
        )
    )
