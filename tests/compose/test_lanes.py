"""A container reaches what its lanes give it, by name and by address, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from shared.contract.roster import ROSTER, Entry
from tests.compose.containers import PROJECT, Containers

pytestmark = pytest.mark.suite

PORTS = {"nats": 4222, "valkey": 6379, "questdb": 8812, "seaweedfs": 8333} | {one.name: one.port for one in ROSTER}

PROBE = """
import concurrent.futures, json, socket, sys
wanted = json.loads(sys.argv[1])
def found(name):
    try:
        return sorted({one[4][0] for one in socket.getaddrinfo(name, None, socket.AF_INET)})
    except OSError:
        return []
def open_(at):
    try:
        socket.create_connection((at[0], at[1]), 2).close()
    except OSError:
        return False
    return True
with concurrent.futures.ThreadPoolExecutor(32) as hands:
    names = dict(zip(wanted["names"], hands.map(found, wanted["names"])))
    places = list(hands.map(open_, wanted["places"]))
print(json.dumps({"names": names, "places": places}))
"""


@pytest.fixture(scope="module")
def addresses(containers: Containers) -> dict[str, dict[str, str]]:
    """Of each container, its address on each of its lanes."""
    found: dict[str, dict[str, str]] = {}
    for name in PORTS:
        networks: dict[str, Any] = containers.inspect(name)["NetworkSettings"]["Networks"]
        found[name] = {lane: one["IPAddress"] for lane, one in networks.items()}
    return found


@pytest.mark.parametrize("entry", ROSTER, ids=lambda entry: entry.name)
def test_a_service_reaches_its_own_lanes_alone(
    containers: Containers, addresses: dict[str, dict[str, str]], entry: Entry
) -> None:
    mine = set(addresses[entry.name])
    others = [(name, lane, at) for name in PORTS for lane, at in addresses[name].items() if name != entry.name]
    places = [(at, PORTS[name]) for name, _, at in others]
    seen = containers.python(entry.name, PROBE, {"names": list(PORTS), "places": places})

    for name, at in seen["names"].items():
        allowed = {addresses[name][lane] for lane in mine & set(addresses[name])}
        assert bool(at) == bool(allowed), f"{entry.name} finds {name}"
        assert set(at) <= allowed
    for (name, lane, _), is_open in zip(others, seen["places"], strict=True):
        assert is_open == (lane in mine), f"{entry.name} → {name} on {lane}"


def test_some_lanes_are_closed_to_some(addresses: dict[str, dict[str, str]]) -> None:
    assert "trade2026-backend" not in addresses["gateway"]
    assert "trade2026-frontend" not in addresses["normalizer"]
    assert list(addresses["seaweedfs"]) == ["trade2026-backend"]


def test_the_machine_itself_lends_no_way_around(containers: Containers) -> None:
    """What is published on 127.0.0.1 is not to be had at the machine's address on a lane."""
    lanes = containers.inspect("gateway")["NetworkSettings"]["Networks"]
    places = [(one["Gateway"], port) for one in lanes.values() for port in PORTS.values()]
    seen = containers.python("gateway", PROBE, {"names": [], "places": places})
    assert not any(seen["places"]), PROJECT
