"""Valkey: what is remembered. Reading here; writing is the journal's (`journal.py`)."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from shared.contract.base import Message
from shared.contract.errors import Unavailable
from shared.kit.shard import Shard
from shared.kit.valkey_line import Line, NotAllowed

M = TypeVar("M", bound=Message)
T = TypeVar("T")

Command = tuple[str | bytes | float, ...]


@dataclass(slots=True)
class Change:
    """Commands that are executed together, or not at all: only while each of the `expected` keys holds what it should.

    An expectation is a key and its value; None means that there is no such key.
    """

    commands: list[Command]
    expected: list[tuple[str, str | bytes | None]] = field(default_factory=list[tuple[str, str | bytes | None]])


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

    async def oldest(self, key: str, count: int, *, after: float | None = None) -> list[str]:
        """Members of a sorted set, lowest score first, above `after` when given."""
        ...

    async def items(self, key: str, first: int = 0, last: int = -1) -> list[bytes]:
        """A list, oldest first, from one place to another, both included; places below 0 count from the end."""
        ...

    async def keys(self, pattern: str) -> list[str]: ...

    async def fence(self, owner: str) -> None:
        """Have nothing written any more that was asked for in the owner's name before this.

        Unavailable while copies live that share the owner's work in another number: two would own the same.
        """
        ...

    async def execute(self, changes: Sequence[Change]) -> list[bool]:
        """Each change in its turn, on disk when this returns; whether it was made. Only the journal calls this."""
        ...


JOURNAL_OF = "journal-of-"
"""How a connection is named over which a service commits."""

REFUSED_FOR_S = 10.0
"""For so long after it was last refused something the store is not usable, as /readyz has it."""

SCRIPT = """
local at = 2
for _ = 1, tonumber(ARGV[1]) do
    local held = redis.call('GET', ARGV[at])
    if ARGV[at + 1] == '' and held or ARGV[at + 1] ~= '' and held ~= ARGV[at + 2] then return 0 end
    at = at + 3
end
while at <= #ARGV do
    local last = at + ARGV[at]
    redis.call(unpack(ARGV, at + 1, last))
    at = last + 1
end
return 1
"""
"""A change that expects something. A script costs the server 12 µs more than the same commands in a transaction."""


def _commands(change: Change) -> list[Command]:
    return [_script_call(change)] if change.expected else [("MULTI",), *change.commands, ("EXEC",)]


def _script_call(change: Change) -> Command:
    words: list[str | bytes | float] = ["EVAL", SCRIPT, 0, len(change.expected)]
    for key, value in change.expected:
        words += (key, "" if value is None else "1", b"" if value is None else value)
    for command in change.commands:
        words.append(len(command))
        words += command
    return tuple(words)


class ValkeyStore:
    """The real one, over a small pool of connections."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        # No retries by the client library: whether a lost command ran is for the journal to find out. Who finds all
        # connections taken waits for one.
        pool: Any = BlockingConnectionPool.from_url(
            url,
            username=user if password else None,
            password=password or None,
            socket_timeout=3,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
            max_connections=32,
            timeout=3,
        )
        self._redis: Any = Redis(connection_pool=pool)
        self._user = user
        self._scribe = Line(url, user, password)
        self._refused: tuple[float, str] = (0.0, "")

    async def ping(self) -> str | None:
        """Why the store cannot be used just now, or None."""
        try:
            await self._ask(self._redis.ping())
        except Unavailable as error:
            return error.detail
        last_s, refusal = self._refused
        return refusal if refusal and time.monotonic() - last_s < REFUSED_FOR_S else None

    @property
    def local_host(self) -> str:
        """The address of this machine on the way to the store."""
        return self._scribe.local_host

    async def close(self) -> None:
        self._scribe.close()
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

    async def oldest(self, key: str, count: int, *, after: float | None = None) -> list[str]:
        bottom = "-inf" if after is None else f"({after}"
        found = await self._ask(self._redis.zrangebyscore(key, bottom, "+inf", start=0, num=count))
        return [member.decode() for member in found]

    async def items(self, key: str, first: int = 0, last: int = -1) -> list[bytes]:
        return await self._ask(self._redis.lrange(key, first, last))

    async def keys(self, pattern: str) -> list[str]:
        async def scan() -> list[str]:
            return sorted([key.decode() async for key in self._redis.scan_iter(pattern, count=1000)])

        return await self._ask(scan())

    async def fence(self, owner: str) -> None:
        # A store that was slow may still hold commands of a connection that we gave up, or of a process that died, and
        # would carry them out after we have read what is there.
        self._scribe.renew()
        name = f"{JOURNAL_OF}{owner}".encode()
        kill = ("CLIENT", "KILL", "NAME", name, "SKIPME", "yes")
        # In one step, so that of two copies that come at once one sees the other.
        asked: list[Command] = [("MULTI",), kill, ("CLIENT", "SETNAME", name), ("CLIENT", "LIST"), ("EXEC",)]
        connected = (await self._ask(self._scribe.ask(asked)))[-1][-1]
        journals = re.findall(rf" name={JOURNAL_OF}(\S+)", connected.decode())
        if rivals := Shard.named(owner).rivals(journals):
            self._scribe.renew()
            raise Unavailable(f"{owner} waits for the end of {', '.join(rivals)}, which shares the same work otherwise")

    async def execute(self, changes: Sequence[Change]) -> list[bool]:
        commands: list[Command] = []
        verdicts: list[int | None] = []
        for change in changes:
            commands += _commands(change)
            verdicts.append(len(commands) - 1 if change.expected else None)
        answers = await self._ask(self._scribe.ask(commands))
        return [at is None or bool(answers[at]) for at in verdicts]

    async def _ask(self, asked: Awaitable[T] | Any) -> T:
        try:
            return await asked
        except NotAllowed as error:
            raise self._not_allowed(error) from None
        except (AuthenticationError, NoPermissionError) as error:
            raise self._not_allowed(NotAllowed(self._user, str(error))) from None
        except (RedisError, OSError, TimeoutError, RuntimeError) as error:
            # RuntimeError is how uvloop speaks of a connection that was reset.
            raise Unavailable(f"Valkey is away: {error!r}"[:300]) from error

    def _not_allowed(self, error: NotAllowed) -> NotAllowed:
        self._refused = (time.monotonic(), error.detail)
        return error
