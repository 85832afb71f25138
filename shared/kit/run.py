"""Running one service in this process: what the launcher and the supervisor call."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import structlog

from shared.contract.roster import ROSTER
from shared.kit.life import Life
from shared.kit.loop import Loop
from shared.kit.settings import SettingsError, Suite, load_suite


def main(name: str, *, ready_fd: int | None = None, prepared: Life | None = None) -> int:
    """Live one service in this process; 0 after an orderly end.

    `ready_fd` gets one byte once it is ready. `prepared` is a life made before this process was forked.
    """

    def on_ready() -> None:
        if ready_fd is not None:
            os.write(ready_fd, b"1")

    async def run() -> None:
        suite = load_suite()
        listener = _listen(suite, name)
        await (prepared or Life(name, suite)).live(listener, on_ready)

    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(run())
    except (SettingsError, _PortTaken) as error:
        structlog.get_logger().error("cannot_start", service=name, detail=str(error))
        sys.stderr.write(f"{name}: {error}\n")
        return 2
    return 0


def prepare(suite: Suite) -> dict[str, Life]:
    """A life of every service, one copy of each, to be lived in processes forked from this one.

    What building them loads, caches and makes is then shared instead of made in each, and what a service does not use
    stays shared. `SettingsError` when a setting of one is wrong.
    """
    if suite.shards > 1:
        raise SettingsError("TRADE2026_SHARDS: here each service runs once; copies are started one by one (make stack)")
    return {entry.name: Life(entry.name, suite) for entry in ROSTER}


class _PortTaken(Exception):
    pass


def _listen(suite: Suite, name: str) -> socket.socket:
    port = suite.port(name)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((suite.listens_on, port))
    except OSError as error:
        raise _PortTaken(f"port {port} cannot be had ({error.strerror}); set TRADE2026_PORT_OFFSET") from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener
