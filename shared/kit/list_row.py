"""List rows: durable or followed messages, many at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from typing import Any

from shared.contract.errors import Refused, Unavailable
from shared.kit.consumers import Place, consumer_name, durable, followed, stream_of
from shared.kit.ears import ACKNOWLEDGED, Ears, hand_back
from shared.kit.nats_wire import Incoming
from shared.kit.pull import Pull
from shared.kit.reach import Reach
from shared.kit.service import Batch, Follow, Heard, Unheard

TRY_AGAIN_AFTER_S = 0.2
COME_AGAIN_AFTER_S = 0.5
DONE_MAX = 4096
BYTES_MAX = 8 << 20
"""What a followed stream sends for one asking, at most: many single ticks, or some frames."""


class Waiting:
    """Messages that wait for their turn; the pull lets no more come than its window.

    `asyncio.Queue` takes 3 µs for each, which is a tenth of a single tick.
    """

    def __init__(self) -> None:
        self._messages: deque[Incoming] = deque()
        self._came = asyncio.Event()

    def add(self, message: Incoming) -> None:
        self._messages.append(message)
        self._came.set()

    async def some(self, count_max: int, wait_s: float) -> list[Incoming]:
        """The next message and those behind it, until there are so many or until this time has passed."""
        await self._came.wait()
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while len(self._messages) < count_max and (left := until - loop.time()) > 0:
            self._came.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), left)
        messages = [self._messages.popleft() for _ in range(min(count_max, len(self._messages)))]
        if self._messages:
            self._came.set()
        else:
            self._came.clear()
        return messages


class ListRow:
    """One row at work. What is followed does not come again, so it is held on to until it is done with."""

    def __init__(self, ears: Ears, row: Batch | Follow) -> None:
        self._ears = ears
        self._row = row
        self._follows = isinstance(row, Follow)
        self._subjects = {subject.pattern.partition(".")[0]: subject for subject in row.subjects}
        self._window = row.count_max * 2
        self._waiting = Waiting()
        self._place = Place()
        self._done: dict[int, None] = {}
        self._aside = Counter[str]()
        stream = stream_of(row.subjects)
        self.reach = Reach(consumer_name(ears.shard.name, row.subjects, row.into), stream, row, ears.meter)
        self.pull = Pull(
            ears.bus.line,
            stream.name,
            self._create,
            self._arrived,
            window=self._window,
            bytes_max=BYTES_MAX if self._follows else 0,
            ordered=self._follows,
        )
        self.task = asyncio.create_task(self._work())

    async def _create(self) -> str:
        row = self._row
        self._done.clear()  # the stream may be another, whose numbers begin anew
        await self._ears.in_place()
        if isinstance(row, Batch):
            name = await durable(self._ears.bus.line, self._ears.shard, row.subjects, self._window, row.into)
            await self.reach.begin_durable(self._ears.bus.line)
            return name
        self._place.last = max(self._place.last, row.after())
        name = await followed(self._ears.bus.line, self._ears.shard, row.subjects, self._place, row.into)
        self.reach.begin_followed(self._place.last)
        return name

    def _arrived(self, message: Incoming) -> None:
        self.reach.heard(message.sequence)
        self._waiting.add(message)

    async def _work(self) -> None:
        wait_s = self._row.wait_s if isinstance(self._row, Batch) else 0.0
        while True:
            messages = await self._waiting.some(self._row.count_max, wait_s)
            heard, unreadable = self._read(messages)
            self._aside.clear()
            done = await self._handle(heard) and await self._set_aside(unreadable)
            for why, count in self._aside.items() if done else ():
                self._ears.meter.count("messages_set_aside", count, hearer=self.reach.name, why=why)
            if not self._follows:
                words = ACKNOWLEDGED if done else hand_back(COME_AGAIN_AFTER_S)
                for message in messages:
                    self._ears.reply(message, words)
            if done and not self._follows:
                self._remember(messages)
            elif not done:
                self.reach.missed(message.sequence for message in messages)
            self.pull.finished(*messages)

    def _remember(self, messages: list[Incoming]) -> None:
        """These are done with: one that comes again, since its acknowledgement came late, is not handled again."""
        self._done.update(dict.fromkeys(message.sequence for message in messages))
        for old in list(self._done)[:-DONE_MAX]:
            del self._done[old]

    def _read(self, messages: list[Incoming]) -> tuple[list[Heard[Any]], list[tuple[Incoming, ValueError]]]:
        heard: list[Heard[Any]] = []
        unreadable: list[tuple[Incoming, ValueError]] = []
        seen: set[int] = set()
        for message in messages:
            sequence = message.sequence
            if self._follows and not self._place.advance(sequence):
                continue
            if sequence in self._done or sequence in seen:
                self._ears.meter.count("messages_heard_again")
                continue
            seen.add(sequence)
            subject = self._subjects[message.address.partition(".")[0]]
            words = self._ears.read(subject, message)
            if isinstance(words, ValueError):
                unreadable.append((message, words))
            else:
                heard.append(Heard(subject, words, sequence, message.address))
        return heard, unreadable

    async def _handle(self, heard: list[Heard[Any]]) -> bool:
        """True when the messages are done with. A followed stream waits here until its world is back."""
        while heard:
            try:
                await self._ears.gate()
                unheard: Unheard | None = await self._row.handler(heard)
                return all([await self._park(one, error) for one, error in unheard or ()])
            except Unavailable as error:
                self._ears.meter.count("batches_handed_back")
                subjects = [subject.pattern for subject in self._row.subjects]
                self._ears.log.warning("handed_back", subjects=subjects, detail=error.detail)
                if not self._follows:
                    return False
                await asyncio.sleep(TRY_AGAIN_AFTER_S)
            except Exception as error:
                self._ears.log.exception("handler_failed", subjects=[s.pattern for s in self._row.subjects])
                if len(heard) == 1 or self._follows:
                    return all([await self._park(one, error) for one in heard])
                return all([await self._handle([one]) for one in heard])
        return True

    async def _park(self, one: Heard[Any], error: Exception) -> bool:
        return await self._insist(lambda: self._ears.bus.park(one, error), error)

    async def _set_aside(self, unreadable: list[tuple[Incoming, ValueError]]) -> bool:
        def parking(message: Incoming, error: ValueError) -> Any:
            return lambda: self._ears.set_aside(message, error)

        return all([await self._insist(parking(message, error), error) for message, error in unreadable])

    async def _insist(self, park: Any, error: Exception) -> bool:
        """True once it is set aside; a message that will come again need not be insisted on."""
        why = error.code.lower() if isinstance(error, Refused) else "unreadable"
        while True:
            try:
                await park()
                self._aside[why] += 1  # counted once all of the list is done with, since else it comes again
                return True
            except Unavailable:
                if not self._follows:
                    return False
                await asyncio.sleep(TRY_AGAIN_AFTER_S)
