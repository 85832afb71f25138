"""The way through the front door to an account's feed, over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import structlog
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.orchestrator.service import wire
from services.orchestrator.settings import Settings
from shared.contract.base import Account
from shared.contract.errors import NotFound
from shared.contract.roster import BY_NAME
from shared.kit import Service, SocketStream, websocket
from shared.kit.clock import SystemClock
from shared.kit.fakes import fake_kit
from shared.kit.meter import Meter
from shared.kit.sockets import open_sockets
from shared.kit.web import Doors, open_app
from tests.conftest import Closer
from tests.servers import free_port

WAIT_S = 10


async def free() -> None:
    """A guard that lets everybody in."""


class Serving:
    """A service's doors, open at a port."""

    def __init__(self, service: Service, port: int) -> None:
        self.port = port
        log, meter = structlog.get_logger(), Meter("test")
        served = [row for row in service.serves if row.method != "SOCKET"]
        rows = [row for row in service.serves if row.method == "SOCKET"]
        app = open_app("test", "1", served, free)
        options = open_sockets(app, rows, free, meter, log)
        doors = Doors(app, SystemClock(), meter, log)
        self._server = uvicorn.Server(
            uvicorn.Config(doors, port=port, log_config=None, lifespan="off", timeout_graceful_shutdown=2, **options)
        )
        self._task = asyncio.create_task(self._server.serve())

    async def up(self) -> None:
        await until(lambda: self._server.started)

    def drop(self) -> None:
        """Every connection, without a word."""
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]

    async def end(self) -> None:
        self._server.should_exit = True
        await self._task


class Oms:
    """As much of an oms as has a feed."""

    def __init__(self) -> None:
        self.streams: list[SocketStream] = []
        self.left = 0
        self.serving = Serving(Service(serves=(websocket("/ws/accounts/{account}", self.read),)), oms_port())

    async def read(self, stream: SocketStream, account: Account) -> None:
        if account == "nobody":
            raise NotFound("there is no account nobody", field="account")
        self.streams.append(stream)
        stream.put({"type": "snapshot", "account": account, "at_ns": 1_700_000_000_000_000_000})
        try:
            await stream.closed()
        finally:
            self.left += 1


def oms_port() -> int:
    """One from which the suite's own offset follows; below it all others."""
    return next(port for port in iter(free_port, 0) if 0 < port - BY_NAME["oms"].port < 50_000)


class House:
    """An oms, and the front door before it."""

    def __init__(self) -> None:
        self.oms = Oms()
        kit = fake_kit("orchestrator")
        offset = self.oms.serving.port - BY_NAME["oms"].port
        kit.suite = kit.suite.model_copy(update={"port_offset": offset})
        self.kit = kit
        self.front = Serving(wire(kit, Settings()), free_port())

    def reader(self, account: str = "ada", **options: Any) -> connect:
        return connect(f"ws://127.0.0.1:{self.front.port}/api/oms/ws/accounts/{account}", proxy=None, **options)


@pytest.fixture
async def house(closing: Closer) -> House:
    house = House()
    await house.oms.serving.up()
    await house.front.up()
    closing(house.kit.peers.close)
    closing(house.oms.serving.end)
    closing(house.front.end)
    return house


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not true():
            await asyncio.sleep(0.005)


async def heard(reader: ClientConnection) -> Any:
    return orjson.loads(await asyncio.wait_for(reader.recv(), WAIT_S))


async def ended(reader: ClientConnection) -> tuple[int, str]:
    async def exhausted() -> None:
        while True:
            await asyncio.wait_for(reader.recv(), WAIT_S)

    with pytest.raises(ConnectionClosed) as closed:
        await exhausted()
    assert closed.value.rcvd is not None, "it ended without a word"
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_snapshot_and_changes_come_through_the_front_door_word_for_word(house: House) -> None:
    async with house.reader() as reader:
        assert await heard(reader) == {
            "type": "snapshot",
            "account": "ada",
            "at": "2023-11-14T22:13:20Z",
            "at_ns": "1700000000000000000",
        }
        for n in range(700):
            house.oms.streams[0].put({"sequence": n})
        assert [(await heard(reader))["sequence"] for _ in range(700)] == list(range(700))


async def test_a_reader_who_leaves_the_front_door_leaves_the_oms(house: House) -> None:
    async with house.reader() as reader:
        await heard(reader)
    await until(lambda: house.oms.left == 1)


async def test_what_the_oms_refuses_the_front_door_refuses_in_its_words(house: House) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await house.reader("nobody")

    problem = orjson.loads(refused.value.response.body or b"")
    assert (refused.value.response.status_code, problem["code"]) == (404, "NOT_FOUND")
    assert (problem["detail"], problem["errors"][0]["field"]) == ("there is no account nobody", "account")


async def test_a_reader_too_slow_is_cut_with_a_code_and_a_reason(house: House) -> None:
    async with house.reader(max_queue=1) as reader:
        await until(lambda: bool(house.oms.streams))
        while house.oms.left == 0:
            await house.oms.streams[0].send({"words": "x" * 100_000})
            await asyncio.sleep(0)
        assert await ended(reader) == (1013, "more than 1000 messages behind; connect again for a fresh start")


async def test_what_the_oms_ends_is_ended_with_its_reason(house: House) -> None:
    async with house.reader() as reader:
        await heard(reader)
        house.oms.streams[0].cut("the oms has recovered")
        assert await ended(reader) == (1013, "oms ended the connection: the oms has recovered; connect again")


async def test_when_the_oms_dies_readers_are_told_to_connect_again(house: House) -> None:
    async with house.reader() as reader:
        await heard(reader)
        house.oms.serving.drop()
        assert await ended(reader) == (1013, "oms ended the connection; connect again")


async def test_without_an_oms_nobody_is_let_in(house: House) -> None:
    await house.oms.serving.end()
    with pytest.raises(InvalidStatus) as refused:
        await house.reader()

    assert refused.value.response.status_code == 503
    assert orjson.loads(refused.value.response.body or b"")["detail"].startswith("oms did not answer")


async def test_the_markets_that_are_asked_for_are_followed_at_the_gateway(house: House, closing: Closer) -> None:
    asked: list[tuple[str, str, int]] = []

    async def read(stream: SocketStream, symbols: str = "", venue: str = "", depth: int = 0) -> None:
        asked.append((symbols, venue, depth))
        await stream.send({"type": "snapshot"})

    offset = house.kit.suite.port_offset
    gateway = Serving(Service(serves=(websocket("/ws/ticks", read),)), BY_NAME["gateway"].port + offset)
    closing(gateway.end)
    await gateway.up()
    address = f"ws://127.0.0.1:{house.front.port}/api/gateway/ws/ticks?symbols=A,B%20C&venue=sim&depth=5"
    async with connect(address, proxy=None) as reader:
        assert await heard(reader) == {"type": "snapshot"}
    assert asked == [("A,B C", "sim", 5)]
