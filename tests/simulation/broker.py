"""The broker: streams that keep messages, the hearers they are delivered to, live hearers, questions.

A durable hearer gets each message at least once: first in order, and again when its acknowledgement was lost, when it
was handed back, or when its hearer died with the message in hand. What is only watched may be lost.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from shared.contract import subjects
from shared.contract.base import Message
from shared.contract.subjects import Subject
from shared.kit.consumers import ACK_WAIT_S
from shared.kit.hearing import DELAY_MAX_S
from shared.kit.service import Watch
from tests.simulation.loop import Life
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
