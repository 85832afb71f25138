"""The broker: streams that keep messages, the hearers they are delivered to, live hearers, questions.

A durable hearer gets each message at least once: first in order, and again when its acknowledgement was lost, when it
was handed back, or when its hearer died with the message in hand. What is only watched may be lost.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import Any

from shared.contract import subjects
from shared.contract.base import Message
from shared.contract.errors import Refused, Unavailable
from shared.contract.subjects import Question, Stream, Subject
from shared.kit.bus import Outgoing
from shared.kit.consumers import ACK_WAIT_S
from shared.kit.hearing import DELAY_MAX_S
from shared.kit.lanes import Lanes
from shared.kit.service import Answer, Heard, On, Watch
from tests.simulation.loop import LIFE, Life
from tests.simulation.store import NOBODY
from tests.simulation.world import World

SUBJECTS = [value for value in vars(subjects).values() if isinstance(value, Subject)]

Done = Callable[[Any, Exception | None], None]
"""Takes what was answered, or what went wrong."""


@lru_cache(maxsize=4096)
def subject_of(address: str) -> Subject[Any]:
    """The subject whose pattern an address fits."""
    return next(s for s in SUBJECTS if re.fullmatch(s.wildcard.replace(".", r"\.").replace("*", "[^.]+"), address))


@dataclass(eq=False)
class Stored:
    """A message as a stream keeps it."""

    sequence: int
    subject: Subject[Any]
    address: str
    message: Any


class Consumer:
    """One durable hearer's place in a stream. It outlives the lives of its service."""

    def __init__(self, broker: Broker, service: str, subject: Subject[Any]) -> None:
        self._broker = broker
        self._world = broker.world
        self.service = service
        self.subject = subject
        self.unfinished: dict[int, Stored] = {}
        self._delivered: dict[int, int] = {}
        self._backlog: list[Stored] = []
        self._put: Callable[[Stored], None] | None = None
        self._life: Life | None = None
        self._last_s = 0.0

    def offer(self, stored: Stored) -> None:
        """A message was stored."""
        self.unfinished[stored.sequence] = stored
        if self._put is None:
            self._backlog.append(stored)
        else:
            self._send(stored)

    def open(self, life: Life, put: Callable[[Stored], None]) -> None:
        """A life of the service hears from here on."""
        self._life, self._put = life, put
        backlog, self._backlog = self._backlog, []
        for stored in backlog:
            self._send(stored)

    def close(self) -> None:
        """The life is over: what it had in hand comes again."""
        self._life = self._put = None
        waiting = {stored.sequence for stored in self._backlog}
        for stored in list(self.unfinished.values()):
            if stored.sequence not in waiting:
                self._again(stored, self._world.rng.uniform(0.01, ACK_WAIT_S))

    def _send(self, stored: Stored) -> None:
        world = self._world
        at_s = world.now_s + world.hop_s()
        if world.fate("out_of_order"):
            at_s += world.rng.uniform(0.001, ACK_WAIT_S)
        else:
            self._last_s = at_s = max(self._last_s, at_s)
        world.loop.call_at(at_s, self._arrive, stored, self._life, context=NOBODY)

    def _again(self, stored: Stored, after_s: float) -> None:
        self._world.loop.call_later(after_s, self._redeliver, stored, context=NOBODY)

    def _redeliver(self, stored: Stored) -> None:
        if self._put is None:
            if stored not in self._backlog:
                self._backlog.append(stored)
        else:
            self._arrive(stored, self._life)

    def _arrive(self, stored: Stored, life: Life | None) -> None:
        if life is not self._life or self._put is None:
            # It was on its way to a life that is over.
            self._again(stored, self._world.rng.uniform(0.01, ACK_WAIT_S))
        elif self._broker.away:
            self._again(stored, self._broker.back_in_s + self._world.hop_s())
        elif stored.sequence in self.unfinished:
            self._delivered[stored.sequence] = self._delivered.get(stored.sequence, 0) + 1
            self._world.note("deliver", stored.address, stored.sequence, "to", life, self._delivered[stored.sequence])
            self._put(stored)

    def finished(self, stored: Stored) -> None:
        """Acknowledged, if the acknowledgement arrives."""
        if self._broker.away or self._world.fate("acknowledgement_lost"):
            self._again(stored, ACK_WAIT_S)
        else:
            self.unfinished.pop(stored.sequence, None)

    def handed_back(self, stored: Stored) -> None:
        """Not now; again after a delay that grows."""
        times = self._delivered.get(stored.sequence, 1)
        self._again(stored, min(DELAY_MAX_S, 0.05 * 2 ** min(times, 10)))


