"""Sockets: WebSocket doors. A reader has what it can keep up with or is cut; nothing is kept for it for ever.

    refused before the first message   a problem document, as at any other door
    1000  the handler has nothing more to say        1011  an error on our side
    1012  the service is ending                      1013  too slow, or cut by the handler: connect again

Whoever does not answer a ping is gone within PING_EVERY_S + PONG_WITHIN_S.
"""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import uuid
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.websockets import WebSocket, WebSocketDisconnect
from structlog.typing import FilteringBoundLogger
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from shared.contract.errors import Refused, Unavailable
from shared.kit.copies import Copies
from shared.kit.log import request_id
from shared.kit.meter import Meter
from shared.kit.service import Route
from shared.kit.web import problem, to_json

PING_EVERY_S = 10.0
PONG_WITHIN_S = 10.0
CLOSE_WITHIN_S = 2.0
BEHIND_MAX = 1000
SOCKETS_MAX = 100
HEARD_BYTES_MAX = 4096
REASON_BYTES_MAX = 123  # RFC 6455 §5.5

DONE, BUG, COME_AGAIN = 1000, 1011, 1013


class Stream:
    """The queue between a handler and its reader: the `SocketStream` that handlers see."""

    def __init__(self, behind_max: int = BEHIND_MAX) -> None:
        self._behind_max = behind_max
        self._waiting: deque[Any] = deque()
        self._stirred = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._cut = asyncio.Event()
        self.end: tuple[int, str] | None = None

    def put(self, message: Any) -> None:
        if self.end is not None:
            return
        self._waiting.append(message)
        self._stirred.set()
        if len(self._waiting) > self._behind_max:
            self.cut(f"more than {self._behind_max} messages behind; connect again for a fresh start")
        elif 2 * len(self._waiting) > self._behind_max:
            self._room.clear()

    async def send(self, message: Any) -> None:
        self.put(message)
        await self._room.wait()

    def cut(self, reason: str) -> None:
        self.finish(COME_AGAIN, reason)
        self._waiting.clear()
        self._room.set()
        self._cut.set()

    def finish(self, code: int, reason: str = "") -> None:
        """Nothing more will be put; what waits is still sent."""
        if self.end is None:
            self.end = (code, reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore"))
        self._stirred.set()

    async def closed(self) -> None:
        await self._cut.wait()

    @property
    def waits(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._waiting)

    async def stirred(self) -> None:
        """Wait until there is something to send, or nothing ever will be."""
        await self._stirred.wait()

    async def pump(self, say: Callable[[Any], Awaitable[None]]) -> None:
        """Send what waits until the end."""
        while self.end is None or self._waiting:
            while self._waiting:
                message = self._waiting.popleft()
                if 2 * len(self._waiting) <= self._behind_max:
                    self._room.set()
                await say(message)
            self._stirred.clear()
            if self.end is None:
                await self._stirred.wait()


class Wording:
    """Messages as JSON text. One that goes to many readers is put into words once."""

    def __init__(self) -> None:
        self._recent: OrderedDict[int, tuple[Any, str]] = OrderedDict()

    def __call__(self, message: Any) -> str:
        known = self._recent.get(id(message))
        if known is None:
            # Held together with the message: an id is no one else's for as long as its object lives.
            known = self._recent[id(message)] = (message, to_json(message).decode().rstrip())
            if len(self._recent) > 128:
                self._recent.popitem(last=False)
        return known[1]


class Sockets:
    """The sockets of one service."""

    def __init__(
        self,
        guard: Callable[[], Awaitable[None]],
        meter: Meter,
        log: FilteringBoundLogger,
        origins: Collection[str],
        copies: Copies | None = None,
    ) -> None:
        self._copies = copies
        self._guard = guard
        self._origins = origins
        self._meter = meter
        self._log = log
        self._words = Wording()
        self._open = 0

    def open(self, app: Starlette, routes: Sequence[Route]) -> None:
        """Let readers in at these doors."""
        for route in routes:
            app.router.add_websocket_route(route.path, self._door(route))

    def _door(self, route: Route) -> Callable[[WebSocket], Coroutine[Any, Any, None]]:
        parameters = _parameters(route)

        async def door(socket: WebSocket) -> None:
            token = request_id.set(socket.headers.get("x-request-id", "")[:64] or uuid.uuid4().hex)
            self._counted(1)
            try:
                await self._admit(socket)
                given = _typed(parameters, socket)
                stream = Stream()
                await self._attend(socket, stream, asyncio.ensure_future(self._handled(route, socket, stream, given)))
            finally:
                self._counted(-1)
                request_id.reset(token)

        return door

    def _handled(
        self, route: Route, socket: WebSocket, stream: Stream, given: dict[str, Any]
    ) -> Coroutine[Any, Any, None]:
        """The handler's work, or that of the copy which owns what is read."""
        if self._copies is not None and route.owner is not None:
            owner = self._copies.elsewhere(socket, route.owner(given))
            if owner is not None:
                return self._copies.follow(socket.url.path, stream.put, owner)
        return route.handler(stream, **given)

    def _counted(self, change: int) -> None:
        self._open += change
        self._meter.gauge("sockets", self._open)

    async def _admit(self, socket: WebSocket) -> None:
        await self._guard()
        origin = socket.headers.get("origin")
        if not from_here(origin, socket.headers.get("host", "")) and str(origin).lower() not in self._origins:
            detail = "pages from elsewhere may not read here, save those that TRADE2026_ORIGINS lists"
            raise Refused("ORIGIN_REFUSED", detail, status=403, field="Origin")
        if self._open > SOCKETS_MAX:
            raise Unavailable(f"{SOCKETS_MAX} readers are connected already; come again later", retry_after_s=5)

    async def _attend(self, socket: WebSocket, stream: Stream, handling: asyncio.Future[None]) -> None:
        """Run the handler for as long as its reader is there; raises what it refuses before its first message."""
        handling.add_done_callback(lambda done: stream.finish(*self._ending(done)))
        try:
            await stream.stirred()
            if not stream.waits and handling.done() and (error := handling.exception()):
                await self._turn_away(socket, error)
                return
            await socket.accept()
            await self._carry(socket, stream)
        except WebSocketDisconnect:
            return
        finally:
            handling.cancel()
            await asyncio.gather(handling, return_exceptions=True)

    def _ending(self, handling: asyncio.Future[None]) -> tuple[int, str]:
        """How a connection ends whose handler has."""
        if handling.cancelled() or (error := handling.exception()) is None:
            return DONE, ""
        if isinstance(error, Refused | Unavailable):
            return COME_AGAIN, error.detail
        self._log.error("socket_failed", exc_info=error)
        return BUG, "an error on our side"

    async def _turn_away(self, socket: WebSocket, error: BaseException) -> None:
        if isinstance(error, Refused | Unavailable):
            raise error
        detail = f"an error on our side; find it in the log by {request_id.get()}"
        await socket.send_denial_response(problem(socket, 500, "INTERNAL", detail))

    async def _carry(self, socket: WebSocket, stream: Stream) -> None:
        pumping = asyncio.ensure_future(stream.pump(lambda message: socket.send_text(self._words(message))))
        listening = asyncio.ensure_future(_listen(socket))
        cut = asyncio.ensure_future(stream.closed())
        await asyncio.wait({pumping, listening, cut}, return_when=asyncio.FIRST_COMPLETED)
        gone = listening.done() or (pumping.done() and pumping.exception() is not None)
        for task in (pumping, listening, cut):
            task.cancel()
        outcomes = await asyncio.gather(pumping, listening, cut, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                raise outcome
        if not gone and stream.end is not None:
            self._meter.count("sockets_ended", code=str(stream.end[0]))
            await socket.close(*stream.end)


async def _listen(socket: WebSocket) -> None:
    """Return once the reader is gone. What it says means nothing here."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _parameters(route: Route) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(route.handler, include_extras=True)
    _stream, *names = inspect.signature(route.handler).parameters
    return {name: TypeAdapter(hints[name]) for name in names}


def _typed(parameters: dict[str, TypeAdapter[Any]], socket: WebSocket) -> dict[str, Any]:
    """The handler's arguments out of the path and the query. What the query does not name has its default."""
    asked = socket.query_params
    known = parameters.keys() - socket.path_params.keys()
    for name in asked.keys() - known:
        names = ", ".join(sorted(known)) or "none"
        raise Refused("INVALID", f"{name}: is not a parameter of this socket; known: {names}", field=name)
    given: dict[str, Any] = {}
    for name, words in [*socket.path_params.items(), *asked.items()]:
        try:
            given[name] = parameters[name].validate_python(words)
        except ValidationError as error:
            place = "query" if name in known else "path"
            faults = [{**fault, "loc": (place, name, *fault["loc"])} for fault in error.errors()]
            raise RequestValidationError(faults) from error
    return given


def from_here(origin: str | None, host: str) -> bool:
    """Whether a reader may be let in: no page of a browser, or a page of this machine or of this very host.

    A name with a dot could be pointed here by anyone who owns it, so being the same name proves nothing.
    """
    if origin is None:
        return True
    try:
        theirs, ours = urlsplit(origin).hostname or "", urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    address = _address(theirs)
    if theirs == "localhost" or (address is not None and address.is_loopback):
        return True
    return theirs != "" and theirs == ours and (address is not None or "." not in theirs)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, but a reader who has stopped reading cannot hold up its own end."""

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.close":
            self.writable.set()
            self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)
        await super().send(message)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)


def open_sockets(
    app: Starlette,
    routes: Sequence[Route],
    guard: Callable[[], Awaitable[None]],
    meter: Meter,
    log: FilteringBoundLogger,
    origins: Collection[str] = (),
    copies: Copies | None = None,
) -> dict[str, Any]:
    """Open these doors, to pages of these origins too; how uvicorn is to serve them."""
    if not routes:
        return {"ws": "none"}
    Sockets(guard, meter, log, origins, copies).open(app, routes)
    return {
        "ws": SocketProtocol,
        "ws_max_size": HEARD_BYTES_MAX,
        "ws_ping_interval": PING_EVERY_S,
        "ws_ping_timeout": PONG_WITHIN_S,
        "ws_per_message_deflate": False,
    }
