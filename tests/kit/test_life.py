"""The life of a process, seen from outside: starting, ready, unready and healed, drained; and what stops it at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.contract.roster import BY_NAME
from tests.journeys.rig import CHECKOUT, free_offset
from tests.servers import Server, nats_server, valkey_server, wait_until

pytestmark = pytest.mark.suite


class Process:
    """One service under the launcher."""

    def __init__(self, service: str, folder: Path, **environment: str) -> None:
        self.offset = free_offset()
        self.url = f"http://127.0.0.1:{BY_NAME[service].port + self.offset}"
        words = {"TRADE2026_PORT_OFFSET": str(self.offset), "TRADE2026_VAR": str(folder), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shared.kit", service],
            cwd=CHECKOUT,
            env=os.environ | words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def status(self, path: str = "/readyz") -> int:
        try:
            return httpx.get(self.url + path, trust_env=False, timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def end(self, timeout_s: float = 15) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    one, two = nats_server(tmp_path), valkey_server(tmp_path)
    yield one, two
    one.stop()
    two.stop()


def test_a_service_waits_for_its_world_heals_with_it_and_drains(tmp_path: Path, servers: tuple[Server, Server]) -> None:
    nats, valkey = servers
    words = {
        "TRADE2026_NATS_URL": f"nats://127.0.0.1:{nats.port}",
        "TRADE2026_VALKEY_URL": f"redis://127.0.0.1:{valkey.port}",
    }
    oms = Process("oms", tmp_path, **words)
    wait_until(lambda: oms.status("/livez") == 200, "the doors to open")
    assert oms.status() == 503, "alive, but not ready without its world"
    assert oms.status("/orders") == 503

    nats.start()
    valkey.start()
    wait_until(lambda: oms.status() == 200, "the oms to be ready")
    assert oms.status("/orders") == 200

    valkey.kill()
    wait_until(lambda: oms.status() == 503, "the oms to notice")
    valkey.start()
    wait_until(lambda: oms.status() == 200, "the oms to heal")

    nats.kill()
    wait_until(lambda: oms.status() == 503, "the oms to notice")
    nats.start()
    wait_until(lambda: oms.status() == 200, "the oms to heal")

    oms.process.send_signal(signal.SIGTERM)
    code, out = oms.end()
    assert code == 0, out
    assert '"event": "stopped"' in out


def test_a_service_shows_what_it_is_and_does(tmp_path: Path) -> None:
    door = Process("orchestrator", tmp_path, TRADE2026_GIT="abc123")
    wait_until(lambda: door.status() == 200, "the orchestrator to be ready")

    version = httpx.get(door.url + "/version", trust_env=False).json()
    stats = httpx.get(door.url + "/stats", trust_env=False).json()
    metrics = httpx.get(door.url + "/metrics", trust_env=False).text
    paths = httpx.get(door.url + "/openapi.json", trust_env=False).json()["paths"]

    assert (version["service"], version["git"]) == ("orchestrator", "abc123")
    assert stats["http_requests"] >= 1
    assert "trade2026_http_requests_total{" in metrics
    assert "/system/status" in paths
    assert door.status("/docs") == 200
    door.process.send_signal(signal.SIGTERM)
    assert door.end()[0] == 0


def test_a_taken_port_stops_the_start_and_names_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        offset = free_offset()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # it may be lingering from an earlier suite
        taken.bind(("127.0.0.1", 8000 + offset))
        taken.listen()
        words = {"TRADE2026_PORT_OFFSET": str(offset), "TRADE2026_VAR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "shared.kit", "orchestrator"],
            cwd=CHECKOUT,
            env=os.environ | words,
            capture_output=True,
            text=True,
            timeout=30,
        )

    assert done.returncode == 2
    assert "TRADE2026_PORT_OFFSET" in done.stderr
    assert str(8000 + offset) in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ORCHESTRATOR_PEER_TIMEOUT", "1", "ORCHESTRATOR_PEER_TIMEOUT is not a setting"),
        ("ORCHESTRATOR_PEER_TIMEOUT_S", "long", "peer_timeout_s"),
        ("TRADE2026_HOST", "0.0.0.0", "loopback"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(tmp_path: Path, name: str, value: str, told: str) -> None:
    process = Process("orchestrator", tmp_path, **{name: value})

    code, out = process.end()

    assert code == 2
    assert told in out