@dataclass
class Asked:
    """Who answers a question."""

    life: Life
    handler: Callable[[Any], Awaitable[Message]]
    work: Callable[[Callable[[], Awaitable[Any]], Done], None]


@dataclass(eq=False)
class Watcher:
    """One live hearer."""

    life: Life
    row: Watch
    put: Callable[[Any], None]
    last_s: float = 0.0


@dataclass
class Broker:
    """The whole of it."""

    world: World
    away_until_s: float = 0.0
    streams: dict[str, list[Stored]] = field(default_factory=dict[str, list[Stored]])
    consumers: dict[tuple[str, str], Consumer] = field(default_factory=dict[tuple[str, str], Consumer])
    watchers: dict[str, list[Watcher]] = field(default_factory=dict[str, list[Watcher]])
    answerers: dict[str, Asked] = field(default_factory=dict[str, Asked])
    said: list[Callable[[Stored], None]] = field(default_factory=list[Callable[[Stored], None]])
    parked: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self._ids: set[tuple[str, str]] = set()

    @property
    def away(self) -> bool:
        return self.world.now_s < self.away_until_s

    @property
    def back_in_s(self) -> float:
        return max(0.0, self.away_until_s - self.world.now_s)

    @property
    def unfinished(self) -> int:
        """How many deliveries are not acknowledged yet."""
        return sum(len(consumer.unfinished) for consumer in self.consumers.values())

    def consumer(self, service: str, subject: Subject[Any]) -> Consumer:
        """A service's place in a stream, from the stream's beginning."""
        key = (service, subject.pattern)
        if key not in self.consumers:
            consumer = self.consumers[key] = Consumer(self, service, subject)
            assert subject.stream is not None
            for stored in self.streams.get(subject.stream.name, []):
                if stored.subject is subject:
                    consumer.offer(stored)
        return self.consumers[key]

    def store(self, subject: Subject[Any], address: str, words: bytes | Message, id: str) -> None:
        """Keep a message, once for each id, and let it be heard."""
        if id and (address, id) in self._ids:
            self.world.note("stored-already", address, id)
            return
        self._ids.add((address, id))
        message = words if isinstance(words, Message) else subject.decode(words, address)
        if subject.stream is not None:
            kept = self.streams.setdefault(subject.stream.name, [])
            stored = Stored(len(kept) + 1, subject, address, message)
            kept.append(stored)
            self.world.note("stored", address, id)
            for tell in self.said:
                tell(stored)
            for consumer in self.consumers.values():
                if consumer.subject is subject:
                    consumer.offer(stored)
        self._tell_live(subject, message)

    def _tell_live(self, subject: Subject[Any], message: Message) -> None:
        world = self.world
        for watcher in self.watchers.get(subject.pattern, ()):
            if self.away or world.fate("watched_lost"):
                continue
            at_s = watcher.last_s = max(watcher.last_s, world.now_s + world.hop_s())
            world.loop.call_at(at_s, self._watch, watcher, message, context=NOBODY)

    def _watch(self, watcher: Watcher, message: Message) -> None:
        if not watcher.life.ended and watcher in self.watchers.get(watcher.row.subject.pattern, ()):
            watcher.put(message)

    def forget(self, life: Life) -> None:
        """A life is over."""
        for watchers in self.watchers.values():
            watchers[:] = [one for one in watchers if one.life is not life]
        self.answerers = {name: one for name, one in self.answerers.items() if one.life is not life}


