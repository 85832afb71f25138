"""Replaying a file: asked of the gateway, watched until it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shared.cli.door import Door
from shared.cli.trouble import Trouble

OVER = ("DONE", "FAILED", "CANCELLED")
POLL_S = 0.2
COUNTS = ("lines", "used_ticks", "used_quotes", "other", "bad", "conflated")
BAD_SHOWN = 5


def start(door: Door, path: Path, options: Mapping[str, object]) -> Any:
    """Begin it; the gateway's answer, which carries the replay's id."""
    # The gateway stands elsewhere, so it is told the whole path.
    return door.post("/api/gateway/replay", {"path": str(path.expanduser().absolute()), **options})


def watch(door: Door, replay: Mapping[str, Any], *, bar: bool) -> dict[str, Any]:
    """Its last state, once it is over; with a progress bar while it goes on, where someone looks at one."""
    if not (bar and sys.stderr.isatty()):
        return _until_over(door, replay["id"], _unseen)
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    look = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*look, console=Console(stderr=True)) as progress:
        task = progress.add_task(str(replay["id"]), total=None)

        def seen(now: Mapping[str, Any]) -> None:
            part = fraction(now)
            progress.update(task, total=None if part is None else 1.0, completed=part or 0.0)

        return _until_over(door, replay["id"], seen)


def _until_over(door: Door, replay_id: str, seen: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    while True:
        now: dict[str, Any] = door.get(f"/api/gateway/replays/{replay_id}")
        seen(now)
        if now.get("state") in OVER:
            return now
        time.sleep(POLL_S)


def fraction(now: Mapping[str, Any]) -> float | None:
    """How far it is, 0 to 1; None while that is not known."""
    if now.get("state") == "DONE":
        return 1.0
    total = now.get("total")
    return min(1.0, float(now.get("read", 0)) / total) if total else None


def _unseen(_now: Mapping[str, Any]) -> None:
    return None


def summary(now: Mapping[str, Any]) -> str:
    """What became of every line, and the first of the bad ones."""
    counts = [f"{name.replace('_', ' ')} {now[name]}" for name in COUNTS if name in now]
    lines = [f"{now.get('id')}: {now.get('state')}", "  " + ", ".join(counts)]
    bad: list[Mapping[str, Any]] = now.get("bad_lines") or []
    lines += [f"  line {fault.get('line')}: {fault.get('reason')}" for fault in bad[:BAD_SHOWN]]
    if len(bad) > BAD_SHOWN:
        lines.append(f"  … and more: GET /api/gateway/replays/{now.get('id')}")
    return "\n".join(lines)


def failed(now: Mapping[str, Any]) -> Trouble | None:
    """Why the command has failed, when it has."""
    if now.get("state") in ("FAILED", "CANCELLED"):
        return Trouble(f"the replay ended {now['state']}: {now.get('error') or 'no reason given'}")
    return None
