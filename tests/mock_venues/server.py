"""The doors every mock venue has, and what can go wrong at them.

A recording is played message by message: `play(n)`. First the venue's own book takes the message in, then whoever has
subscribed to its topic is sent it, unless a fault that was ordered strikes: so a fault never touches what the venue
itself knows. Faults of messages strike the next ones of a topic (`drop`, `double`, `swap`, `garble`, `alter`), those of
connections the ones that stand (`cut`, `stall`, `silence`), those of REST the next requests (`limit`, `fail`, `hold`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from services.gateway.feeds.live.dialect import Endpoints


class Tongue(Protocol):
    """One venue's protocol, and its own book of everything that was played."""

    stream_path: str
    """Appended to the address that the dialect is given for websockets."""

    rest_path: str
    """The same for REST."""

    def topic(self, message: bytes) -> str:
        """Who is sent a message: those subscribed to this. "" for nobody."""
        ...

    def keep(self, message: bytes) -> None:
        """Take a message into the venue's own book."""
        ...

    async def asked(self, words: str, client: Client) -> None:
        """A client has said something: change `client.topics`, and answer with `client.send`."""
        ...

    def rest(self, path: str, query: dict[str, str]) -> Any:
        """The answer to a GET as JSON; None when there is nothing at this path."""
        ...


@dataclass(eq=False)
class Client:
    """One websocket that stands."""

    socket: web.WebSocketResponse
    request: web.Request
    topics: set[str] = field(default_factory=set[str])
    stalled: bool = False
    silent: bool = False
    held: list[bytes] = field(default_factory=list[bytes])

    async def send(self, message: bytes) -> None:
        """Send it, or keep it while the connection is stalled; lose it while it is silent."""
        if self.stalled:
            self.held.append(message)
        elif not self.silent:
            with contextlib.suppress(ConnectionError):
                await self.socket.send_frame(message, WSMsgType.TEXT)


@dataclass
class Fault:
    kind: str
    topic: str
    alter: Callable[[bytes], bytes] | None = None


class MockVenue:
    """A venue that plays `recording`. Await `start`; `endpoints` say where it is, and stay if it starts again."""

    def __init__(self, tongue: Tongue, recording: Iterable[bytes] = ()) -> None:
        self.tongue = tongue
        self.recording = deque(recording)
        self.clients: list[Client] = []
        self.joined = 0
        self.words: list[str] = []
        self.requests: list[str] = []
        self.closed: list[int | None] = []
        self._faults: list[Fault] = []
        self._swapped: dict[str, bytes] = {}
        self._answers: deque[tuple[int, dict[str, str]]] = deque()
        self._let_through = asyncio.Event()
        self._let_through.set()
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> MockVenue:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def close(self) -> None:
        self._let_through.set()
        await self.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def endpoints(self) -> Endpoints:
        at = f"127.0.0.1:{self._port}"
        return Endpoints(f"ws://{at}{self.tongue.stream_path}", f"http://{at}{self.tongue.rest_path}")

    @property
    def topics(self) -> set[str]:
        """Everything that somebody has subscribed to just now."""
        return {topic for client in self.clients for topic in client.topics}

    # Playing.

    async def play(self, count: int | None = None) -> int:
        """Play so many messages, or all that are left, as fast as they are read; how many it were."""
        played = 0
        while self.recording and (count is None or played < count):
            await self.tell(self.recording.popleft())
            played += 1
        return played

    async def tell(self, message: bytes) -> None:
        """Play this message."""
        self.tongue.keep(message)
        topic = self.tongue.topic(message)
        for one in self._struck(topic, message):
            for client in list(self.clients):
                if topic in client.topics:
                    await client.send(one)

    def _struck(self, topic: str, message: bytes) -> Sequence[bytes]:
        """What becomes of a message on its way."""
        after = [held] if (held := self._swapped.pop(topic, None)) else []
        fault = next((one for one in self._faults if topic.startswith(one.topic)), None)
        if fault is None or not topic:
            return [message, *after]
        self._faults.remove(fault)
        match fault.kind:
            case "drop":
                return after
            case "double":
                return [message, message, *after]
            case "swap":
                self._swapped[topic] = message
                return after
            case "garble":
                return [b"{\xff[", b'{"data":7}', b"[]", b"", message[: len(message) // 2], message, *after]
            case "alter" if fault.alter is not None:
                return [fault.alter(message), *after]
            case other:
                raise ValueError(f"there is no fault {other}")

    # Faults.

    def order(self, kind: str, topic: str = "", count: int = 1, alter: Callable[[bytes], bytes] | None = None) -> None:
        """The next `count` messages whose topic begins so are dropped, doubled, swapped with the next, and so on."""
        self._faults += [Fault(kind, topic, alter) for _ in range(count)]

    async def cut(self) -> None:
        """Every connection is gone, without a word."""
        for client in self.clients:
            if client.request.transport is not None:
                client.request.transport.abort()
        while self.clients:
            await asyncio.sleep(0)

    async def hang_up(self) -> None:
        """Every connection is ended in order, as venues do once a day."""
        for client in list(self.clients):
            await client.socket.close(code=1001, message=b"bye")

    def stall(self) -> None:
        """Nothing more is sent for now, though pings are answered."""
        for client in self.clients:
            client.stalled = True

    async def resume(self) -> None:
        """What was held back is sent after all."""
        for client in self.clients:
            client.stalled = False
            held, client.held = client.held, []
            for message in held:
                await client.send(message)

    def silence(self) -> None:
        """The connections that stand are half open: nothing is sent, nothing heard, no ping is answered."""
        for client in self.clients:
            client.silent = True

    def limit(self, count: int = 1, status: int = 429, retry_after: str | None = "1") -> None:
        """The next requests are told to come back later."""
        self._answers += [(status, {"Retry-After": retry_after} if retry_after else {})] * count

    def fail(self, count: int = 1, status: int = 502) -> None:
        """The next requests fail."""
        self._answers += [(status, {})] * count

    def hold(self) -> None:
        """REST is not answered until `release`."""
        self._let_through.clear()

    def release(self) -> None:
        self._let_through.set()

    # Doors.

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        self.requests.append(request.path_qs)
        if self._answers:
            status, headers = self._answers.popleft()
            return web.json_response({"code": -1003, "msg": "not now"}, status=status, headers=headers)
        path = request.path.removeprefix(self.tongue.rest_path)
        answer = self.tongue.rest(path, dict(request.query))
        await self._let_through.wait()
        return web.json_response(answer, status=404 if answer is None else 200)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        # Pings are answered by hand, so that a half-open connection can be played.
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        client = Client(socket, request)
        self.clients.append(client)
        self.joined += 1
        try:
            async for message in socket:
                if client.silent:
                    continue
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self.words.append(message.data)
                    await self.tongue.asked(message.data, client)
        finally:
            self.clients.remove(client)
            self.closed.append(socket.close_code)
        return socket
