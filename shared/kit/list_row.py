"""List rows: durable or followed messages, many at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from shared.contract.errors import Unavailable
from shared.kit.consumers import Place, durable, followed, gather, stream_of
from shared.kit.ears import ACKNOWLEDGED, Ears, hand_back
from shared.kit.nats_wire import Incoming
from shared.kit.pull import Pull
from shared.kit.service import Batch, Follow, Heard

TRY_AGAIN_AFTER_S = 0.2
COME_AGAIN_AFTER_S = 0.5


class ListRow:
    """One row at work. What is followed does not come again, so it is held on to until it is done with."""

    def __init__(self, ears: Ears, row: Batch | Follow) -> None:
        self._ears = ears
        self._row = row
        self._follows = isinstance(row, Follow)
        self._window = row.count_max * 2
        self._waiting: asyncio.Queue[Incoming] = asyncio.Queue(self._window)
        self._place = Place()
        stream = stream_of(row.subjects).name
        arrived = self._waiting.put_nowait
        self.pull = Pull(ears.bus.line, stream, self._create, arrived, window=self._window, ordered=self._follows)
        self.task = asyncio.create_task(self._work())

    async def _create(self) -> str:
        row = self._row
        await self._ears.in_place()
        if isinstance(row, Batch):
            return await durable(self._ears.bus.line, self._ears.shard, row.subjects, self._window)
        self._place.last = max(self._place.last, row.after())
        return await followed(self._ears.bus.line, self._ears.shard, row.subjects, self._place)

    async def _work(self) -> None:
        wait_s = self._row.wait_s if isinstance(self._row, Batch) else 0.0
        while True:
            messages = await gather(self._waiting, self._row.count_max, wait_s)
            heard, unreadable = self._read(messages)
            done = await self._handle(heard) and await self._set_aside(unreadable)
            if not self._follows:
                words = ACKNOWLEDGED if done else hand_back(COME_AGAIN_AFTER_S)
                for message in messages:
                    self._ears.reply(message, words)
            for message in messages:
                self.pull.finished(message)

    def _read(self, messages: list[Incoming]) -> tuple[list[Heard[Any]], list[tuple[Incoming, ValueError]]]:
        heard: list[Heard[Any]] = []
        unreadable: list[tuple[Incoming, ValueError]] = []
        for message in messages:
            sequence = int(message.reply.split(".")[-4])
            if self._follows and not self._place.advance(sequence):
                continue
            subject = next(s for s in self._row.subjects if s.pattern.split(".")[0] == message.address.split(".")[0])
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
                await self._row.handler(heard)
                return True
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
        return await self._insist(lambda: self._ears.bus.park(one, error))

    async def _set_aside(self, unreadable: list[tuple[Incoming, ValueError]]) -> bool:
        def parking(message: Incoming, error: ValueError) -> Any:
            return lambda: self._ears.set_aside(message, error)

        return all([await self._insist(parking(message, error)) for message, error in unreadable])

    async def _insist(self, park: Any) -> bool:
        """True once it is set aside; a message that will come again need not be insisted on."""
        while True:
            try:
                await park()
                return True
            except Unavailable:
                if not self._follows:
                    return False
                await asyncio.sleep(TRY_AGAIN_AFTER_S)
