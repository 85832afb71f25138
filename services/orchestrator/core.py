"""What the front door decides: the system's state from its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def system(services: Mapping[str, Mapping[str, Any]], feeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The whole: `ready` when every service is, else `degraded`, else `down` when none is; and what builds run."""
    ready = [name for name, one in services.items() if one["status"] == "ready"]
    status = "ready" if len(ready) == len(services) else "degraded" if ready else "down"
    builds = sorted({f"{one['version']}+{one['git']}" for one in services.values() if one.get("version")})
    return {
        "status": status,
        "ready": len(ready),
        "of": len(services),
        "builds": builds,
        "same_build": len(builds) <= 1,
        "services": services,
        "infrastructure": infrastructure(services),
        "feeds": feeds,
    }


def infrastructure(services: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """NATS, Valkey and the tape as the services that need them see them: up when each of those does."""
    seen: dict[str, dict[str, Any]] = {}
    for service, one in services.items():
        for check in one.get("checks", ()):
            if check["name"] in ("nats", "valkey", "tape"):
                part = seen.setdefault(check["name"], {"status": "up", "detail": ""})
                if not check["ok"]:
                    part.update(status="down", detail=f"{service}: {check['detail']}")
    return seen
