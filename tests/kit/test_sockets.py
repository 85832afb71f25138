"""The sockets, over real connections: readers are let in, kept up with, or cut; never buffered for ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
import structlog
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shared.contract.base import Account
from shared.contract.errors import NotFound, Unavailable
from shared.kit import sockets
from shared.kit.clock import SystemClock
from shared.kit.meter import Meter
from shared.kit.service import SocketStream, websocket
from shared.kit.sockets import Stream, from_here, open_sockets
from shared.kit.web import Doors, open_app
from tests.servers import free_port

WAIT_S = 10


class House:
    """A service with sockets, and what its handlers saw."""

    def __init__(self, origins: frozenset[str] = frozenset()) -> None:
        self.trouble: str | None = None
        self.streams: list[SocketStream] = []
        self.left = asyncio.Event()
        self.meter = Meter("test")
        self.port = free_port()
        rows = [
            websocket("/ws/feed/{account}", self.feed),
            websocket("/ws/count/{n}", self.count),
            websocket("/ws/echo/{name}", self.echo),
            websocket("/ws/broken/{when}", self.broken),
            websocket("/ws/flood", self.flood),
        ]
        app = open_app("test", "1", [], self.guard)
        log = structlog.get_logger()
        options = open_sockets(app, rows, self.guard, self.meter, log, origins)
        doors = Doors(app, SystemClock(), self.meter, log)
        self.server = uvicorn.Server(
            uvicorn.Config(
                doors, port=self.port, log_config=None, lifespan="off", timeout_graceful_shutdown=5, **options
            )
        )

    async def guard(self) -> None:
        if self.trouble:
            raise Unavailable(self.trouble)

    async def feed(self, stream: SocketStream, account: Account) -> None:
        if account == "nobody":
            raise NotFound("there is no account nobody", field="account")
        self.streams.append(stream)
        stream.put({"account": account})
        try:
            await stream.closed()
        finally:
            self.left.set()

    async def count(self, stream: SocketStream, n: int) -> None:
        for one in range(n):
            await stream.send({"n": one, "at_ns": 1_700_000_000_000_000_000})

    async def echo(self, stream: SocketStream, name: str, times: int = 1, word: str = "") -> None:
        await stream.send({"name": name, "times": times, "word": word})

    async def broken(self, stream: SocketStream, when: str) -> None:
        if when == "later":
            await stream.send({"so": "far"})
        raise ZeroDivisionError("secret internals")

    async def flood(self, stream: SocketStream) -> None:
        try:
            while True:
                await stream.send("x" * 100_000)
        finally:
            self.left.set()

    def reader(self, path: str, **options: Any) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}{path}", proxy=None, **options)

    def is_left_alone(self) -> bool:
        return b'trade2026_sockets{service="test"} 0.0' in self.meter.exposition()


DESK = "https://desk.example.org"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House(frozenset({DESK}))
    serving = asyncio.create_task(house.server.serve())
    while not house.server.started:
        await asyncio.sleep(0.005)
    yield house
    house.server.should_exit = True
    await serving


async def heard(reader: ClientConnection) -> Any:
    return orjson.loads(await asyncio.wait_for(reader.recv(), WAIT_S))


async def ended(reader: ClientConnection) -> tuple[int, str]:
    """How the connection was ended by the other side."""

    async def exhausted() -> None:
        while True:
            await asyncio.wait_for(reader.recv(), WAIT_S)

    with pytest.raises(ConnectionClosed) as closed:
        await exhausted()
    assert closed.value.rcvd is not None, "it ended without a word"
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def turned_away(opening: Awaitable[Any]) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as refused:
        await opening
    return refused.value.response.status_code, orjson.loads(refused.value.response.body or b"{}")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not true():
            await asyncio.sleep(0.005)


async def test_messages_come_whole_in_order_and_end_with_the_handler(house: House) -> None:
    async with house.reader("/ws/count/3000") as reader:
        got = [await heard(reader) for _ in range(3000)]
        assert [one["n"] for one in got] == list(range(3000))
        assert got[0]["at"] == "2023-11-14T22:13:20Z"
        assert await ended(reader) == (1000, "")


async def test_a_refusal_before_the_first_message_is_a_problem(house: House) -> None:
    status, problem = await turned_away(house.reader("/ws/feed/nobody"))

    assert (status, problem["code"], problem["errors"][0]["field"]) == (404, "NOT_FOUND", "account")
    await until(house.is_left_alone)


async def test_a_path_that_does_not_fit_names_its_part(house: House) -> None:
    status, problem = await turned_away(house.reader("/ws/feed/a.b"))

    assert (status, problem["errors"][0]["field"]) == (422, "account")


async def test_what_the_query_says_is_handed_over_and_the_rest_has_its_default(house: House) -> None:
    async with house.reader("/ws/echo/a?times=3") as reader:
        assert await heard(reader) == {"name": "a", "times": 3, "word": ""}


@pytest.mark.parametrize(("query", "field"), [("times=many", "times"), ("colour=red", "colour"), ("name=b", "name")])
async def test_a_query_that_makes_no_sense_names_its_part(house: House, query: str, field: str) -> None:
    status, problem = await turned_away(house.reader(f"/ws/echo/a?{query}"))

    assert (status, problem["errors"][0]["field"]) == (422, field)


async def test_while_the_service_recovers_nobody_is_let_in(house: House) -> None:
    house.trouble = "recovering"

    status, problem = await turned_away(house.reader("/ws/feed/default"))

    assert (status, problem["detail"]) == (503, "recovering")


async def test_a_bug_shows_nothing_of_the_inside(house: House) -> None:
    status, problem = await turned_away(house.reader("/ws/broken/now"))
    assert (status, problem["code"]) == (500, "INTERNAL")
    assert "secret" not in str(problem)

    async with house.reader("/ws/broken/later") as reader:
        assert await heard(reader) == {"so": "far"}
        assert await ended(reader) == (1011, "an error on our side")


async def test_a_page_from_elsewhere_is_refused(house: House) -> None:
    status, problem = await turned_away(house.reader("/ws/feed/default", origin="https://evil.example"))
    assert (status, problem["code"]) == (403, "ORIGIN_REFUSED")

    async with house.reader("/ws/feed/default", origin="http://localhost:3000") as reader:
        assert await heard(reader) == {"account": "default"}


async def test_a_page_of_an_origin_that_is_listed_is_let_in_by_whatever_name(house: House) -> None:
    for told in (DESK, "https://DESK.example.org"):
        async with house.reader("/ws/feed/default", origin=told) as reader:
            assert await heard(reader) == {"account": "default"}
    for other in (f"{DESK}:8443", "http://desk.example.org", f"{DESK}.evil.example", "null"):
        status, problem = await turned_away(house.reader("/ws/feed/default", origin=other))
        assert (status, problem["code"]) == (403, "ORIGIN_REFUSED"), other
    assert "TRADE2026_ORIGINS" in problem["detail"]


@pytest.mark.parametrize(
    ("origin", "host", "admitted"),
    [
        (None, "desk:8099", True),
        ("http://127.0.0.1:3000", "desk:8099", True),
        ("http://[::1]:3000", "desk:8099", True),
        ("http://desk:3000", "desk:8099", True),
        ("http://10.0.0.5", "10.0.0.5:8099", True),
        ("http://10.0.0.6", "10.0.0.5:8099", False),
        ("http://rebound.example", "rebound.example:8099", False),
        ("null", "desk:8099", False),
        ("http://[", "desk:8099", False),
        ("", "", False),
    ],
)
def test_who_counts_as_from_here(origin: str | None, host: str, admitted: bool) -> None:
    assert from_here(origin, host) is admitted


async def test_a_reader_too_many_is_told_to_come_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "SOCKETS_MAX", 1)
    async with house.reader("/ws/feed/default") as first:
        await heard(first)
        status, problem = await turned_away(house.reader("/ws/feed/default"))
        assert (status, problem["code"]) == (503, "UNAVAILABLE")
    await until(house.is_left_alone)
    async with house.reader("/ws/feed/default") as second:
        assert await heard(second) == {"account": "default"}


async def test_a_reader_who_leaves_ends_its_handler(house: House) -> None:
    async with house.reader("/ws/feed/default") as reader:
        await heard(reader)

    await asyncio.wait_for(house.left.wait(), WAIT_S)
    await until(house.is_left_alone)


async def test_what_a_reader_says_is_not_heard_and_not_kept(house: House) -> None:
    async with house.reader("/ws/feed/default") as reader:
        await heard(reader)
        for _ in range(200):
            await reader.send("x" * 4000)
        house.streams[0].put({"still": "here"})
        assert await heard(reader) == {"still": "here"}
        await reader.send("x" * 5000)
        assert (await ended(reader))[0] == 1009


async def test_a_reader_too_slow_is_cut_with_a_code_and_a_reason(house: House) -> None:
    async with house.reader("/ws/feed/default", max_queue=1) as reader:
        await until(lambda: bool(house.streams))
        for n in range(1200):
            house.streams[0].put({"n": n})
        assert await ended(reader) == (1013, "more than 1000 messages behind; connect again for a fresh start")


async def stopped_reader(house: House, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A reader that is let in and then reads nothing, with little room between us."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", house.port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=4096)
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{house.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    writer.write(request.encode())
    assert b"101" in await asyncio.wait_for(reader.readline(), WAIT_S)
    return reader, writer


async def test_a_reader_who_has_stopped_cannot_hold_up_its_cut(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "CLOSE_WITHIN_S", 0.05)
    _reader, writer = await stopped_reader(house, "/ws/feed/default")
    await until(lambda: bool(house.streams))
    for _ in range(2000):
        house.streams[0].put("x" * 100_000)

    await until(house.is_left_alone)
    await until(lambda: not house.server.server_state.connections)
    writer.close()


async def test_whoever_answers_no_ping_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(sockets, "PONG_WITHIN_S", 0.05)
    house = House()
    serving = asyncio.create_task(house.server.serve())
    await until(lambda: house.server.started)
    _reader, writer = await stopped_reader(house, "/ws/flood")

    await asyncio.wait_for(house.left.wait(), WAIT_S)
    await until(lambda: not house.server.server_state.connections)

    writer.close()
    house.server.should_exit = True
    await serving


async def test_readers_are_told_when_the_service_ends(house: House) -> None:
    async with house.reader("/ws/feed/default") as reader:
        await heard(reader)
        house.server.should_exit = True
        assert (await ended(reader))[0] == 1012
    await asyncio.wait_for(house.left.wait(), WAIT_S)


async def test_a_handler_that_sends_waits_while_half_of_the_queue_is_taken() -> None:
    stream = Stream(behind_max=4)
    for _ in range(2):
        await stream.send("x")
    waiting = asyncio.create_task(stream.send("x"))
    await asyncio.sleep(0)
    assert not waiting.done()

    stream.cut("enough")
    await asyncio.wait_for(waiting, WAIT_S)
    assert stream.end == (1013, "enough")


def test_a_reason_fits_its_frame() -> None:
    stream = Stream()
    stream.cut("ü" * 100)
    assert stream.end is not None
    assert len(stream.end[1].encode()) <= 123
