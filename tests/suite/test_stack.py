"""The stack, held against the roster and against what a swarm knows. No engine is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.contract.roster import ROSTER

CHECKOUT = Path(__file__).resolve().parents[2]
STACK: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.stack.yml").read_text())

SERVICE: dict[str, Any] = {
    "image": "trade2026",
    "command": ["oms"],
    "networks": {"lowlatency": None},
    "read_only": True,
    "cap_drop": ["ALL"],
    "depends_on": {"nats": {"condition": "service_healthy"}},
    "restart": "unless-stopped",
    "security_opt": ["no-new-privileges=true"],
    "ports": [
        {"mode": "ingress", "host_ip": "127.0.0.1", "target": 8099, "published": "8099"},
        {"mode": "host", "target": 8000, "published": "8000"},
    ],
    "tmpfs": ["/tmp:mode=1777,size=64m"],
    "volumes": [
        {"type": "bind", "source": "/a", "target": "/b", "read_only": True, "bind": {"create_host_path": True}}
    ],
    "deploy": {"resources": {"limits": {"memory": "64"}}},
}


def said(service: dict[str, Any], *, secret: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What stack.py makes of one service."""
    words = {
        "name": "trade2026",
        "services": {"oms": service},
        "networks": {"lowlatency": {"name": "trade2026-lowlatency", "driver": "overlay", "driver_opts": {"a": "b"}}},
        "volumes": {"valkey": {"name": "trade2026_valkey"}},
        "secrets": {"word": {"file": str(secret)}} if secret else {},
    }
    program = [sys.executable, CHECKOUT / "docker" / "stack.py"]
    return subprocess.run(program, input=json.dumps(words), capture_output=True, text=True, timeout=30)


def test_those_services_have_copies_whose_work_is_shared() -> None:
    copied = {name: one for name, one in STACK["services"].items() if "replicas" in one.get("deploy", {})}
    assert set(copied) == {entry.name for entry in ROSTER if entry.shared_by}
    for name, one in copied.items():
        count = f"${{{name.upper()}_SHARDS:-2}}"
        assert one["deploy"]["replicas"] == count
        assert one["environment"] == {"TRADE2026_SHARD": "{{.Task.Slot}}", "TRADE2026_SHARDS": count}
        assert one["deploy"]["update_config"] == {"parallelism": 0, "order": "stop-first"}


def test_only_the_front_door_is_published() -> None:
    ports = {name: one["ports"] for name, one in STACK["services"].items() if "ports" in one}
    assert ports == {"orchestrator": [{"target": 8000, "published": "8000", "mode": "host"}]}


def test_a_service_is_said_in_a_swarms_words() -> None:
    done = said(SERVICE)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["networks"] == {"lowlatency": {"name": "trade2026-lowlatency", "driver": "overlay", "attachable": True}}
    assert made["services"]["oms"] == {
        **{key: SERVICE[key] for key in ("image", "command", "networks", "read_only", "cap_drop")},
        "deploy": {
            "endpoint_mode": "dnsrr",
            "restart_policy": {"condition": "any", "delay": "2s"},
            "resources": {"limits": {"memory": "64"}},
        },
        "ports": [{"mode": "host", "target": 8000, "published": 8000}],
        "volumes": [
            {"type": "bind", "source": "/a", "target": "/b", "read_only": True},
            {"type": "tmpfs", "target": "/tmp", "tmpfs": {"size": 64 << 20}},
        ],
    }


def test_what_runs_once_is_not_started_again() -> None:
    once = {key: value for key, value in SERVICE.items() if key != "restart"}
    assert json.loads(said(once).stdout)["services"]["oms"]["deploy"]["restart_policy"] == {"condition": "none"}


def test_programs_are_run_from_a_copys_own_memory() -> None:
    made = json.loads(said({**SERVICE, "tmpfs": ["/tmp:mode=1777,size=256m,exec"]}).stdout)
    assert made["services"]["oms"]["volumes"][-1] == {
        "type": "volume",
        "source": "trade2026_oms-scratch",
        "target": "/tmp",
    }
    assert made["volumes"]["trade2026_oms-scratch"] == {
        "name": "trade2026_oms-scratch-{{.Task.Slot}}",
        "driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "mode=1777,size=256m"},
    }


def test_other_words_are_another_secret(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("one")
    first = json.loads(said(SERVICE, secret=tmp_path / "word").stdout)["secrets"]["word"]
    (tmp_path / "word").write_text("two")
    second = json.loads(said(SERVICE, secret=tmp_path / "word").stdout)["secrets"]["word"]
    assert first["file"] == second["file"]
    assert first["name"] != second["name"]


@pytest.mark.parametrize("key", ["privileged", "pid", "something_new"])
def test_what_is_not_known_is_not_dropped_in_silence(key: str) -> None:
    done = said({**SERVICE, key: True})
    assert done.returncode == 1
    assert f"oms: {key}" in done.stderr
    assert done.stdout == ""
