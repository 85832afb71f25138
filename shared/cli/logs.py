"""Log files, one per process: kept to a size, and read together in the order of their times."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from shared.cli.trouble import Trouble
from shared.contract.roster import BY_NAME

BYTES_MAX = 64 << 20
KEPT = 3
TAIL_BYTES = 1 << 20
LINES_BEFORE = 200
KNOWN = (*BY_NAME, "nats", "valkey", "supervisor")

_TIME = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)")


def rotate(path: Path, bytes_max: int = BYTES_MAX) -> None:
    """Set a log that has grown too large aside as `.1`, the one before it as `.2`, and so on.

    The file itself is emptied and not renamed, because its process goes on writing to it.
    """
    if not path.exists() or path.stat().st_size <= bytes_max:
        return
    for number in range(KEPT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)


def tail(path: Path, count: int) -> list[str]:
    """The last lines of a file, at most `count`; none when it does not exist."""
    if count <= 0 or not path.exists():
        return []
    with path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
    return lines[-count:]


def paths(folder: Path, service: str | None) -> dict[str, Path]:
    """The logs to read, by name; `Trouble` naming the known ones."""
    if service is not None and service not in KNOWN:
        raise Trouble(f"there is no service {service!r}; known: {', '.join(KNOWN)}")
    return {name: folder / f"{name}.log" for name in KNOWN if service in (None, name)}


def recent(files: dict[str, Path], count: int) -> list[str]:
    """The last `count` lines of all files together, oldest first, each under its service's name."""
    timed: list[tuple[str, str, str]] = []
    for name, path in files.items():
        at = ""
        for line in tail(path, count + LINES_BEFORE):
            at = _when(line) or at  # a line without a time belongs to the one before it
            timed.append((at, name, line))
    timed.sort(key=lambda entry: entry[0])
    return [_named(files, name, line) for _, name, line in timed][-count:]


def coming(files: dict[str, Path], every_s: float = 0.2) -> Iterator[str]:
    """Lines written from this call on, for ever."""
    return _coming(files, {name: path.stat().st_size if path.exists() else 0 for name, path in files.items()}, every_s)


def _coming(files: dict[str, Path], reached: dict[str, int], every_s: float) -> Iterator[str]:
    while True:
        for name, path in files.items():
            lines, reached[name] = _since(path, reached[name])
            yield from (_named(files, name, line) for line in lines)
        time.sleep(every_s)


def ends(folder: Path, names: Iterable[str], count: int = 15) -> str:
    """The last lines of some logs, for a message about what failed."""
    return "\n".join(f"  {name}: {line}" for name in names for line in tail(folder / f"{name}.log", count))


def _since(path: Path, position: int) -> tuple[list[str], int]:
    if not path.exists():
        return [], 0
    with path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(position if position <= size else 0)
        whole, newline, _ = log.read().rpartition(b"\n")
        if not newline:
            return [], min(position, size)
        start = position if position <= size else 0
        return whole.decode(errors="replace").splitlines(), start + len(whole) + 1


def _when(line: str) -> str:
    found = _TIME.search(line)
    return "{}-{}-{}T{}".format(*found.groups()) if found else ""


def _named(files: dict[str, Path], name: str, line: str) -> str:
    return line if len(files) == 1 else f"{name:<{_width(tuple(files))}} {line}"


def _width(names: Sequence[str]) -> int:
    return max(len(name) for name in names)
