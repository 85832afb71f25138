"""The manifest: which files make up a backup, with their sizes and sums. What has none is not a whole backup."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from shared.cli.checkout import HOME
from shared.cli.trouble import Trouble

NAME = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Item:
    """One file of a backup."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A backup's account of itself. `parts` says of each what it held; `left_out` what a person might miss."""

    format: int
    taken_at: str
    source: str
    version: str
    git: str
    requirements_sha256: str
    paused_ms: float
    parts: dict[str, Any]
    left_out: list[str]
    files: list[Item] = field(default_factory=list[Item])

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.files)

    def within(self, folder: str) -> list[Item]:
        """The files below one of the backup's folders."""
        return [item for item in self.files if item.path.startswith(f"{folder}/")]

    def write(self, folder: Path) -> None:
        """Make the backup a whole one."""
        fresh = folder / f"{NAME}.new"
        fresh.write_text(json.dumps(asdict(self), indent=1) + "\n")
        to_disk(fresh)
        fresh.replace(folder / NAME)
        to_disk(folder)
        to_disk(folder.parent)


def read(folder: Path) -> Manifest:
    """A backup's manifest; `Trouble` when it is none, or one that this code does not understand."""
    path = folder / NAME
    try:
        words: dict[str, Any] = json.loads(path.read_text())
        found = words["format"]
        if isinstance(found, int) and found > FORMAT:
            by = f"{words.get('version', 'unknown')}, commit {words.get('git', 'unknown')}"
            raise Trouble(
                f"{folder} has format {found}, and this code reads up to {FORMAT}; restore it with the project "
                f"that made it ({by}), or a newer one"
            )
        words["files"] = [Item(**one) for one in words["files"]]
        manifest = Manifest(**words)
        for item in manifest.files:
            _check(item)
    except FileNotFoundError:
        raise Trouble(
            f"{folder} is not a whole backup: it has no {NAME}, which is written last; restore another one"
        ) from None
    except OSError as error:
        raise Trouble(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Trouble(f"{path} is not a manifest ({error!r}); restore another backup") from None
    return manifest


def _check(item: Item) -> None:
    path = PurePosixPath(item.path)
    if path.is_absolute() or ".." in path.parts or type(item.bytes) is not int or item.bytes < 0:
        raise ValueError(f"no file of a backup: {item.path!r}, {item.bytes!r} bytes")


def listed(folder: Path) -> list[Item]:
    """Every file of a backup, by its path; each is on disk when this returns."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    items: list[Item] = []
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        items.append(Item(path.relative_to(folder).as_posix(), path.stat().st_size, sha256))
    folders_to_disk(folder)
    return items


def folders_to_disk(folder: Path) -> None:
    """The names in a folder and in all below it."""
    for path in (folder, *_folders(folder)):
        to_disk(path)


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_dir())


def to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def requirements_sum() -> str:
    """What tells one set of locked dependencies from another."""
    path = HOME / "requirements" / "core.txt"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "unknown"