class Bus:
    """One life's way to the broker; `Bus` in the kit's words."""

    def __init__(self, broker: Broker, life: Life, struck: Callable[[Life], None]) -> None:
        self._broker = broker
        self._world = broker.world
        self._life = life
        self._struck = struck

    async def say(self, subject: Subject[Any], message: Message, *, id: str | None = None) -> None:
        one = Outgoing(id or "", subject.address(message), message.encode())
        if await self.store_all([one]):
            raise Unavailable(f"nobody knows whether {one.address} was stored")

    async def tell(self, subject: Subject[Any], message: Message) -> None:
        world, broker = self._world, self._broker
        if broker.away:
            raise Unavailable("the bus is away")
        address = subject.address(message)
        world.loop.call_later(world.hop_s(), broker.store, subject, address, message, "", context=NOBODY)

    async def store_all(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        """What was sent is stored whether or not its sender lives to hear of it."""
        world = self._world
        done: asyncio.Future[list[Outgoing]] = world.loop.create_future()
        world.loop.call_later(world.hop_s(), self._arrived, list(outgoing), done, context=NOBODY)
        return await done

    def _arrived(self, outgoing: list[Outgoing], done: asyncio.Future[list[Outgoing]]) -> None:
        world, broker = self._world, self._broker
        left: list[Outgoing] = []
        for one in outgoing:
            lost = broker.away or world.fate("publish_unknown")
            if not broker.away and (not lost or world.rng.random() < 0.5):
                broker.store(subject_of(one.address), one.address, one.payload, one.id)
            if lost:
                left.append(one)
        if not self._life.ended and world.fate("crash_at_publish"):
            self._struck(self._life)
        world.loop.call_later(world.hop_s(), _tell, done, left, context=NOBODY)

    async def ask(self, question: Question[Any], message: Message, *, timeout_s: float) -> Any:
        world, broker = self._world, self._broker
        answer: asyncio.Future[Any] = world.loop.create_future()
        late = Unavailable(f"no answer on {question.pattern} within {timeout_s} s")
        timer = world.loop.call_later(timeout_s, _fail, answer, late)

        def answered(words: Any, error: Exception | None) -> None:
            if (life := LIFE.get()) is not None and world.fate("crash_at_answer"):
                world.loop.call_soon(self._struck, life, context=NOBODY)
            if broker.away or world.fate("question_lost"):
                return
            world.note("answer", question.pattern, self._life, words if error is None else repr(error))
            after_s = world.rng.uniform(0.0, timeout_s) if world.fate("question_slow") else world.hop_s()
            world.loop.call_later(after_s, _tell if error is None else _fail, answer, error or words, context=NOBODY)

        def arrived() -> None:
            asked = broker.answerers.get(question.pattern)
            if broker.away or asked is None or world.fate("question_lost"):
                return
            world.note("ask", question.pattern, asked.life)
            asked.work(lambda: asked.handler(message), answered)

        world.loop.call_later(world.hop_s(), arrived, context=NOBODY)
        try:
            return await answer
        finally:
            timer.cancel()

    async def lag(self, stream: Stream) -> int:
        await self._world.loop.sleep(self._world.hop_s())
        if self._broker.away:
            raise Unavailable("the bus is away")
        of_stream = [one for one in self._broker.consumers.values() if one.subject.stream is stream]
        return max((len(one.unfinished) for one in of_stream), default=0)

    async def park(self, heard: Heard[Any], error: Exception) -> None:
        self._broker.parked.append(f"{self._life} {heard.address}: {error!r}")

    async def close(self) -> None:
        return None


def _tell(done: asyncio.Future[Any], words: Any) -> None:
    if not done.done():
        done.set_result(words)


def _fail(done: asyncio.Future[Any], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)


class Ears:
    """The rows of one life, heard."""

    def __init__(self, broker: Broker, life: Life, context: Any, gate: Callable[[], Awaitable[None]]) -> None:
        self._broker = broker
        self._world = broker.world
        self._life = life
        self._context = context
        self._gate = gate
        self._consumers: list[Consumer] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._lanes: list[Lanes[Any]] = []

    def open(self, row: Any) -> None:
        """Begin to hear one row."""
        match row:
            case On():
                self._open_lanes(row)
            case Watch():
                self._open_watch(row)
            case Answer():
                self._broker.answerers[row.question.pattern] = Asked(self._life, row.handler, self.work)
            case _:
                raise AssertionError(f"the simulation does not know {type(row).__name__} rows")

    def close(self) -> None:
        for consumer in self._consumers:
            consumer.close()
        self._broker.forget(self._life)
        self._consumers.clear()

    async def drained(self) -> None:
        """Hear no more; return once what is in hand is done."""
        self.close()
        for lanes in self._lanes:
            await lanes.drained()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _open_lanes(self, row: On) -> None:
        consumer = self._broker.consumer(self._life.name, row.subject)

        async def work(stored: Stored) -> None:
            try:
                await self._gate()
                await row.handler(stored.message)
            except Unavailable as error:
                self._world.note("handed-back", stored.address, self._life, error.detail)
                consumer.handed_back(stored)
                return
            except Refused as error:
                self._world.note("refused", stored.address, self._life, error.code)
            except Exception as error:
                self._broker.parked.append(f"{self._life} {stored.address}: {error!r}")
                self._world.note("parked", stored.address, self._life, repr(error))
            consumer.finished(stored)

        lanes = Lanes(work)
        self._lanes.append(lanes)

        def put(stored: Stored) -> None:
            key = str(getattr(stored.message, row.lane))
            self._context.run(lanes.put, key, stored)

        self._consumers.append(consumer)
        consumer.open(self._life, put)

    def _open_watch(self, row: Watch) -> None:
        async def work(message: Any) -> None:
            try:
                await row.handler(message)
            except (Refused, Unavailable) as error:
                self._world.note("watched-unhandled", row.subject.pattern, self._life, repr(error))
            except Exception as error:
                self._broken(row, error)

        lanes = Lanes(work)
        self._lanes.append(lanes)

        def put(message: Any) -> None:
            if iscoroutinefunction(row.handler):
                self._context.run(lanes.put, "", message)
            else:
                self._context.run(handle, message)

        def handle(message: Any) -> None:
            if self._life.still:
                return  # it would be heard later; a quote that is late is as good as lost
            try:
                row.handler(message)
            except (Refused, Unavailable):
                pass
            except Exception as error:
                self._broken(row, error)

        watchers = self._broker.watchers.setdefault(row.subject.pattern, [])
        watchers.append(Watcher(self._life, row, put))

    def _broken(self, row: Watch, error: Exception) -> None:
        self._broker.parked.append(f"{self._life} watching {row.subject.pattern}: {error!r}")

    def work(self, handle: Callable[[], Awaitable[Any]], done: Done) -> None:
        """Do something in this life, and tell what came of it; if the life ends, nobody is told."""

        async def doing() -> None:
            try:
                await self._gate()
                words, trouble = await handle(), None
            except (Refused, Unavailable) as error:
                words, trouble = None, error
            except Exception as error:
                self._broker.parked.append(f"{self._life} asked: {error!r}")
                words, trouble = None, Unavailable("internal error")
            done(words, trouble)

        self._context.run(self._start, doing)

    def _start(self, doing: Callable[[], Any]) -> None:
        task = self._world.loop.create_task(doing())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
