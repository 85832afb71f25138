"""Which ports a suite wants."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from shared.cli import ports
from shared.cli.trouble import Trouble
from shared.kit.settings import Suite
from tests.journeys.rig import free_offset


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_offset_shifts_every_port() -> None:
    plain, shifted = ports.wanted(Suite(port_offset=0)), ports.wanted(Suite(port_offset=700))
    assert {name: port + 700 for name, port in plain.items()} == shifted
    assert {"nats", "nats-monitor", "valkey", "oms"} <= set(plain)
    assert len(set(plain.values())) == len(plain)


def test_infrastructure_that_runs_elsewhere_needs_no_port_here() -> None:
    suite = Suite(nats_url="nats://127.0.0.1:9", valkey_url="redis://127.0.0.1:9")
    assert not {"nats", "nats-monitor", "valkey"} & set(ports.wanted(suite))


def test_a_port_with_a_listener_is_not_free(listening: int) -> None:
    assert not ports.is_free(listening)


def test_a_taken_port_is_named_with_its_holder_and_the_way_out(monkeypatch: pytest.MonkeyPatch, listening: int) -> None:
    monkeypatch.setattr(ports, "wanted", lambda _: {"oms": listening})
    with pytest.raises(Trouble) as refusal:
        ports.check(Suite(port_offset=7))
    words = str(refusal.value)
    assert f"{listening} (oms: held by pid {os.getpid()}" in words
    assert "TRADE2026_PORT_OFFSET (now 7)" in words


def test_free_ports_are_no_trouble() -> None:
    ports.check(Suite(port_offset=free_offset()))
