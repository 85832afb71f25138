"""The proxy passes everything on, and cuts whom it is told to, as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.chaos.proxy import Cut, Proxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]


@pytest.fixture
async def heard() -> list[bytes]:
    return []


@pytest.fixture
async def proxy(heard: list[bytes]) -> AsyncIterator[Proxy]:
    """In front of a server that hears everything and sends it back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while words := await reader.read(1000):
            heard.append(words)
            writer.write(words)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    one = await Proxy(server.sockets[0].getsockname()[1]).start()
    yield one
    await one.close()
    server.close()
    await server.wait_closed()


@pytest.fixture
async def line(proxy: Proxy) -> AsyncIterator[Connect]:
    """A client's connection."""
    made: list[Streams] = []

    async def connect() -> Streams:
        made.append(await asyncio.open_connection("127.0.0.1", proxy.port))
        return made[-1]

    yield connect
    for _, writer in made:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def says(streams: Streams, words: bytes, seconds: float = 5) -> bytes | None:
    """What came back, None when nothing does for so long."""
    streams[1].write(words)
    return await hears(streams, seconds)


async def hears(streams: Streams, seconds: float) -> bytes | None:
    try:
        return await asyncio.wait_for(streams[0].read(1000), seconds)
    except TimeoutError:
        return None


async def test_everything_passes_both_ways(proxy: Proxy, line: Connect) -> None:
    one = await line()
    assert await says(one, b"a") == b"a"
    assert await says(one, b"b") == b"b"


async def test_a_stalled_connection_keeps_what_was_said_for_later(
    proxy: Proxy, line: Connect, heard: list[bytes]
) -> None:
    one = await line()
    assert await says(one, b"a") == b"a"
    assert proxy.cut(Cut.STALL) == 1
    assert await says(one, b"b", 0.2) is None
    assert heard == [b"a"]
    proxy.heal()
    assert await hears(one, 5) == b"b"


async def test_of_a_deaf_one_the_request_arrives_and_the_answer_does_not(
    proxy: Proxy, line: Connect, heard: list[bytes]
) -> None:
    one = await line()
    assert await says(one, b"a") == b"a"
    proxy.cut(Cut.DEAF)
    assert await says(one, b"b", 0.2) is None
    assert heard == [b"a", b"b"]
    proxy.heal()
    assert await hears(one, 5) == b"b"


async def test_a_reset_strikes_those_that_are_there_and_those_that_come(proxy: Proxy, line: Connect) -> None:
    one = await line()
    assert await says(one, b"a") == b"a"
    proxy.cut(Cut.RESET)
    with pytest.raises(ConnectionResetError):
        await says(one, b"b")
    other = await line()
    with pytest.raises(ConnectionResetError):
        await says(other, b"c")
    proxy.heal()
    assert await says(await line(), b"d") == b"d"


async def test_only_those_are_cut_that_are_meant(proxy: Proxy, line: Connect) -> None:
    one, other = await line(), await line()
    assert await says(one, b"a") == b"a"
    assert await says(other, b"a") == b"a"
    meant = one[1].get_extra_info("sockname")[1]
    assert proxy.cut(Cut.STALL, lambda port: port == meant) == 1
    assert await says(one, b"b", 0.2) is None
    assert await says(other, b"c") == b"c"
