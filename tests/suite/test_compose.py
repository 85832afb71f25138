"""The containers, held against the roster and against what is promised of each. No engine is needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.cli.infrastructure import NATS_CONFIG, VALKEY_CONFIG
from shared.contract.roster import BY_NAME, NATS_MONITOR_PORT, NATS_PORT, ROSTER, VALKEY_PORT, Entry
from shared.kit.run import prepare
from shared.kit.settings import Suite

CHECKOUT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")
LANES = {"F": "frontend", "L": "lowlatency", "B": "backend"}
SUBNETS = {"frontend": "172.23.0.0/16", "lowlatency": "172.22.0.0/16", "backend": "172.21.0.0/16"}
INFRASTRUCTURE = {
    "nats": [NATS_PORT, NATS_MONITOR_PORT],
    "valkey": [VALKEY_PORT],
    "questdb": [9000, 8812, 9009],
    "seaweedfs": [8333],
}
ON_DEMAND = {"edge": "edge", "opensearch": "search"}
"""Containers that a profile brings."""
ONCE = {"volumes"}
"""Run once and end."""
USERS = {"opensearch": "1000:1000"}
"""Where the image lets in one user alone."""

TEXTS = {name: (CHECKOUT / f"docker-compose.{name}.yml").read_text() for name in ("core", "apps")}
EVERY_TEXT = [path.read_text() for path in sorted(CHECKOUT.glob("docker-compose.*.yml"))]
CORE, APPS = (yaml.safe_load(VARIABLE.sub(lambda found: found[2] or "", text)) for text in TEXTS.values())
CONTAINERS: dict[str, Any] = CORE["services"] | APPS["services"]

every_service = pytest.mark.parametrize("entry", ROSTER, ids=lambda entry: entry.name)
every_container = pytest.mark.parametrize("name", CONTAINERS)


def test_every_service_has_a_container_and_every_container_a_service() -> None:
    assert set(APPS["services"]) == set(BY_NAME)
    assert set(CORE["services"]) == set(INFRASTRUCTURE) | set(ON_DEMAND) | ONCE
    assert {name: one["profiles"] for name, one in CONTAINERS.items() if "profiles" in one} == {
        name: [profile] for name, profile in ON_DEMAND.items()
    }


@every_service
def test_a_service_is_started_on_its_lanes_and_its_port(entry: Entry) -> None:
    container = CONTAINERS[entry.name]
    assert container["command"] == [entry.name]
    assert container["networks"] == [LANES[lane] for lane in entry.lanes]
    assert container["ports"] == [f"127.0.0.1:{entry.port}:{entry.port}"]


@pytest.mark.parametrize(("name", "ports"), INFRASTRUCTURE.items(), ids=list(INFRASTRUCTURE))
def test_infrastructure_is_on_its_ports(name: str, ports: list[int]) -> None:
    assert CONTAINERS[name]["ports"] == [f"127.0.0.1:{port}:{port}" for port in ports]


def test_what_everybody_needs_is_on_both_inner_lanes() -> None:
    assert all(CONTAINERS[name]["networks"] == ["lowlatency", "backend"] for name in ("nats", "valkey", "questdb"))
    assert CONTAINERS["seaweedfs"]["networks"] == ["backend"]


def test_search_knows_no_users_and_is_on_one_lane_with_no_more_than_its_port() -> None:
    search = CONTAINERS["opensearch"]
    settings = yaml.safe_load((CHECKOUT / "docker" / "opensearch" / "opensearch.yml").read_text())
    assert search["networks"] == ["backend"]
    assert search["ports"] == ["127.0.0.1:9200:9200"]
    assert settings["transport.host"] == "127.0.0.1"
    assert settings["discovery.type"] == "single-node"
    assert search["memswap_limit"] == search["deploy"]["resources"]["limits"]["memory"]


def test_a_service_waits_for_what_it_touches_and_for_nothing_else() -> None:
    parts = {"bus": "nats", "valkey": "valkey", "tape": "questdb", "lake": "seaweedfs"}
    for name, life in prepare(Suite()).items():
        touched = {store for part, store in parts.items() if life._kit.touched(part)}
        needs = CONTAINERS[name].get("depends_on", {})
        assert set(needs) - ONCE == touched, name
        assert all(needs[store] == {"condition": "service_healthy"} for store in touched)


def test_the_lanes_have_their_names_and_addresses_and_fit_into_linux() -> None:
    assert {key: network["ipam"]["config"][0]["subnet"] for key, network in CORE["networks"].items()} == SUBNETS
    for key, network in CORE["networks"].items():
        assert network["name"] == f"trade2026-{key}"
        assert len(network["driver_opts"]["com.docker.network.bridge.name"]) <= 15
        assert network["labels"] == {"cpgs.version": "1.0", "cpgs.lane": key}
    assert not any(
        ip_network(one).overlaps(ip_network(other))
        for one in SUBNETS.values()
        for other in SUBNETS.values()
        if one != other
    )


@every_container
def test_a_container_can_do_little_harm(name: str) -> None:
    container = CONTAINERS[name]
    limits = container["deploy"]["resources"]["limits"]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges=true"]
    assert limits["memory"]
    assert limits["pids"] <= 512
    assert container["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    if name not in ONCE:
        assert container["user"] == USERS.get(name, "10001:10001")
        assert "cap_add" not in container
        assert container["restart"] == "unless-stopped"
        assert all(mount.startswith("/tmp:") or ":ro," in mount for mount in container["tmpfs"])


def test_of_this_machines_files_none_may_be_written_to() -> None:
    for name, container in CONTAINERS.items():
        for mount in container.get("volumes", []):
            assert not mount.startswith((".", "/")) or mount.endswith(":ro"), f"{name}: {mount}"
        assert "docker.sock" not in str(container)
        assert not container.get("privileged")


@every_container
def test_what_is_published_is_published_to_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in CONTAINERS[name].get("ports", []))


def test_a_server_says_whether_it_is_healthy() -> None:
    assert all("test" in CORE["services"][name]["healthcheck"] for name in [*INFRASTRUCTURE, *ON_DEMAND])
    assert "HEALTHCHECK" in (CHECKOUT / "docker" / "Dockerfile").read_text()


def test_every_image_is_named_by_a_variable_with_a_public_default() -> None:
    for container in (
        one for text in TEXTS.values() for one in re.findall(r"^    image: (.*)|^  image: (.*)", text, re.M)
    ):
        (image,) = filter(None, container)
        found = VARIABLE.fullmatch(image)
        assert found, f"{image} is not a variable"
        assert re.fullmatch(r"[a-z0-9/]+:[\w.-]+", found[2])


@pytest.mark.parametrize("name", ["questdb", "seaweedfs", "opensearch"])
def test_what_is_tested_is_of_the_version_that_is_shipped(name: str) -> None:
    [shipped] = re.findall(rf"(?i)^{name}_image=.*:(.*)$", (CHECKOUT / ".env.example").read_text(), re.M)
    scripts = [(CHECKOUT / path).read_text() for path in (".ci/run", "tests/compose/prepare.sh")]
    tested = re.findall(rf"(?i){name}[:=](\d[\d.]*)", "\n".join(scripts))
    assert set(tested) == {shipped}


def test_every_variable_has_a_default_and_is_explained() -> None:
    written = dict(re.findall(r"^(\w+)=(.*)$", (CHECKOUT / ".env.example").read_text(), re.M))
    used = {name: default for text in EVERY_TEXT for name, default in VARIABLE.findall(text)}
    assert written == used
    dockerfile = (CHECKOUT / "docker" / "Dockerfile").read_text()
    assert f"ARG PYTHON_IMAGE={written['PYTHON_IMAGE']}\n" in dockerfile


def test_the_same_image_has_the_same_default_everywhere() -> None:
    defaults: dict[str, set[str]] = {}
    for name, default in (found for text in EVERY_TEXT for found in VARIABLE.findall(text)):
        defaults.setdefault(name, set()).add(default)
    assert [name for name, found in defaults.items() if len(found) > 1] == []


def test_every_secret_is_a_file_that_is_there() -> None:
    files = {name: CHECKOUT / one["file"] for name, one in (CORE["secrets"] | APPS["secrets"]).items()}
    for name, container in CONTAINERS.items():
        for secret in container.get("secrets", []):
            keeps_lake = secret == "seaweedfs_s3" and "seaweedfs" in container.get("depends_on", {})
            assert keeps_lake or secret.startswith(f"{name.replace('-', '_')}_"), "each is given its own secrets alone"
            assert "profiles" in container or files[secret].is_file()


def test_the_containers_servers_promise_what_the_embedded_ones_do() -> None:
    ours = (CHECKOUT / "docker" / "valkey.conf").read_text().splitlines()
    of_its_place = {"bind", "port", "dir", "daemonize", "aclfile"}
    theirs = [line for line in VALKEY_CONFIG.splitlines() if line.split()[0] not in of_its_place]
    assert set(theirs) <= set(ours)
    nats = (CHECKOUT / "docker" / "nats.conf").read_text()
    for promise in ("max_payload", "max_memory_store", "max_file_store", "sync_interval"):
        (line,) = re.findall(rf"{promise}: .*", NATS_CONFIG)
        assert line in nats


def test_the_build_needs_no_newer_builder_than_the_classic_one() -> None:
    dockerfile = (CHECKOUT / "docker" / "Dockerfile").read_text()
    assert not re.search(r"^# syntax=|--mount|--chmod|--link|<<", dockerfile, re.M)


def test_the_compiler_is_unpacked_where_there_are_bars() -> None:
    folders = [path for path in (CHECKOUT / "services").iterdir() if path.is_dir()]
    folding = {folder for folder in folders for path in folder.rglob("*.py") if "domain.bars" in path.read_text()}
    start = (CHECKOUT / "docker" / "start").read_text()
    assert {entry.name for entry in ROSTER if CHECKOUT / "services" / entry.package in folding} == set(
        re.findall(r"^([a-z| -]+)\)$", start, re.M)[0].split(" | ")
    )


def test_the_lanes_can_be_made_beforehand() -> None:
    folder = str(CHECKOUT / "docker")
    words = {"name": "trade2026", "networks": CORE["networks"]}
    program = (
        f"import json, sys; sys.path.insert(0, {folder!r}); import networks; words = json.load(sys.stdin)\n"
        "print(json.dumps([networks.command(words['name'], key, one) for key, one in words['networks'].items()]))"
    )
    done = subprocess.run([sys.executable, "-c", program], input=json.dumps(words), capture_output=True, text=True)
    commands = json.loads(done.stdout)
    assert [command[-1] for command in commands] == [f"trade2026-{key}" for key in SUBNETS]
    assert "com.docker.compose.network=lowlatency" in commands[1]
    assert "172.22.0.0/16" in commands[1]
