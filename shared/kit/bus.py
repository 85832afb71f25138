"""Bus: messages between services, over NATS.

Speaking only; how a service hears is in `hearing.py`. What is said on a subject with a stream is stored before `say`
returns. A time-out there means *unknown*: say it again with the same id and the stream keeps one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError
from structlog.typing import FilteringBoundLogger

from shared.contract.base import Message
from shared.contract.errors import Refused, Unavailable
from shared.contract.ops import Parked
from shared.contract.subjects import PARKED, STREAMS, Question, Stream, Subject
from shared.kit.clock import Clock
from shared.kit.log import request_id
from shared.kit.meter import Meter
from shared.kit.service import Heard

M = TypeVar("M", bound=Message)

REQUEST_ID = "X-Request-Id"
PROBLEM = "Trade2026-Problem"
ACK_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Words on their way into a stream; `request` is the request that led to them."""

    id: str
    address: str
    payload: bytes
    request: str = ""


class Bus(Protocol):
    """How a service speaks."""

    async def say(self, subject: Subject[M], message: M, *, id: str | None = None) -> None:
        """Say it; on a subject with a stream, return once the stream has it. Unavailable: unknown, say it again.

        Within the stream's window, the same `id` on the same address is kept once.
        """
        ...

    async def tell(self, subject: Subject[M], message: M) -> None:
        """Say it without waiting for anyone to have it."""
        ...

    async def ask(self, question: Question[Any], message: Message, *, timeout_s: float) -> Any:
        """The answer; Refused as the answerer raised it, Unavailable when none came in time."""
        ...

    async def lag(self, stream: Stream) -> int:
        """How many messages the slowest durable hearer of a stream has not finished."""
        ...

    async def park(self, heard: Heard[Any], error: Exception) -> None:
        """Set a message aside, counted, that cannot be read or handled; Unavailable when that could not be done."""
        ...


