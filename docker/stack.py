"""Say the compose files as a stack of a swarm: what `docker compose … config --format json` gives comes in, and what
`docker stack deploy` takes goes out.

A swarm knows older words than Compose, and some of them not at all. What is here neither taken over nor left out on
purpose is an error, so that nothing that matters is dropped in silence.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

KEPT = {
    *("cap_add", "cap_drop", "command", "configs", "deploy", "entrypoint", "environment", "healthcheck", "image"),
    *("labels", "logging", "networks", "ports", "read_only", "secrets", "stop_grace_period", "ulimits", "user"),
}
CHANGED = {"restart", "tmpfs", "volumes"}
LEFT_OUT = {"build", "depends_on", "memswap_limit", "network_mode", "profiles", "security_opt"}
"""Images are built before; who starts too early tries again; new privileges are forbidden by the engine's own settings
(`no-new-privileges` in daemon.json) or not at all."""

SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class NotKnown(Exception):
    """Something that this does not know how to say."""


def stack(wanted: dict[str, Any]) -> dict[str, Any]:
    """The same services, in the words of a stack."""
    project = wanted["name"]
    volumes: dict[str, Any] = {name: {} for name in wanted.get("volumes", {})}
    services = {name: _service(f"{project}_{name}", service, volumes) for name, service in wanted["services"].items()}
    return {
        "version": "3.9",
        "services": services,
        "networks": {name: _network(network) for name, network in wanted["networks"].items() if name != "default"},
        "volumes": volumes,
        "secrets": {
            name: _secret(f"{project}_{name}", secret["file"]) for name, secret in wanted.get("secrets", {}).items()
        },
    }


def _service(name: str, service: dict[str, Any], volumes: dict[str, Any]) -> dict[str, Any]:
    unknown = service.keys() - KEPT - CHANGED - LEFT_OUT
    if unknown:
        raise NotKnown(
            f"{name}: {', '.join(sorted(unknown))} of a service cannot be said to a swarm by docker/stack.py"
        )
    said = {key: value for key, value in service.items() if key in KEPT and value is not None}
    said["volumes"] = [_mount(one) for one in service.get("volumes", [])]
    said["volumes"] += [_scratch(name, one, volumes) for one in service.get("tmpfs", [])]
    # A name leads to the copies themselves, not to a balancer before them, which their long connections have no use of.
    again = {"condition": "any", "delay": "2s"} if "restart" in service else {"condition": "none"}
    said["deploy"] = {"endpoint_mode": "dnsrr", "restart_policy": again, **service.get("deploy", {})}
    # To one address alone a swarm cannot publish: then rather not at all.
    published = [port for port in service.get("ports", []) if port["mode"] == "host"]
    said["ports"] = [{**port, "published": int(port["published"])} for port in published]
    return said


def _mount(mount: dict[str, Any]) -> dict[str, Any]:
    return {key: mount[key] for key in ("type", "source", "target", "read_only") if key in mount}


def _scratch(name: str, tmpfs: str, volumes: dict[str, Any]) -> dict[str, Any]:
    """Room in memory; where programs are run from it, a volume of each copy, since a swarm's own allows none to be."""
    target, _, options = tmpfs.partition(":")
    words = options.split(",")
    size = next(word.removeprefix("size=") for word in words if word.startswith("size="))
    if "exec" not in words:
        return {"type": "tmpfs", "target": target, "tmpfs": {"size": int(size[:-1]) * SIZES[size[-1]]}}
    options = ",".join(word for word in words if word != "exec")
    volumes[f"{name}-scratch"] = {
        "name": f"{name}-scratch-{{{{.Task.Slot}}}}",
        "driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": options},
    }
    return {"type": "volume", "source": f"{name}-scratch", "target": target}


def _network(network: dict[str, Any]) -> dict[str, Any]:
    kept = {key: network[key] for key in ("name", "ipam", "labels") if key in network}
    return {**kept, "driver": network.get("driver", "overlay"), "attachable": True}


def _secret(name: str, path: str) -> dict[str, Any]:
    """Named after its words, too: a swarm's secrets never change, so other words are another secret."""
    return {"file": path, "name": f"{name}-{hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]}"}


def main() -> int:
    try:
        json.dump(stack(json.load(sys.stdin)), sys.stdout, indent=1)
    except NotKnown as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
