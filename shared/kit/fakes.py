"""The outside world, in memory: the kit's twins, held to the same tests as the real parts."""

from __future__ import annotations

import fnmatch
import shutil
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import structlog

from shared.contract.base import Message
from shared.contract.errors import Unavailable
from shared.contract.market import Instrument
from shared.contract.subjects import Question, Stream, Subject
from shared.kit.bus import Outgoing
from shared.kit.journal import Journal
from shared.kit.kit import Kit
from shared.kit.meter import Meter
from shared.kit.service import Answer, Batch, Follow, Heard, On, Service, Watch
from shared.kit.settings import HOME, Suite
from shared.kit.tape import Tape
from shared.kit.valkey import Change

M = TypeVar("M", bound=Message)


class FakeClock:
    """Time that moves when told to."""

    def __init__(self, now_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._now_ns

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now_ns += round(seconds * 1e9)


class FakeBus:
    """Keeps what is said. `answers` holds who answers a question; `away` makes everything fail."""

    def __init__(self) -> None:
        self.said: list[tuple[Subject[Any], Message]] = []
        self._ids: set[tuple[str, str]] = set()
        self.answers: dict[str, Callable[[Any], Awaitable[Message]]] = {}
        self.parked: list[tuple[Heard[Any], Exception]] = []
        self.away = False
        self.lags: dict[str, int] = {}

    async def say(self, subject: Subject[M], message: M, *, id: str | None = None) -> None:
        self._check()
        if self._is_new(subject.address(message), id):
            self.said.append((subject, message))

    async def say_all(self, subject: Subject[M], messages: Sequence[tuple[str, M]]) -> None:
        for id, one in messages:
            await self.say(subject, one, id=id)

    async def tell(self, subject: Subject[M], message: M) -> None:
        self._check()
        self.said.append((subject, message))

    async def store_all(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        """What the journal hands over; read back so that `said` holds messages only."""
        if self.away:
            return list(outgoing)
        for one in outgoing:
            if self._is_new(one.address, one.id):
                subject = next(s for s in _subjects() if fnmatch.fnmatchcase(one.address, s.wildcard))
                self.said.append((subject, subject.decode(one.payload, one.address)))
        return []

    def _is_new(self, address: str, id: str | None) -> bool:
        if id is None:
            return True
        known = (address, id) in self._ids
        self._ids.add((address, id))
        return not known

    async def ask(self, question: Question[Any], message: Message, *, timeout_s: float) -> Any:
        self._check()
        if question.pattern not in self.answers:
            raise Unavailable(f"no answer on {question.pattern} within {timeout_s} s")
        return await self.answers[question.pattern](message)

    async def heard_up(self) -> None:
        self._check()

    async def lag(self, stream: Stream) -> int:
        self._check()
        return self.lags.get(stream.name, 0)

    async def park(self, heard: Heard[Any], error: Exception) -> None:
        self.parked.append((heard, error))

    def heard(self, subject: Subject[M]) -> list[M]:
        """Everything said so far on a subject."""
        return [message for spoken, message in self.said if spoken == subject]  # type: ignore[misc]

    async def close(self) -> None:
        return None

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the bus is away")


def _subjects() -> list[Subject[Any]]:
    from shared.contract import subjects

    return [value for value in vars(subjects).values() if isinstance(value, Subject)]


class FakeValkey:
    """A store in memory. `away` makes everything fail; `writes` counts transactions."""

    def __init__(self) -> None:
        self.store: dict[str, Any] = {}
        self.away = False
        self.writes = 0

    async def get(self, key: str, kind: type[M]) -> M | None:
        value = await self.raw(key)
        return None if value is None else kind.decode(value)

    async def get_many(self, keys: Sequence[str], kind: type[M]) -> list[M | None]:
        return [await self.get(key, kind) for key in keys]

    async def raw(self, key: str) -> bytes | None:
        self._check()
        return self.store.get(key)

    async def members(self, key: str) -> set[str]:
        self._check()
        return set(self.store.get(key, set()))

    async def hash(self, key: str) -> dict[str, bytes]:
        self._check()
        return dict(self.store.get(key, {}))

    async def newest(self, key: str, count: int, *, before: float | None = None) -> list[str]:
        self._check()
        scored = sorted(self.store.get(key, {}).items(), key=lambda entry: (entry[1], entry[0]), reverse=True)
        return [member for member, score in scored if before is None or score < before][:count]

    async def oldest(self, key: str, count: int, *, after: float | None = None) -> list[str]:
        self._check()
        scored = sorted(self.store.get(key, {}).items(), key=lambda entry: (entry[1], entry[0]))
        return [member for member, score in scored if after is None or score > after][:count]

    async def items(self, key: str, first: int = 0, last: int = -1) -> list[bytes]:
        self._check()
        return list(self.store.get(key, [])[first : None if last == -1 else last + 1])

    async def keys(self, pattern: str) -> list[str]:
        self._check()
        return sorted(key for key in self.store if fnmatch.fnmatchcase(key, pattern))

    async def fence(self, owner: str) -> None:
        self._check()

    async def execute(self, changes: Sequence[Change]) -> list[bool]:
        self._check()
        self.writes += 1
        return [self._make(change) for change in changes]

    def _make(self, change: Change) -> bool:
        for key, value in change.expected:
            if self.store.get(key) != (None if value is None else _bytes(value)):
                return False
        for command in change.commands:
            self._run(*command)
        return True

    async def ping(self) -> str | None:
        return "away" if self.away else None

    async def close(self) -> None:
        return None

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the store is away")

    def _run(self, verb: Any, key: Any, *words: Any) -> None:
        match verb:
            case "SET":
                self.store[key] = _bytes(words[0])
            case "DEL":
                self.store.pop(key, None)
            case "HSET":
                self.store.setdefault(key, {})[words[0]] = _bytes(words[1])
            case "HDEL":
                self._drop(key, words, lambda held, field: held.pop(field, None))
            case "SADD":
                self.store.setdefault(key, set()).update(words)
            case "SREM":
                self._drop(key, words, lambda held, member: held.discard(member))
            case "ZADD":
                self.store.setdefault(key, {})[words[1]] = float(words[0])
            case "RPUSH":
                self.store.setdefault(key, []).append(_bytes(words[0]))
            case _:
                raise AssertionError(f"the twin does not know {verb}")

    def _drop(self, key: str, words: Sequence[Any], drop: Callable[[Any, Any], object]) -> None:
        held = self.store.get(key)
        for word in words if held else ():
            drop(held, word)
        if not held:
            self.store.pop(key, None)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


class FakeKit(Kit):
    """The kit over the twins. Its tape is the real SQLite one in a temporary folder, and so is its lake."""

    def __init__(
        self,
        name: str = "test",
        *,
        clock: FakeClock | None = None,
        instruments: Mapping[str, Instrument] | None = None,
        config: Path | None = None,
    ) -> None:
        folder = Path(tempfile.mkdtemp(prefix="trade2026-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        suite = Suite(var=folder, config=config or HOME / "config")
        super().__init__(name, suite, clock or FakeClock(), Meter(name), structlog.get_logger(service=name))
        if instruments is not None:
            self.__dict__["instruments"] = instruments

    @cached_property
    def bus(self) -> FakeBus:
        return FakeBus()

    @cached_property
    def valkey(self) -> FakeValkey:
        return FakeValkey()

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.name, self.valkey, self.bus.store_all, self.shard)

    @cached_property
    def tape(self) -> Tape:
        from shared.kit.tape import open_tape

        return open_tape(self.suite)

    def restarted(self) -> FakeKit:
        """The kit of the next process after a crash: memory gone, store, bus and clock as they were."""
        other = FakeKit(self.name, clock=self.clock, config=self.suite.config)  # type: ignore[arg-type]
        for part in ("bus", "valkey", "instruments"):
            if self.touched(part):
                other.__dict__[part] = getattr(self, part)
        return other


def fake_kit(
    name: str = "test",
    *,
    clock: FakeClock | None = None,
    instruments: Mapping[str, Instrument] | None = None,
) -> FakeKit:
    """A kit over the twins, with the shipped configuration."""
    return FakeKit(name, clock=clock, instruments=instruments)


async def deliver(service: Service, subject: Subject[Any], message: Message, *, sequence: int = 1) -> None:
    """Have a service hear a message, on whichever row hears its subject."""
    for row in service.hears:
        match row:
            case On() | Watch() if row.subject == subject:
                outcome = row.handler(message)
                if outcome is not None:
                    await outcome
                return
            case Batch() | Follow() if subject in row.subjects:
                await row.handler([Heard(subject, message, sequence, subject.address(message))])
                return
            case _:
                continue
    raise AssertionError(f"nobody here hears {subject.pattern}")


async def question(service: Service, asked: Question[Any], message: Message) -> Any:
    """Ask a service."""
    row = next(row for row in service.hears if isinstance(row, Answer) and row.question == asked)
    return await row.handler(message)
