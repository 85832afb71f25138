"""Make the lanes that are missing, as compose itself would: `docker compose … config --format json | networks.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def command(project: str, key: str, network: dict[str, Any]) -> list[str]:
    """How the engine is asked for one; with these labels, compose takes it for its own."""
    labels = {
        **network["labels"],
        "com.docker.compose.project": project,
        "com.docker.compose.network": key,
    }
    options = [word for name, value in network["driver_opts"].items() for word in ("--opt", f"{name}={value}")]
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    subnet = network["ipam"]["config"][0]["subnet"]
    return ["docker", "network", "create", "--subnet", subnet, *options, *words, network["name"]]


def main() -> int:
    wanted = json.load(sys.stdin)
    for key, network in wanted["networks"].items():
        known = subprocess.run(["docker", "network", "inspect", network["name"]], check=False, capture_output=True)
        if known.returncode:
            subprocess.run(command(wanted["name"], key, network), check=True, stdout=subprocess.DEVNULL)
            sys.stdout.write(f"{network['name']} made\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
