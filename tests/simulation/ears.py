"""Ears: the rows of one life, heard, over the kit's own lanes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from shared.contract.errors import Refused, Unavailable
from shared.kit.lanes import Lanes
from shared.kit.service import Answer, On, Watch
from tests.simulation.broker import Asked, Broker, Consumer, Done, Stored, Watcher
from tests.simulation.loop import Life


class Ears:
    """The rows of one life, heard."""

    def __init__(self, broker: Broker, life: Life, context: Context, gate: Callable[[], Awaitable[None]]) -> None:
        self._broker = broker
        self._world = broker.world
        self._life = life
        self._context = context
        self._gate = gate
        self._consumers: list[Consumer] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._lanes: list[Lanes[Any]] = []

    async def open(self, row: Any) -> None:
        """Begin to hear one row."""
        match row:
            case On():
                consumer = self._open_lanes(row)
                while row.first and consumer.unfinished:
                    await self._world.loop.sleep(0.02)
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

    def _open_lanes(self, row: On) -> Consumer:
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
        return consumer

    def _open_watch(self, row: Watch) -> None:
        lanes = Lanes(partial(self._watched, row))
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

    async def _watched(self, row: Watch, message: Any) -> None:
        try:
            if not row.always:
                await self._gate()
            await row.handler(message)
        except (Refused, Unavailable) as error:
            self._world.note("watched-unhandled", row.subject.pattern, self._life, repr(error))
        except Exception as error:
            self._broken(row, error)

    def _broken(self, row: Watch, error: Exception) -> None:
        self._broker.parked.append(f"{self._life} watching {row.subject.pattern}: {error!r}")

    def work(self, handle: Callable[[], Awaitable[Any]], done: Done, *, always: bool = False) -> None:
        """Do something in this life, and tell what came of it; if the life ends, nobody is told. `always`: also while
        nothing else is taken on."""

        async def doing() -> None:
            try:
                if not always:
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
