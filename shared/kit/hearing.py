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
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from structlog.typing import FilteringBoundLogger

from shared.contract.base import Message
from shared.contract.errors import Refused, Unavailable
from shared.contract.subjects import Subject
from shared.kit.bus import PROBLEM, REQUEST_ID, NatsBus
from shared.kit.clock import Clock
from shared.kit.consumers import Place, durable, ephemeral, gather, stream_of
from shared.kit.lanes import Lanes
from shared.kit.log import request_id
from shared.kit.meter import Meter
from shared.kit.pull import Pull
from shared.kit.service import Answer, Batch, Follow, Hear, Heard, On, Watch

WINDOW = 512
DELAY_MAX_S = 5.0

Gate = Callable[[], Awaitable[None]]
"""Raises Unavailable while the service may not handle anything."""


class Hearing:
    """All of one service's subscriptions."""

    def __init__(
        self, service: str, bus: NatsBus, gate: Gate, clock: Clock, meter: Meter, log: FilteringBoundLogger
    ) -> None:
        self._service = service
        self._bus = bus
        self._gate = gate
        self._clock = clock
        self._meter = meter
        self._log = log
        self._pulls: list[Pull] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._lanes: list[Lanes[tuple[Msg, Message]]] = []
        self._subscriptions: list[Any] = []
        bus.on_reconnect.append(self._reopen)

    async def open(self, row: Hear) -> None:
        """Begin to hear one row."""
        match row:
            case On():
                self._open_lanes(row)
            case Batch() | Follow():
                self._open_list(row)
            case Watch():
                await self._open_watch(row)
            case Answer():
                await self._open_answer(row)

    def trouble(self) -> str | None:
        """Why something is not being heard just now, or None."""
        closed = sum(not pull.is_open for pull in self._pulls)
        return f"{closed} of {len(self._pulls)} consumers are not open" if closed else None

    async def close(self) -> None:
        """Stop hearing; finish what is in hand."""
        for subscription in self._subscriptions:
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()
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
        async def work(item: tuple[Msg, Message]) -> None:
            message, words = item
            await self._settle(message, lambda: row.handler(words))
            pull.finished(message)

        lanes = Lanes(work)

        def arrived(message: Msg) -> None:
            words = self._read(row.subject, message)
            if words is None:
                pull.finished(message)
            else:
                lanes.put(str(getattr(words, row.lane)), (message, words))

        async def create() -> str:
            return await durable(self._bus.client, self._service, (row.subject,), WINDOW)

        pull = Pull(self._bus.client, stream_of((row.subject,)).name, create, arrived, window=WINDOW)
        self._pulls.append(pull)
        self._lanes.append(lanes)

    async def _settle(self, message: Msg, handle: Callable[[], Awaitable[Any]]) -> None:
        token = request_id.set((message.headers or {}).get(REQUEST_ID, ""))
        started_ns = self._clock.monotonic_ns()
        try:
            await self._gate()
            await handle()
        except Unavailable as error:
            await self._hand_back(message, error)
            return
        except Refused as error:
            self._log.info("refused", subject=message.subject, code=error.code, detail=error.detail)
            self._meter.count("messages_refused")
        except Exception as error:
            self._log.exception("handler_failed", subject=message.subject)
            try:
                await self._bus.park_raw(message.subject, message.data, error)
            except Unavailable as unavailable:
                await self._hand_back(message, unavailable)
                return
        finally:
            request_id.reset(token)
        elapsed_s = (self._clock.monotonic_ns() - started_ns) / 1e9
        self._meter.observe("handled_seconds", elapsed_s, subject=message.subject.split(".", maxsplit=1)[0])
        await self._reply(message.reply, b"+ACK")

    async def _hand_back(self, message: Msg, error: Unavailable) -> None:
        delivered = int(message.reply.split(".")[4])
        delay_s = min(DELAY_MAX_S, 0.05 * 2 ** min(delivered, 10))
        self._meter.count("messages_handed_back")
        self._log.warning("handed_back", subject=message.subject, delay_s=delay_s, detail=error.detail)
        await self._reply(message.reply, b"-NAK " + orjson.dumps({"delay": int(delay_s * 1e9)}))

    async def _reply(self, address: str, words: bytes) -> None:
        with contextlib.suppress(NatsError, OSError):  # a lost acknowledgement means hearing it again
            await self._bus.client.publish(address, words)

    # Durable rows that take many messages at a time.

    def _open_list(self, row: Batch | Follow) -> None:
        stream = stream_of(row.subjects)
        window = row.count_max * 2
        waiting: asyncio.Queue[Msg] = asyncio.Queue(window)
        place = Place()

        async def create() -> str:
            if isinstance(row, Batch):
                return await durable(self._bus.client, self._service, row.subjects, window)
            place.last = max(place.last, row.after())
            return await ephemeral(self._bus.client, row.subjects, place)

        ordered = isinstance(row, Follow)
        pull = Pull(self._bus.client, stream.name, create, waiting.put_nowait, window=window, ordered=ordered)
        self._pulls.append(pull)
        self._tasks.append(asyncio.create_task(self._work_list(row, pull, waiting, place)))

    async def _work_list(self, row: Batch | Follow, pull: Pull, waiting: asyncio.Queue[Msg], place: Place) -> None:
        while True:
            messages = await gather(waiting, row.count_max, row.wait_s if isinstance(row, Batch) else 0.0)
            heard = [self._heard(row, message) for message in messages]
            if isinstance(row, Follow):
                heard = place.advance(heard)
            done = await self._handle_list(row, [one for one in heard if one.message is not None])
            if isinstance(row, Batch):
                words = b"+ACK" if done else b"-NAK " + orjson.dumps({"delay": 500_000_000})
                for message in messages:
                    await self._reply(message.reply, words)
            for message in messages:
                pull.finished(message)

    async def _handle_list(self, row: Batch | Follow, heard: list[Heard[Any]]) -> bool:
        """True when the messages are done with. A followed stream waits here until its world is back."""
        while heard:
            try:
                await self._gate()
                await row.handler(heard)
                return True
            except Unavailable as error:
                self._meter.count("batches_handed_back")
                self._log.warning("handed_back", subjects=[s.pattern for s in row.subjects], detail=error.detail)
                if isinstance(row, Batch):
                    return False
                await asyncio.sleep(0.2)
            except Exception as error:
                self._log.exception("handler_failed", subjects=[s.pattern for s in row.subjects])
                if len(heard) == 1 or isinstance(row, Follow):
                    return await self._park_all(heard, error, insist=isinstance(row, Follow))
                return all([await self._handle_list(row, [one]) for one in heard])
        return True

    async def _park_all(self, heard: list[Heard[Any]], error: Exception, *, insist: bool) -> bool:
        """True once all are set aside; what is followed does not come again, so it is insisted on."""
        for one in heard:
            while True:
                try:
                    await self._bus.park(one, error)
                    break
                except Unavailable:
                    if not insist:
                        return False
                    await asyncio.sleep(0.2)
        return True

    def _heard(self, row: Batch | Follow, message: Msg) -> Heard[Any]:
        subject = next(s for s in row.subjects if s.pattern.split(".")[0] == message.subject.split(".")[0])
        sequence = int(message.reply.split(".")[-4])
        return Heard(subject, self._read(subject, message), sequence, message.subject)  # type: ignore[arg-type]

    # Live rows.

    async def _open_watch(self, row: Watch) -> None:
        async def receive(message: Msg) -> None:
            words = self._read(row.subject, message, acknowledge=False)
            if words is None:
                return
            try:
                outcome = row.handler(words)
                if inspect.isawaitable(outcome):
                    await outcome
            except (Refused, Unavailable) as error:
                self._meter.count("watched_unhandled", subject=row.subject.pattern)
                self._log.warning("watched_unhandled", subject=message.subject, detail=str(error))
            except Exception:
                self._meter.count("watched_failed", subject=row.subject.pattern)
                self._log.exception("handler_failed", subject=message.subject)

        self._subscriptions.append(await self._bus.client.subscribe(row.subject.wildcard, cb=receive))

    async def _open_answer(self, row: Answer) -> None:
        async def work(message: Msg) -> None:
            token = request_id.set((message.headers or {}).get(REQUEST_ID, ""))
            headers: dict[str, str] | None = None
            try:
                words = row.question.message.decode(message.data)
                await self._gate()
                payload = (await row.handler(words)).encode()
            except Exception as error:
                headers, payload = self._problem(message, error)
            finally:
                request_id.reset(token)
            with contextlib.suppress(NatsError, OSError):
                await self._bus.client.publish(message.reply, payload, headers=headers)

        tasks: set[asyncio.Task[None]] = set()

        async def receive(message: Msg) -> None:
            if len(tasks) >= WINDOW:
                self._meter.count("questions_shed")
                headers, payload = self._problem(message, Unavailable("too many questions at once"))
                await self._bus.client.publish(message.reply, payload, headers=headers)
                return
            task = asyncio.create_task(work(message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        self._subscriptions.append(
            await self._bus.client.subscribe(row.question.pattern, queue=self._service, cb=receive)
        )

    def _problem(self, message: Msg, error: Exception) -> tuple[dict[str, str], bytes]:
        if isinstance(error, ValueError):
            error = Refused("BAD_MESSAGE", str(error)[:500])
        if isinstance(error, Refused):
            words = {"code": error.code, "detail": error.detail, "status": error.status, "field": error.field}
            return {PROBLEM: "refused"}, orjson.dumps(words)
        if isinstance(error, Unavailable):
            return {PROBLEM: "unavailable"}, orjson.dumps({"detail": error.detail})
        self._meter.count("questions_failed")
        self._log.error("handler_failed", subject=message.subject, exc_info=error)
        return {PROBLEM: "unavailable"}, orjson.dumps({"detail": "internal error"})

    # Shared by all rows.

    def _read(self, subject: Subject[Any], message: Msg, *, acknowledge: bool = True) -> Message | None:
        """The message's words, or None after parking what cannot be read."""
        try:
            return subject.decode(message.data, message.subject)
        except ValueError as error:
            task = asyncio.create_task(self._set_aside(message, error, acknowledge))
            self._tasks.append(task)
            task.add_done_callback(self._tasks.remove)
            return None

    async def _set_aside(self, message: Msg, error: ValueError, acknowledge: bool) -> None:
        if not acknowledge:
            self._meter.count("watched_unreadable", subject=message.subject.split(".", maxsplit=1)[0])
            return
        try:
            await self._bus.park_raw(message.subject, message.data, error)
        except Unavailable:
            return  # not acknowledged, so it comes again
        await self._reply(message.reply, b"+ACK")
