"""The bus: one life's way to the broker. What was sent arrives whether or not its sender lives to hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from shared.contract.base import Message
from shared.contract.errors import Unavailable
from shared.contract.subjects import Question, Stream, Subject
from shared.kit.bus import Outgoing
from shared.kit.service import Heard
from tests.simulation.broker import Broker, subject_of
from tests.simulation.loop import LIFE, Life
from tests.simulation.store import NOBODY


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
            slow = world.fate("question_slow")
            if (life := LIFE.get()) is not None and world.fate("crash_at_answer"):
                world.loop.call_soon(self._struck, life, context=NOBODY)
                slow = slow or world.rng.random() < 0.5  # so that the answer may outlive a whole new beginning
            if broker.away or world.fate("question_lost"):
                return
            world.note("answer", question.pattern, self._life, words if error is None else repr(error))
            after_s = world.rng.uniform(0.0, timeout_s) if slow else world.hop_s()
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

    async def heard_up(self) -> None:
        await self._world.loop.sleep(2 * self._world.hop_s())
        if self._broker.away:
            raise Unavailable("the bus is away")

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
