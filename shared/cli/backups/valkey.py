"""Valkey at one moment: writes wait while it forks, and what the child holds is sent as it is to a replica."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import hiredis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.cli.infrastructure import valkey_binary
from shared.cli.trouble import Trouble
from shared.kit.permissions import OPERATOR

PAUSE_MS = 1000
"""Writes wait for so long at most; services give a write three seconds."""
FORKS_WITHIN_S = 0.5
ANSWERS_WITHIN_S = 30.0
CHILD_ENDS_WITHIN_S = 600.0
BLOCK = 1 << 20
DELAY = "repl-diskless-sync-delay"

BASE = "appendonly.aof.1.base.rdb"
LATER = "appendonly.aof.1.incr.aof"
LOG = f"file {BASE} seq 1 type b\nfile {LATER} seq 1 type i\n"


class LateError(Exception):
    """The moment was not one; another can be tried."""


class Valkey:
    """A server that is to be dumped. `dump` is called with writes paused, `receive` afterwards."""

    def __init__(self, url: str, password: str = "") -> None:
        self._url = url
        self._password = password
        known: dict[str, Any] = {"username": OPERATOR, "password": password} if password else {}
        self._redis: Any = Redis.from_url(url, **known, socket_timeout=ANSWERS_WITHIN_S, socket_connect_timeout=3)
        self._replica: _Replica | None = None
        self.paused_ms = 0.0
        self.keys = 0

    async def __aenter__(self) -> Self:
        # A replica is made to wait for others that may come; the fork would then miss the moment.
        self._delay = (await self._redis.config_get(DELAY)).get(DELAY, "0")
        await self._redis.config_set(DELAY, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._drop()
        with contextlib.suppress(RedisError, OSError):
            await self._redis.config_set(DELAY, self._delay)
        await self._redis.aclose()

    async def prepare(self) -> None:
        """Return once a fork is possible: the server has no other child, and a replica's connection stands."""
        until = time.monotonic() + CHILD_ENDS_WITHIN_S
        while _has_child(await self._redis.info("persistence")):
            if time.monotonic() > until:
                raise Trouble(f"Valkey has been rewriting its log for {CHILD_ENDS_WITHIN_S:.0f} s; try again later")
            await asyncio.sleep(0.2)
        self._drop()
        self._replica = await _Replica.connected(self._url, self._password)

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncGenerator[None]:
        """Nothing is written in here. `LateError` when it took longer than the pause may be trusted."""
        began_s = time.monotonic()
        await self._redis.execute_command("CLIENT", "PAUSE", PAUSE_MS, "WRITE")
        try:
            yield
            self.paused_ms = (time.monotonic() - began_s) * 1000
        finally:
            await self._redis.execute_command("CLIENT", "UNPAUSE")
        if self.paused_ms > PAUSE_MS * 0.8:
            raise LateError(f"took {self.paused_ms:.0f} ms")

    async def dump(self) -> None:
        """Have the server fork; the keys are fixed when this returns."""
        assert self._replica is not None, "prepare() comes first"
        self.keys = await self._redis.dbsize()
        before = await self._redis.info()
        self._replica.ask_for_dump()
        until = time.monotonic() + FORKS_WITHIN_S
        while time.monotonic() < until:
            now = await self._redis.info()
            if now["aof_rewrites"] != before["aof_rewrites"]:
                break
            if now["total_forks"] > before["total_forks"]:
                return
        raise LateError("the server did not fork")

    async def receive(self, folder: Path) -> None:
        """Write what the child holds as an append-only log that a server starts from."""
        assert self._replica is not None, "prepare() comes first"
        log = folder / "appendonlydir"
        log.mkdir(parents=True)
        await self._replica.receive(log / BASE)
        (log / LATER).touch()
        (log / "appendonly.aof.manifest").write_text(LOG)
        self._drop()
        check(log / BASE, self.keys)

    def _drop(self) -> None:
        replica, self._replica = self._replica, None
        if replica is not None:
            replica.close()


def _has_child(persistence: dict[str, Any]) -> bool:
    names = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
    return any(persistence.get(name) for name in names)


class _Replica:
    """One connection on which the server sends its keys and nothing after them."""

    def __init__(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        self._reading = reading
        self._writing = writing

    @classmethod
    async def connected(cls, url: str, password: str) -> Self:
        """Each word is answered before the next: the server refuses to sync with an answer outstanding."""
        parts = urlsplit(url)
        secure = True if parts.scheme == "rediss" else None
        reading, writing = await asyncio.open_connection(parts.hostname, parts.port or 6379, ssl=secure, limit=BLOCK)
        replica = cls(reading, writing)
        if password:
            await replica._say("AUTH", OPERATOR, password)
        await replica._say("REPLCONF", "capa", "eof")
        await replica._say("REPLCONF", "rdb-only", "1")
        return replica

    async def _say(self, *words: str) -> None:
        self._writing.write(_packed(*words))
        answer = await self._line()
        if not answer.startswith(b"+OK"):
            raise Trouble(f"Valkey sends no dump: it answers {words[0]} with {answer.decode(errors='replace')}")

    def ask_for_dump(self) -> None:
        self._writing.write(_packed("SYNC"))

    async def receive(self, path: Path) -> None:
        head = await self._line()
        with path.open("wb") as file:
            if head.startswith(b"$EOF:"):
                await self._until(head[5:], file)
            elif head[:1] == b"$" and head[1:].isdigit():
                await self._counted(int(head[1:]), file)
            else:
                raise Trouble(f"Valkey sends no dump: {head.decode(errors='replace')}")

    def close(self) -> None:
        self._writing.close()

    async def _line(self) -> bytes:
        while True:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                line = await self._reading.readline()
            if not line:
                raise ConnectionError("Valkey closed the connection")
            if line.strip():  # it sends empty lines to stay in touch
                return line.strip()

    async def _block(self, count: int) -> bytes:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            block = await self._reading.read(count)
        if not block:
            raise ConnectionError("Valkey closed the connection before its dump was whole")
        return block

    async def _until(self, mark: bytes, file: Any) -> None:
        held = b""
        while not held.endswith(mark):
            file.write(held[: -len(mark)])
            held = held[-len(mark) :] + await self._block(BLOCK)
        file.write(held[: -len(mark)])

    async def _counted(self, left: int, file: Any) -> None:
        while left:
            block = await self._block(min(left, BLOCK))
            file.write(block)
            left -= len(block)


def _packed(*words: str) -> bytes:
    pack: Any = hiredis.pack_command
    return pack(words)


def check(dump: Path, keys: int) -> None:
    """`Trouble` when a dump is not whole, or has not as many keys as it should."""
    # The server's binary checks dumps when it is called by that name.
    command = ["valkey-check-rdb", str(dump)]
    checked = subprocess.run(command, executable=valkey_binary(), capture_output=True, text=True, check=False)
    read = next(_numbers(checked.stdout), None)
    if checked.returncode or read != keys:
        last = checked.stdout.strip().splitlines()[-1:] or [checked.stderr.strip()]
        raise Trouble(f"Valkey's dump cannot be trusted: {read} keys in it, {keys} wanted ({last[0]}); try again")


def _numbers(output: str) -> Iterator[int]:
    for line in output.splitlines():
        words = line.split()
        if words[:1] == ["[info]"] and words[2:] == ["keys", "read"]:
            yield int(words[1])
