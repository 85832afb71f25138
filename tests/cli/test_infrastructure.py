"""The embedded NATS and Valkey."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.cli import infrastructure
from shared.cli.trouble import Trouble
from shared.kit.settings import Suite
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