class NatsBus:
    """The bus over one NATS connection, which reconnects for ever and says so on /readyz."""

    def __init__(self, service: str, url: str, clock: Clock, meter: Meter, log: FilteringBoundLogger) -> None:
        self._service = service
        self._url = url
        self._clock = clock
        self._meter = meter
        self._log = log
        self._may_say: frozenset[str] | None = None
        self._inbox = ""
        self._number = 0
        self._unanswered: dict[str, asyncio.Future[Msg]] = {}
        self.client = Client()
        self.on_reconnect: list[Callable[[], None]] = []

    def permit(self, subjects: frozenset[str]) -> None:
        """From here on only these patterns may be said."""
        self._may_say = subjects

    async def connect(self) -> None:
        """Connect, and make the streams; waits for the server for as long as it takes."""
        # A client of this very process: one made before a fork would share its inboxes' names with its siblings.
        self.client = Client()
        while not self.client.is_connected:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await self.client.connect(
                    servers=[self._url],
                    name=self._service,
                    allow_reconnect=True,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.1,  # pyright: ignore[reportArgumentType] - seconds, used as a float
                    connect_timeout=1,
                    ping_interval=10,
                    max_outstanding_pings=3,
                    error_cb=self._failed,
                    reconnected_cb=self._reconnected,
                )
                break
            await asyncio.sleep(0.1)
        while not await self._streams_made():
            await asyncio.sleep(0.2)
        self._inbox = self.client.new_inbox()
        await self.client.subscribe(f"{self._inbox}.*", cb=self._answered)

    async def close(self) -> None:
        """Flush what was said and leave."""
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await asyncio.wait_for(self.client.drain(), 2)

    def trouble(self) -> str | None:
        """Why the bus cannot be used just now, or None."""
        return None if self.client.is_connected else "NATS is not connected"

    async def say(self, subject: Subject[M], message: M, *, id: str | None = None) -> None:
        self._check(subject)
        if subject.stream is None:
            await self._publish(subject.address(message), message.encode(), self._headers())
        else:
            await self.store(subject.address(message), message.encode(), id)

    async def tell(self, subject: Subject[M], message: M) -> None:
        self._check(subject)
        await self._publish(subject.address(message), message.encode(), None)

    async def store(self, address: str, payload: bytes, id: str | None) -> None:
        """Publish to a stream and wait until it has it."""
        [trouble] = await self._store_each([Outgoing(id or "", address, payload, request_id.get())])
        if trouble:
            raise Unavailable(f"nothing was stored on {address}: {trouble}")

    async def store_all(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        """Publish these to their streams in order; those that may not have arrived are returned."""
        troubles = await self._store_each(outgoing)
        return [one for one, trouble in zip(outgoing, troubles, strict=True) if trouble]

    async def _store_each(self, letters: Sequence[Outgoing]) -> list[str | None]:
        """For each letter None once its stream has it, else what went wrong. One wait for all of them."""
        if not self.client.is_connected:
            return ["NATS is not connected"] * len(letters)
        waiting: dict[str, asyncio.Future[Msg]] = {}
        try:
            for one in letters:
                number, future = self._expect_answer()
                waiting[number] = future
                reply = f"{self._inbox}.{number}"
                await self.client.publish(one.address, one.payload, reply=reply, headers=_headers_of(one))
            await asyncio.wait(waiting.values(), timeout=ACK_TIMEOUT_S)
        except (NatsError, OSError) as error:
            self._meter.count("publish_failed", kind=type(error).__name__)
        finally:
            for number in waiting:
                self._unanswered.pop(number, None)
        told = [_trouble_of(one) for one in waiting.values()]
        return told + ["NATS is away"] * (len(letters) - len(told))

    def _expect_answer(self) -> tuple[str, asyncio.Future[Msg]]:
        """A number under which an answer may come to the standing inbox, and the future that will hold it.

        The client library's request costs a timer and a random token a message, and its parsing of the subject.
        """
        self._number += 1
        number = str(self._number)
        self._unanswered[number] = future = asyncio.get_running_loop().create_future()
        return number, future

    async def _answered(self, message: Msg) -> None:
        future = self._unanswered.get(message.subject.rpartition(".")[2])
        if future is not None and not future.done():
            future.set_result(message)

    async def ask(self, question: Question[Any], message: Message, *, timeout_s: float) -> Any:
        self._check(question)
        answer = await self._request(question.pattern, message.encode(), self._headers(), timeout_s)
        if answer.headers and PROBLEM in answer.headers:
            problem = orjson.loads(answer.data)
            if answer.headers[PROBLEM] == "refused":
                raise Refused(problem["code"], problem["detail"], status=problem["status"], field=problem["field"])
            raise Unavailable(problem["detail"])
        return question.answer.decode(answer.data)

    async def lag(self, stream: Stream) -> int:
        try:
            consumers = await self.client.jetstream().consumers_info(stream.name)
        except (NatsError, APIError, TimeoutError) as error:
            raise Unavailable(f"NATS cannot say how far its hearers are: {error!r}") from error
        durable = [c for c in consumers if c.config.durable_name]
        return max(((c.num_pending or 0) + (c.num_ack_pending or 0) for c in durable), default=0)

    async def park(self, heard: Heard[Any], error: Exception) -> None:
        payload = heard.message.encode() if isinstance(heard.message, Message) else bytes(heard.message)
        await self.park_raw(heard.address, payload, error)

    async def park_raw(self, address: str, payload: bytes, error: Exception) -> None:
        """Set raw words aside on `ops.parked.<service>`. Unavailable: not done, so do not acknowledge them."""
        self._log.error("parked", subject=address, error=repr(error)[:500])
        parked = Parked(
            service=self._service,
            subject=address,
            error=f"{type(error).__name__}: {error}"[:2000],
            payload=payload[:65536].decode("utf-8", "backslashreplace"),
            at_ns=self._clock.now_ns(),
        )
        await self.store(PARKED.address(parked), parked.encode(), None)
        self._meter.count("parked", subject=address.split(".", maxsplit=1)[0])

    def _check(self, subject: Subject[Any] | Question[Any]) -> None:
        if self._may_say is not None and subject.pattern not in self._may_say:
            raise AssertionError(f"{self._service} says {subject.pattern}, which its tables do not list")

    def _headers(self) -> dict[str, str] | None:
        current = request_id.get()
        return {REQUEST_ID: current} if current else None

    async def _publish(self, address: str, payload: bytes, headers: dict[str, str] | None) -> None:
        try:
            await self.client.publish(address, payload, headers=headers)
        except (NatsError, OSError) as error:
            raise Unavailable(f"NATS is away: {error!r}") from error

    async def _request(self, address: str, payload: bytes, headers: dict[str, str] | None, timeout_s: float) -> Msg:
        if not self.client.is_connected:
            raise Unavailable("NATS is not connected")
        number, future = self._expect_answer()
        try:
            async with asyncio.timeout(timeout_s):
                await self.client.publish(address, payload, reply=f"{self._inbox}.{number}", headers=headers)
                answer = await future
        except (NatsError, OSError, TimeoutError) as error:
            raise Unavailable(f"no answer on {address}: {error!r}") from error
        finally:
            self._unanswered.pop(number, None)
        if not answer.data and answer.headers and answer.headers.get("Status") == "503":
            raise Unavailable(f"nobody answers {address}")
        return answer

    async def _failed(self, error: Exception) -> None:
        self._meter.count("bus_errors", kind=type(error).__name__)
        self._log.warning("bus_error", error=repr(error)[:300])

    async def _reconnected(self) -> None:
        self._meter.count("bus_reconnects")
        for call in self.on_reconnect:
            call()

    async def _streams_made(self) -> bool:
        try:
            for stream in STREAMS:
                await self._make(stream)
        except (NatsError, OSError, TimeoutError) as error:
            self._log.warning("streams_not_made", error=repr(error)[:300])
            return False
        return True

    async def _make(self, stream: Stream) -> None:
        context = self.client.jetstream()
        config = StreamConfig(
            name=stream.name,
            subjects=list(stream.subjects),
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            max_bytes=stream.bytes_max,
            max_age=stream.age_max_s,
            discard=DiscardPolicy(stream.discard),
            duplicate_window=min(120, stream.age_max_s),
        )
        try:
            await context.add_stream(config)
        except APIError as error:
            if error.err_code != 10058:  # a stream of that name with another configuration
                raise
            await context.update_stream(config)


def _trouble_of(acknowledged: asyncio.Future[Msg]) -> str | None:
    if not acknowledged.done():
        return "NATS did not acknowledge in time"
    words = acknowledged.result().data
    return orjson.loads(words).get("error", {}).get("description") if words else "no stream keeps this subject"


def _headers_of(one: Outgoing) -> dict[str, str] | None:
    headers = {REQUEST_ID: one.request} if one.request else {}
    if one.id:
        # A stream keeps many subjects but one set of ids, so the address is part of the id.
        headers["Nats-Msg-Id"] = f"{one.address}/{one.id}"
    return headers or None
