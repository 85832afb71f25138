"""Running one service in this process: what the launcher and the supervisor call."""

from __future__ import annotations

import os
import socket
import sys

import structlog
import uvloop

from shared.contract.roster import ROSTER
from shared.kit.clock import SystemClock
from shared.kit.life import VERSION, Life, server_config
from shared.kit.meter import Meter
from shared.kit.settings import SettingsError, Suite, load_suite
from shared.kit.web import open_app
from shared.kit.wiring import RealKit, wire


def main(name: str, *, ready_fd: int | None = None) -> int:
    """Live one service in this process; 0 after an orderly end. `ready_fd` gets one byte once it is ready."""

    def on_ready() -> None:
        if ready_fd is not None:
            os.write(ready_fd, b"1")

    async def run() -> None:
        suite = load_suite()
        listener = _listen(suite, name)
        await Life(name, suite).live(listener, on_ready)

    try:
        uvloop.run(run())
    except (SettingsError, _PortTaken) as error:
        structlog.get_logger().error("cannot_start", service=name, detail=str(error))
        sys.stderr.write(f"{name}: {error}\n")
        return 2
    return 0


class _PortTaken(Exception):
    pass


def _listen(suite: Suite, name: str) -> socket.socket:
    port = suite.port(name)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((suite.host, port))
    except OSError as error:
        raise _PortTaken(f"port {port} cannot be had ({error.strerror}); set TRADE2026_PORT_OFFSET") from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def rehearse(suite: Suite) -> None:
    """Build every service once and throw it away.

    What building loads and caches is then shared by every process forked from here, instead of made in each.
    """
    for entry in ROSTER:
        kit = RealKit(entry.name, suite, SystemClock(), Meter(entry.name), structlog.get_logger())
        server_config(open_app(entry.name, VERSION, list(wire(entry.name, kit).serves), _nobody)).load()


async def _nobody() -> None:
    return None
