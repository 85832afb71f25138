"""What the verbs say: which parts were saved or put back, how big they are, and how long it took."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.cli.backups.manifest import Manifest

PARTS = {
    "valkey": "var/valkey",
    "streams": "var/nats",
    "tape": "var/tape",
    "kills": "var/kill",
    "gateway": "var/live-gateway",
    "config": "config",
    "secrets": "secrets",
}


class Config(StrEnum):
    """Whose configuration counts where the backup's and the present one differ."""

    BACKUP = "backup"
    MINE = "mine"


def told(folder: Path, made: Manifest, seconds: float) -> dict[str, Any]:
    """A backup in plain words, as it is printed with --json."""
    return {
        "folder": str(folder),
        "taken_at": made.taken_at,
        "source": made.source,
        "version": made.version,
        "git": made.git,
        "bytes": made.bytes,
        "seconds": round(seconds, 2),
        "paused_ms": made.paused_ms,
        "parts": [_part(name, path, made) for name, path in PARTS.items() if made.within(path)],
        "left_out": made.left_out,
    }


def _part(name: str, path: str, made: Manifest) -> dict[str, Any]:
    items = made.within(path)
    return {
        "part": name,
        "files": len(items),
        "bytes": sum(item.bytes for item in items),
        "detail": _detail(name, made.parts.get(name)),
    }


def _detail(name: str, part: dict[str, Any] | None) -> str:
    if not part:
        return ""
    if name == "valkey":
        return f"{part['keys']} keys"
    return ", ".join(f"{stream} {place['messages']}" for stream, place in part.items())


def saved(said: dict[str, Any]) -> str:
    """What `backup` prints."""
    waited = f"; writes waited {said['paused_ms']:g} ms" if said["source"] == "running" else ""
    head = f"saved {size(said['bytes'])} from a {said['source']} suite in {said['seconds']:g} s{waited}"
    return "\n".join([head, *_parts(said), *(f"  not in it: {line}" for line in said["left_out"])])


def restored(said: dict[str, Any]) -> str:
    """What `restore` prints."""
    head = f"restored {size(said['bytes'])} of {said['taken_at']} to {said['var']} in {said['seconds']:g} s"
    asides = [f"  moved aside: {path}" for path in said["aside"]]
    lines = [head, *_parts(said), f"  config: {said['config']}", *asides]
    if said["made_by"] != said["this"]:
        lines.append(f"  the backup was made by {said['made_by']}, and this is {said['this']}")
    return "\n".join([*lines, *(f"  was not in it: {line}" for line in said["left_out"])])


def _parts(said: dict[str, Any]) -> list[str]:
    return [f"  {one['part']:<8} {size(one['bytes']):>10}  {one['detail']}".rstrip() for one in said["parts"]]


def size(count: int) -> str:
    """Bytes, as people say them."""
    for unit, worth in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= worth:
            return f"{count / worth:.1f} {unit}"
    return f"{count} B"
