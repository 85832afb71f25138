"""Bus: messages between services, over NATS.

Speaking only; how a service hears is in `hearing.py`. What is said on a subject with a stream is stored before `say`
returns. A time-out there means *unknown*: say it again with the same id and the stream keeps one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import orjson
from structlog.typing import FilteringBoundLogger

from shared.contract.base import Message
from shared.contract.errors import Refused, Unavailable
from shared.contract.ops import Parked
from shared.contract.subjects import PARKED, STREAMS, Question, Stream, Subject
from shared.kit.clock import Clock
from shared.kit.log import request_id
from shared.kit.meter import Meter
from shared.kit.nats_line import Line, Words, head_of
from shared.kit.nats_wire import Incoming
from shared.kit.service import Heard
from shared.kit.streams import make_stream, unfinished

M = TypeVar("M", bound=Message)

REQUEST_ID = "X-Request-Id"
PROBLEM = "Trade2026-Problem"
ACK_TIMEOUT_S = 2.0
EVERY_STREAM = dict.fromkeys(STREAMS, True)


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

    async def say_all(self, subject: Subject[M], messages: Sequence[tuple[str, M]]) -> None:
        """Say these, each under its id, on a subject with a stream, and wait once, until it has all of them."""
        ...

    async def tell(self, subject: Subject[M], message: M) -> None:
        """Say it without waiting for anyone to have it."""
        ...

    async def ask(self, question: Question[Any], message: Message, *, timeout_s: float) -> Any:
        """The answer; Refused as the answerer raised it, Unavailable when none came in time."""
        ...

    async def heard_up(self) -> None:
        """Return once all that was said before is on its way to a handler of ours; Unavailable when nobody knows."""
        ...

    async def lag(self, stream: Stream) -> int:
        """How many messages the slowest durable hearer of a stream has not finished."""
        ...

    async def park(self, heard: Heard[Any], error: Exception) -> None:
        """Set a message aside, counted, that cannot be read or handled; Unavailable when that could not be done."""
        ...


class NatsBus:
    """The bus over one line to NATS, which reconnects for ever and says so on /readyz."""

    def __init__(
        self, service: str, url: str, clock: Clock, meter: Meter, log: FilteringBoundLogger, password: str = ""
    ) -> None:
        self._service = service
        self._clock = clock
        self._meter = meter
        self._log = log
        self._may_say: frozenset[str] | None = None
        self.line = Line(
            service, url, password, failed=self._failed, reconnected=self._reconnected, refused=self._refused
        )
        self.on_reconnect: list[Callable[[], None]] = []

    def permit(self, subjects: frozenset[str]) -> None:
        """From here on only these patterns may be said."""
        self._may_say = subjects

    async def connect(self, streams: Mapping[Stream, bool] = EVERY_STREAM) -> None:
        """Connect, and make the streams; waits for the server for as long as it takes.

        Those of which it is so are made what they are to be: they keep what we say.
        """
        await self.line.connect()
        told = ""
        while trouble := await self._not_made(streams):
            if trouble != told:
                told = trouble
                self._log.warning("streams_not_made", error=trouble[:300])
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        """Flush what was said and leave."""
        await self.line.close()

    def trouble(self) -> str | None:
        """Why the bus cannot be used just now, or None."""
        return self.line.refusal or (None if self.line.is_connected else "NATS is not connected")

    async def say(self, subject: Subject[M], message: M, *, id: str | None = None) -> None:
        self._check(subject)
        if subject.stream is None:
            self._publish(subject.address(message), message.encode(), request_id.get())
        else:
            await self.store(subject.address(message), message.encode(), id)

    async def say_all(self, subject: Subject[M], messages: Sequence[tuple[str, M]]) -> None:
        self._check(subject)
        request = request_id.get()
        outgoing = [Outgoing(id, subject.address(one), one.encode(), request) for id, one in messages]
        if left := await self.store_all(outgoing):
            raise Unavailable(f"{len(left)} of {len(outgoing)} messages on {subject.pattern} were not stored")

    async def tell(self, subject: Subject[M], message: M) -> None:
        self._check(subject)
        self._publish(subject.address(message), message.encode(), "")

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
        words = [_words_of(one) for one in letters]
        troubles = [self.line.unsendable(*one) for one in words]
        sendable = [one for one, trouble in zip(words, troubles, strict=True) if not trouble]
        try:
            answers = await self.line.ask(sendable, ACK_TIMEOUT_S)
        except Unavailable as error:
            self._meter.count("publish_failed")
            return [error.detail] * len(letters)
        told = iter(answers)
        return [trouble or _trouble_of(next(told)) for trouble in troubles]

    async def ask(self, question: Question[Any], message: Message, *, timeout_s: float) -> Any:
        self._check(question)
        head = head_of({REQUEST_ID: request_id.get()})
        [answer] = await self.line.ask([(question.pattern, message.encode(), head)], timeout_s)
        if answer is None:
            raise Unavailable(f"no answer on {question.pattern}")
        if answer.head:
            _raise_problem(question.pattern, answer)
        return question.answer.decode(answer.data)

    async def heard_up(self) -> None:
        await self.line.flush()  # what the server had for us before it answers, it sends before it answers

    async def lag(self, stream: Stream) -> int:
        return max(await unfinished(self.line, stream), default=0)

    async def park(self, heard: Heard[Any], error: Exception) -> None:
        payload = heard.message.encode() if isinstance(heard.message, Message) else bytes(heard.message)
        await self.park_raw(heard.address, payload, error, heard.sequence)

    async def park_raw(self, address: str, payload: bytes, error: Exception, sequence: int = 0) -> None:
        """Set raw words aside on `ops.parked.<service>`. Unavailable: not done, so do not acknowledge them.

        By its sequence in its stream, a message that is heard twice is kept there once, if that is within two minutes.
        """
        self._log.error("parked", subject=address, error=repr(error)[:500])
        parked = Parked(
            service=self._service,
            subject=address,
            error=f"{type(error).__name__}: {error}"[:2000],
            payload=payload[:65536].decode("utf-8", "backslashreplace"),
            at_ns=self._clock.now_ns(),
        )
        await self.store(PARKED.address(parked), parked.encode(), f"{address}/{sequence}" if sequence else None)
        self._meter.count("parked", subject=address.split(".", maxsplit=1)[0])

    def _check(self, subject: Subject[Any] | Question[Any]) -> None:
        if self._may_say is not None and subject.pattern not in self._may_say:
            raise AssertionError(f"{self._service} says {subject.pattern}, which its tables do not list")

    def _publish(self, address: str, payload: bytes, request: str) -> None:
        head = head_of({REQUEST_ID: request})
        if trouble := self.line.unsendable(address, payload, head):
            raise Unavailable(trouble)
        self.line.publish(address, payload, head=head)

    def _failed(self, what: str) -> None:
        self._meter.count("bus_errors")
        self._log.warning("bus_error", error=what[:300])

    def _refused(self) -> None:
        self._meter.count("bus_refused")

    def _reconnected(self) -> None:
        self._meter.count("bus_reconnects")
        for call in self.on_reconnect:
            call()

    async def _not_made(self, streams: Mapping[Stream, bool]) -> str | None:
        """Why not all of the streams are there, or None."""
        try:
            for stream, is_said in streams.items():
                await make_stream(self.line, stream, ours=is_said)
        except Unavailable as error:
            return error.detail
        return None


def _words_of(one: Outgoing) -> Words:
    # A stream keeps many subjects but one set of ids, so the address is part of the id.
    known = f"{one.address}/{one.id}" if one.id else ""
    return one.address, one.payload, head_of({REQUEST_ID: one.request, "Nats-Msg-Id": known})


def _trouble_of(acknowledged: Incoming | None) -> str | None:
    if acknowledged is None:
        return "NATS did not acknowledge it"
    words = acknowledged.data
    if b'"error"' in words:
        return orjson.loads(words)["error"]["description"]
    return None if words else acknowledged.refusal or "no stream keeps this subject"


def _raise_problem(pattern: str, answer: Incoming) -> None:
    kind = answer.header(PROBLEM)
    if kind:
        problem = orjson.loads(answer.data)
        if kind == "refused":
            raise Refused(problem["code"], problem["detail"], status=problem["status"], field=problem["field"])
        raise Unavailable(problem["detail"])
    if answer.refusal:
        raise Unavailable(answer.refusal)
    if answer.status == "503":
        raise Unavailable(f"nobody answers {pattern}")
