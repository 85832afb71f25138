"""Valkey: what is remembered. Reading here; writing is the journal's (`journal.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared.contract.base import Message
from shared.contract.errors import Unavailable

M = TypeVar("M", bound=Message)
T = TypeVar("T")

Command = tuple[str | bytes | float, ...]


class Valkey(Protocol):
    """How a service recalls. Every method raises Unavailable while the store is away."""

    async def get(self, key: str, kind: type[M]) -> M | None: ...

    async def get_many(self, keys: Sequence[str], kind: type[M]) -> list[M | None]: ...

    async def raw(self, key: str) -> bytes | None: ...

    async def members(self, key: str) -> set[str]: ...

    async def hash(self, key: str) -> dict[str, bytes]: ...

    async def newest(self, key: str, count: int, *, before: float | None = None) -> list[str]:
        """Members of a sorted set, highest score first, below `before` when given."""
        ...

    async def items(self, key: str) -> list[bytes]:
        """A list, oldest first."""
        ...

    async def keys(self, pattern: str) -> list[str]: ...

    async def execute(self, commands: Sequence[Command]) -> None:
        """All of them in one transaction, on disk when this returns. Only the journal calls this."""
        ...


class ValkeyStore:
    """The real one, over a small pool of connections."""

    def __init__(self, url: str) -> None:
        # No retries by the client library: whether a lost command ran is for the journal to find out. Who finds all
        # connections taken waits for one.
        pool: Any = BlockingConnectionPool.from_url(
            url,
            socket_timeout=3,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
            max_connections=32,
            timeout=3,
        )
        self._redis: Any = Redis(connection_pool=pool)

    async def ping(self) -> str | None:
        """Why the store cannot be used just now, or None."""
        try:
            await self._ask(self._redis.ping())
        except Unavailable as error:
            return error.detail
        return None

    async def connect(self) -> None:
        """Wait for the store for as long as it takes."""
        while await self.ping() is not None:
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)

    async def get(self, key: str, kind: type[M]) -> M | None:
        value = await self._ask(self._redis.get(key))
        return None if value is None else kind.decode(value)

    async def get_many(self, keys: Sequence[str], kind: type[M]) -> list[M | None]:
        if not keys:
            return []
        values = await self._ask(self._redis.mget(keys))
        return [None if value is None else kind.decode(value) for value in values]

    async def raw(self, key: str) -> bytes | None:
        return await self._ask(self._redis.get(key))

    async def members(self, key: str) -> set[str]:
        return {member.decode() for member in await self._ask(self._redis.smembers(key))}

    async def hash(self, key: str) -> dict[str, bytes]:
        return {field.decode(): value for field, value in (await self._ask(self._redis.hgetall(key))).items()}

    async def newest(self, key: str, count: int, *, before: float | None = None) -> list[str]:
        top = "+inf" if before is None else f"({before}"
        found = await self._ask(self._redis.zrevrangebyscore(key, top, "-inf", start=0, num=count))
        return [member.decode() for member in found]

    async def items(self, key: str) -> list[bytes]:
        return await self._ask(self._redis.lrange(key, 0, -1))

    async def keys(self, pattern: str) -> list[str]:
        async def scan() -> list[str]:
            return sorted([key.decode() async for key in self._redis.scan_iter(pattern, count=1000)])

        return await self._ask(scan())

    async def execute(self, commands: Sequence[Command]) -> None:
        async def run() -> None:
            async with self._redis.pipeline(transaction=True) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                await pipe.execute()

        await self._ask(run())

    async def _ask(self, asked: Awaitable[T] | Any) -> T:
        try:
            return await asked
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Valkey is away: {error!r}"[:300]) from error
