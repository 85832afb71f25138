"""Hearing: rows of `hears` become subscriptions, and the three failures become acknowledgements.

handler returned   ack
Refused            ack; the question is answered with the problem
Unavailable        handed back with a growing delay
anything else      parked, counted, ack
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect

import orjson
from structlog.typing import FilteringBoundLogger

from shared.contract.base import Message
from shared.contract.errors import Refused, Unavailable
from shared.kit.bus import PROBLEM, REQUEST_ID, NatsBus
from shared.kit.clock import Clock
from shared.kit.consumers import consumer_name, durable, stream_of
from shared.kit.ears import ACKNOWLEDGED, Ears, Gate, hand_back
from shared.kit.lanes import Lanes
from shared.kit.list_row import ListRow
from shared.kit.log import request_id
from shared.kit.meter import Meter
from shared.kit.nats_line import head_of
from shared.kit.nats_wire import Incoming
from shared.kit.pull import Pull
from shared.kit.reach import LOOKS_EVERY_S, Reach
from shared.kit.service import Answer, Batch, Follow, Hear, On, Watch
from shared.kit.shard import Shard
from shared.kit.streams import backlog
from shared.kit.watch_queue import WatchQueue

WINDOW = 512
DELAY_MAX_S = 5.0


class Hearing:
    """All of one service's subscriptions."""

    def __init__(
        self, shard: Shard, bus: NatsBus, gate: Gate, clock: Clock, meter: Meter, log: FilteringBoundLogger
    ) -> None:
        self._ears = Ears(shard, bus, gate, clock, meter, log)
        self._pulls: list[Pull] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._lanes: list[Lanes[tuple[Incoming, Message]]] = []
        self._reaches: list[Reach] = []
        self._subscriptions: list[bytes] = []
        self._awaited: str | None = None
        bus.on_reconnect.append(self._reopen)

    async def open(self, row: Hear) -> None:
        """Begin to hear one row."""
        match row:
            case On():
                self._open_lanes(row)
                if row.first:
                    await self._caught_up(row)
            case Batch() | Follow():
                opened = ListRow(self._ears, row)
                self._pulls.append(opened.pull)
                self._reaches.append(opened.reach)
                self._tasks.append(opened.task)
            case Watch():
                await self._open_watch(row)
            case Answer():
                await self._open_answer(row)

    def trouble(self) -> str | None:
        """Why something is not being heard just now, or None."""
        closed = [pull.why_closed for pull in self._pulls if not pull.is_open]
        why = next((f": {one}" for one in closed if one), "")
        if closed:
            return f"{len(closed)} of {len(self._pulls)} consumers are not open{why}"
        return self._awaited or next(filter(None, (reach.trouble() for reach in self._reaches)), None)

    def unread(self) -> str:
        """How many messages of its stream each list row has not read, in words."""
        return ", ".join(f"{reach.unread} unread by {reach.name}" for reach in self._reaches if reach.unread)

    async def look(self) -> None:
        """Keep track of how far each list row has come, for as long as this is heard."""
        while True:
            for reach in self._reaches:
                with contextlib.suppress(Unavailable):  # /readyz says so elsewhere
                    await reach.look(self._ears.bus.line, self._ears.clock)
            await asyncio.sleep(LOOKS_EVERY_S)

    async def close(self) -> None:
        """Stop hearing; finish what is in hand."""
        for subscription in self._subscriptions:
            self._ears.bus.line.unsubscribe(subscription)
        for pull in self._pulls:
            await pull.close()
        for lanes in self._lanes:
            await lanes.drained()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _reopen(self) -> None:
        for pull in self._pulls:
            pull.reopen()

    # A durable row, one message at a time per lane.

    def _open_lanes(self, row: On) -> None:
        async def work(item: tuple[Incoming, Message]) -> None:
            message, words = item
            await self._settle(row, message, words)
            pull.finished(message)

        lanes = Lanes(work)

        shard = self._ears.shard
        passes_over = row.owned and shard.count > 1

        def arrived(message: Incoming) -> None:
            words = self._ears.read(row.subject, message)
            if isinstance(words, ValueError):
                task = asyncio.create_task(self._set_aside(message, words))
                self._tasks.append(task)
                task.add_done_callback(self._tasks.remove)
                pull.finished(message)
            elif passes_over and not shard.owns(getattr(words, shard.by)):
                self._ears.reply(message, ACKNOWLEDGED)
                pull.finished(message)
            else:
                lanes.put(str(getattr(words, row.lane)), (message, words))

        async def create() -> str:
            await self._ears.in_place()
            return await durable(self._ears.bus.line, self._ears.shard, (row.subject,), WINDOW)

        pull = Pull(self._ears.bus.line, stream_of((row.subject,)).name, create, arrived, window=WINDOW)
        self._pulls.append(pull)
        self._lanes.append(lanes)

    async def _caught_up(self, row: On) -> None:
        """Return once nothing of a row waits any more."""
        name, stream = consumer_name(self._ears.shard.name, (row.subject,)), stream_of((row.subject,))
        while True:
            try:
                left = await backlog(self._ears.bus.line, stream, name)
                self._awaited = f"{row.subject.pattern} is heard before anything else: {left} are left"
            except Unavailable as error:
                left = None
                self._awaited = f"whether all of {row.subject.pattern} was heard is unknown: {error.detail}"
            if left == 0:
                self._awaited = None
                return
            await asyncio.sleep(0.02)

    async def _settle(self, row: On, message: Incoming, words: Message) -> None:
        token = request_id.set(message.header(REQUEST_ID))
        started_ns = self._ears.clock.monotonic_ns()
        try:
            await self._ears.gate()
            await row.handler(words)
        except Unavailable as error:
            await self._hand_back(message, error)
            return
        except Refused as error:
            self._ears.log.info("refused", subject=message.address, code=error.code, detail=error.detail)
            self._ears.meter.count("messages_refused")
        except Exception as error:
            self._ears.log.exception("handler_failed", subject=message.address)
            try:
                await self._ears.bus.park_raw(message.address, message.data, error)
            except Unavailable as unavailable:
                await self._hand_back(message, unavailable)
                return
        finally:
            request_id.reset(token)
        elapsed_s = (self._ears.clock.monotonic_ns() - started_ns) / 1e9
        self._ears.meter.observe("handled_seconds", elapsed_s, subject=message.address.split(".", maxsplit=1)[0])
        self._ears.reply(message, ACKNOWLEDGED)

    async def _hand_back(self, message: Incoming, error: Unavailable) -> None:
        delivered = int(message.reply.split(".")[4])
        delay_s = min(DELAY_MAX_S, 0.05 * 2 ** min(delivered, 10))
        self._ears.meter.count("messages_handed_back")
        self._ears.log.warning("handed_back", subject=message.address, delay_s=delay_s, detail=error.detail)
        self._ears.reply(message, hand_back(delay_s))

    # Live rows.

    async def _open_watch(self, row: Watch) -> None:
        async def hear(message: Incoming) -> None:
            words = self._ears.read(row.subject, message)
            if isinstance(words, ValueError):
                self._ears.meter.count("watched_unreadable", subject=message.address.split(".", maxsplit=1)[0])
                return
            if not row.always and not await self._is_well():
                self._ears.meter.count("watched_missed", subject=row.subject.pattern)
                return
            try:
                outcome = row.handler(words)
                if inspect.isawaitable(outcome):
                    await outcome
            except (Refused, Unavailable) as error:
                self._ears.meter.count("watched_unhandled", subject=row.subject.pattern)
                self._ears.log.warning("watched_unhandled", subject=message.address, detail=str(error))
            except Exception:
                self._ears.meter.count("watched_failed", subject=row.subject.pattern)
                self._ears.log.exception("handler_failed", subject=message.address)

        queue = WatchQueue(hear)

        def arrived(message: Incoming) -> None:
            if not queue.put(message):
                self._ears.meter.count("watched_dropped", subject=row.subject.pattern)

        self._tasks.append(queue.task)
        self._subscriptions.append(self._ears.bus.line.subscribe(row.subject.wildcard, arrived))

    async def _is_well(self) -> bool:
        try:
            await self._ears.gate()
        except Unavailable:
            return False
        return True

    async def _open_answer(self, row: Answer) -> None:
        async def work(message: Incoming) -> None:
            token = request_id.set(message.header(REQUEST_ID))
            head = b""
            try:
                words = row.question.message.decode(message.data)
                await self._ears.gate()
                payload = (await row.handler(words)).encode()
            except Exception as error:
                head, payload = self._problem(message, error)
            finally:
                request_id.reset(token)
            self._answer(message, head, payload)

        tasks: set[asyncio.Task[None]] = set()

        def arrived(message: Incoming) -> None:
            if len(tasks) >= WINDOW:
                self._ears.meter.count("questions_shed")
                self._answer(message, *self._problem(message, Unavailable("too many questions at once")))
                return
            task = asyncio.create_task(work(message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        self._subscriptions.append(
            self._ears.bus.line.subscribe(row.question.pattern, arrived, queue=self._ears.shard.service)
        )

    def _answer(self, message: Incoming, head: bytes, payload: bytes) -> None:
        if message.reply:
            with contextlib.suppress(Unavailable):  # whoever asked will find that no answer came
                self._ears.bus.line.publish(message.reply, payload, head=head)

    def _problem(self, message: Incoming, error: Exception) -> tuple[bytes, bytes]:
        if isinstance(error, ValueError):
            error = Refused("BAD_MESSAGE", str(error)[:500])
        if isinstance(error, Refused):
            words = {"code": error.code, "detail": error.detail, "status": error.status, "field": error.field}
            return head_of({PROBLEM: "refused"}), orjson.dumps(words)
        if isinstance(error, Unavailable):
            return head_of({PROBLEM: "unavailable"}), orjson.dumps({"detail": error.detail})
        self._ears.meter.count("questions_failed")
        self._ears.log.error("handler_failed", subject=message.address, exc_info=error)
        return head_of({PROBLEM: "unavailable"}), orjson.dumps({"detail": "internal error"})

    async def _set_aside(self, message: Incoming, error: ValueError) -> None:
        try:
            await self._ears.set_aside(message, error)
        except Unavailable:
            return  # not acknowledged, so it comes again
        self._ears.reply(message, ACKNOWLEDGED)
