"""The event loop: a connection that is given up takes no other down with it."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from shared.kit.loop import Loop


async def given_up(port: int) -> socket.socket:
    """A socket whose connecting was cancelled on the way."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    connecting = asyncio.ensure_future(loop.create_connection(asyncio.Protocol, sock=sock))
    await asyncio.sleep(0)  # it has begun, and waits
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await asyncio.sleep(0)
    return sock


def test_a_connection_that_is_given_up_closes_no_other() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    async def main() -> None:
        sock = await given_up(port)
        _, writer = await asyncio.open_connection("127.0.0.1", port)  # it may well have the number that became free
        assert sock.fileno() == -1
        writer.write(b"still here")
        await writer.drain()
        os.fstat(writer.get_extra_info("socket").fileno())
        writer.close()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())
    server.close()
