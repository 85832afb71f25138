"""Stages: the suites on which faults are played, each with what its faults need."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import psutil

from shared.contract.roster import NATS_MONITOR_PORT
from tests.chaos.binance import dealing
from tests.chaos.line import Unanswered, get
from tests.chaos.proxy import Cut, Proxy
from tests.chaos.stage import SERVICES, Stage
from tests.servers import nats_server, valkey_server

DISK_MIB = 96
BALLAST = "ballast"


class NotPlayed(Exception):
    """This machine does not allow what the stage needs."""


@asynccontextmanager
async def plain(var: Path) -> AsyncGenerator[Stage]:
    """As `trade2026 up` makes it."""
    stage = Stage(var)
    try:
        await stage.up()
        yield stage
    finally:
        await stage.down()


class Divided(Stage):
    """A suite that reaches NATS and Valkey through proxies. The harness itself reaches them past these."""

    def __init__(self, var: Path, proxies: dict[str, Proxy], valkey_port: int) -> None:
        urls = {"nats": f"nats://127.0.0.1:{proxies['nats'].port}"}
        urls["valkey"] = f"redis://127.0.0.1:{proxies['valkey'].port}"
        environment = {f"TRADE2026_{name.upper()}_URL": url for name, url in urls.items()}
        environment["TRADE2026_SECRETS"] = str(var / "none")
        super().__init__(var, environment, valkey_port=valkey_port)
        self._proxies = proxies

    def cut(self, server: str, how: Cut, service: str) -> int:
        """Cut a service, or with `all` every one, off a server; how many connections that strikes."""
        if service == "all":
            return self._proxies[server].cut(how)
        process = psutil.Process(self.pid(service))
        return self._proxies[server].cut(how, lambda port: port in _ports(process))

    def heal(self) -> None:
        for proxy in self._proxies.values():
            proxy.heal()


def _ports(process: psutil.Process) -> set[int]:
    return {connection.laddr.port for connection in process.net_connections("tcp") if connection.laddr}


@asynccontextmanager
async def divided(var: Path) -> AsyncGenerator[Stage]:
    """With a proxy before each server."""
    servers = {"nats": nats_server(var), "valkey": valkey_server(var)}
    proxies: dict[str, Proxy] = {}
    try:
        for name, server in servers.items():
            await asyncio.to_thread(server.start)
            proxies[name] = await Proxy(server.port).start()
        stage = Divided(var, proxies, servers["valkey"].port)
        try:
            await stage.up()
            yield stage
        finally:
            await stage.down()
    finally:
        for proxy in proxies.values():
            await proxy.close()
        for server in servers.values():
            server.stop()


class Cramped(Stage):
    """A suite whose state lies on small disks of its own: one for NATS, one for Valkey, one for all the rest."""

    def fill(self, disks: Collection[str]) -> None:
        """Take up what is left of these, to the last byte."""
        for disk in disks:
            with (self.var / disk / BALLAST).open("wb", buffering=0) as ballast:
                for size in (1 << 20, 1 << 12, 1):
                    with contextlib.suppress(OSError):
                        while True:
                            ballast.write(b"0" * size)

    def free(self, disks: Collection[str]) -> None:
        """Give it back."""
        for disk in disks:
            (self.var / disk / BALLAST).unlink()

    async def stores(self) -> bool:
        """Whether NATS takes messages for every stream."""
        try:
            await get(NATS_MONITOR_PORT + self.offset, "/healthz", 1.0)
        except Unanswered:
            return False
        return True


@contextmanager
def _disk(folder: Path) -> Generator[None]:
    """A small one of its own; NotPlayed where nobody may mount."""
    folder.mkdir(exist_ok=True)
    size = f"size={DISK_MIB}m"
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        raise NotPlayed(f"no small disk can be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)


@asynccontextmanager
async def cramped(var: Path) -> AsyncGenerator[Stage]:
    """On tmpfs, which takes the right to mount."""
    with _disk(var), _disk(var / "nats"), _disk(var / "valkey"):
        stage = Cramped(var)
        try:
            await stage.up()
            yield stage
        finally:
            await stage.down()


class Unattended(Stage):
    """A suite whose live gateway stands still, so that somebody else may be the venue."""

    names = tuple(name for name in SERVICES if name != "live-gateway")


@asynccontextmanager
async def unattended(var: Path) -> AsyncGenerator[Stage]:
    """The live gateway is stopped once all is up, and for good."""
    stage = Unattended(var)
    try:
        await stage.up()
        stage.signal("live-gateway", signal.SIGSTOP)
        yield stage
    finally:
        await stage.down()


STAGES: dict[str, Callable[[Path], AbstractAsyncContextManager[Stage]]] = {
    "plain": plain,
    "divided": divided,
    "cramped": cramped,
    "unattended": unattended,
    "dealing": dealing,
}
