"""The embedded NATS and Valkey."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from shared.cli import infrastructure
from shared.cli.trouble import Trouble
from shared.contract.roster import NATS_MONITOR_PORT
from shared.kit.settings import Suite
from tests.journeys.rig import free_offset
from tests.servers import Server, free_port


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    (tmp_path / "run").mkdir()
    return Suite(var=tmp_path, port_offset=700)


def test_valkey_is_told_to_write_everything_down_before_it_answers(suite: Suite) -> None:
    command = infrastructure.valkey_command(suite)
    words = Path(command[1]).read_text().splitlines()
    promises = ("appendonly yes", "appendfsync always", "maxmemory-policy noeviction", 'save ""', "bind 127.0.0.1")
    assert {*promises, "port 7079"} <= set(words)


def test_nats_keeps_its_streams_under_var_and_listens_here_only(suite: Suite) -> None:
    words = Path(infrastructure.nats_command(suite)[2]).read_text()
    assert f'store_dir: "{suite.var}/nats"' in words
    assert "host: 127.0.0.1" in words
    assert "port: 4922" in words


def test_the_binaries_come_with_the_environment() -> None:
    assert os.access(infrastructure.nats_binary(), os.X_OK)
    assert os.access(infrastructure.valkey_binary(), os.X_OK)


def test_a_binary_that_is_named_and_absent_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALKEY_SERVER_BIN", "/nowhere/valkey-server")
    with pytest.raises(Trouble, match="VALKEY_SERVER_BIN names /nowhere/valkey-server"):
        infrastructure.valkey_binary()


def test_a_running_server_answers_and_an_absent_one_does_not(nats: Server, valkey: Server) -> None:
    assert infrastructure.nats_answers(nats.port)
    assert infrastructure.valkey_answers(valkey.port)
    assert not infrastructure.nats_answers(valkey.port)
    assert not infrastructure.valkey_answers(free_port())


def test_what_runs_elsewhere_is_not_started_here(tmp_path: Path) -> None:
    suite = Suite(var=tmp_path, nats_url="nats://127.0.0.1:9", valkey_url="redis://127.0.0.1:9")
    assert infrastructure.embedded(suite) == []


WRITE_ERROR = "JetStream stream '$G > ORDERS' write error: write 1.blk: no space left on device"


@pytest.fixture
def monitored(tmp_path: Path) -> Iterator[tuple[Suite, list[str]]]:
    """A suite whose NATS says this of itself; the last word counts, and an empty one means that all is well."""
    said = [""]

    class Monitor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if said[-1] else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"error": said[-1]} if said[-1] else {"status": "ok"}).encode())

        def log_message(self, *_: object) -> None:
            """Nothing: a test is told otherwise."""

    offset = free_offset()
    with HTTPServer(("127.0.0.1", NATS_MONITOR_PORT + offset), Monitor) as server:
        (tmp_path / "nats").mkdir()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Suite(var=tmp_path, port_offset=offset), said
        server.shutdown()


def test_nats_is_stuck_when_it_could_not_write_and_there_is_room_now(
    monitored: tuple[Suite, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, said = monitored
    assert infrastructure.nats_stuck(suite) is None
    said.append(WRITE_ERROR)
    assert infrastructure.nats_stuck(suite) == WRITE_ERROR
    monkeypatch.setattr(infrastructure, "ROOM_BYTES", 1 << 62)
    assert infrastructure.nats_stuck(suite) is None, "into a full disk nothing is started"


def test_what_else_nats_may_complain_of_is_no_reason_to_end_it(monitored: tuple[Suite, list[str]]) -> None:
    suite, said = monitored
    said.append("JetStream has not established contact with a meta leader")
    assert infrastructure.nats_stuck(suite) is None


def test_a_nats_that_does_not_answer_is_not_called_stuck(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    assert infrastructure.nats_stuck(Suite(var=tmp_path, port_offset=free_offset())) is None
