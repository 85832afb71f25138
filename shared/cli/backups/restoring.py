"""A backup is put back: every sum is checked on the way, and what stood there before is moved aside, never deleted."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from shared.cli import state
from shared.cli.backups import manifest
from shared.cli.backups.manifest import Item, Manifest
from shared.cli.backups.questdb import check_empty, put_back
from shared.cli.backups.tape import FILE
from shared.cli.backups.words import Config
from shared.cli.checkout import commit_of
from shared.cli.infrastructure import ROOM_BYTES
from shared.cli.trouble import Trouble
from shared.kit.life import VERSION
from shared.kit.settings import Suite

BLOCK = 1 << 20
NO_STATE = {"run", "log"}


@dataclass(frozen=True)
class Restored:
    """What was done. `aside` says where that lies which stood there before; `told` is all of it in plain words."""

    manifest: Manifest
    var: Path
    config: str
    aside: list[str]
    this: str

    @property
    def told(self) -> dict[str, Any]:
        return {
            "var": str(self.var),
            "config": self.config,
            "aside": self.aside,
            "made_by": _named(self.manifest.version, self.manifest.git),
            "this": self.this,
        }


def restore(suite: Suite, folder: Path, *, replace: bool, config: Config | None) -> Restored:
    """Make `var` what it was, in one step at the end."""
    if state.is_held(suite.var / "run"):
        raise Trouble(f"a suite runs in {suite.var}; stop it first: trade2026 down")
    made = manifest.read(folder)
    _check_there(folder, made)
    _check_var(suite.var, replace)
    if _goes_to_questdb(suite, made):
        asyncio.run(check_empty(suite.questdb_pg, replace=replace))
    differing = _differing(suite.config, made)
    if differing and config is None:
        raise Trouble(
            f"{', '.join(differing)} in {suite.config} and in the backup differ; "
            "--config backup puts back what was saved, --config mine keeps what is there"
        )
    secrets = made.within("secrets")
    if not replace and any((suite.secrets / _below(item)).exists() for item in secrets):
        raise Trouble(f"{suite.secrets} holds secrets already; --replace moves them aside")
    wanted = {"var": suite.var.resolve()}
    if differing and config is Config.BACKUP:
        wanted["config"] = suite.config.resolve()
    if secrets:
        wanted["secrets"] = suite.secrets.resolve()
    with _locked(suite.var), _trouble(suite.var):
        aside = _put_back(folder, made, wanted, suite)
    kept = "put back" if "config" in wanted else "as it was" if differing else "the same"
    return Restored(made, suite.var, kept, aside, _named(VERSION, commit_of(suite.git)))


def _named(version: str, git: str) -> str:
    return f"{version}+{git}"


def _check_there(folder: Path, made: Manifest) -> None:
    for item in made.files:
        path = folder / item.path
        if not path.is_file():
            raise Trouble(f"{path} is missing; the backup is not whole: restore another one")
        if path.stat().st_size != item.bytes:
            raise _wrong(path, f"it has {path.stat().st_size} bytes and had {item.bytes}")


def _wrong(path: Path, why: str) -> Trouble:
    return Trouble(f"{path} is not what was saved: {why}; nothing was restored; use another backup")


def _check_var(var: Path, replace: bool) -> None:
    held = {path.name for path in var.iterdir()} - NO_STATE if var.is_dir() else set[str]()
    if held and not replace:
        raise Trouble(
            f"{var} is not empty ({', '.join(sorted(held))}); --replace moves it aside, or TRADE2026_VAR names "
            "another place"
        )


def _differing(present: Path, made: Manifest) -> list[str]:
    """The saved files of the configuration that are others here, or absent."""
    return [item.path.removeprefix("config/") for item in made.within("config") if not _is(present, item)]


def _is(folder: Path, item: Item) -> bool:
    path = folder / _below(item)
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == item.sha256


def _below(item: Item) -> Path:
    """Where a file lies within its folder of the backup."""
    return Path(*Path(item.path).parts[1:])


@contextlib.contextmanager
def _locked(var: Path) -> Generator[None]:
    """No suite starts meanwhile."""
    try:
        held = state.hold(var / "run")
    except OSError as error:
        raise Trouble(f"{var} cannot be made: {error.strerror}; TRADE2026_VAR names another place") from None
    try:
        yield
    finally:
        os.close(held)


@contextlib.contextmanager
def _trouble(var: Path) -> Generator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, asyncpg.PostgresError) as error:
        if shutil.disk_usage(var.parent).free < ROOM_BYTES:
            raise Trouble(f"the disk of {var} is full; nothing was restored") from None
        raise Trouble(f"nothing was restored: {error}") from None


def _put_back(folder: Path, made: Manifest, wanted: dict[str, Path], suite: Suite) -> list[str]:
    """Copy all of it beside where it belongs, then let names change places; `var` last."""
    for where in wanted.values():
        if where.is_mount():
            raise Trouble(f"{where} is a mount, which cannot change places; restore beside it, and copy that into it")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    renamed: list[str] = []
    fresh = {name: where.with_name(f".{where.name}.restoring") for name, where in wanted.items()}
    try:
        for name, where in fresh.items():
            shutil.rmtree(where, ignore_errors=True)  # of a restore that was interrupted
            _check_room(where.parent, made.within(name))
            where.mkdir(mode=0o700 if name == "secrets" else 0o777)
            _copy(folder, made.within(name), where)
        if _goes_to_questdb(suite, made):
            saved = fresh["var"] / FILE
            renamed = asyncio.run(put_back(saved, suite.questdb_http, suite.questdb_pg, stamp))
            shutil.rmtree(saved.parent)
    except BaseException:
        for where in fresh.values():
            shutil.rmtree(where, ignore_errors=True)
        raise
    swaps = [_swap(fresh[name], wanted[name], stamp) for name in reversed(list(wanted))]
    return [str(aside) for aside in swaps if aside is not None] + [f"{name} in QuestDB" for name in renamed]


def _goes_to_questdb(suite: Suite, made: Manifest) -> bool:
    """Whether a tape was saved that belongs where this suite keeps its own, which is not in `var`."""
    return bool(suite.questdb_http and made.within(f"var/{FILE.parent}"))


def _check_room(folder: Path, items: list[Item]) -> None:
    needed, free = sum(item.bytes for item in items) + ROOM_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise Trouble(f"{folder} has {free >> 20} MiB free, and {needed >> 20} MiB are needed; nothing was restored")


def _copy(folder: Path, items: list[Item], target: Path) -> None:
    for item in items:
        to = target / _below(item)
        to.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(folder / item.path, to, item)
    manifest.folders_to_disk(target)


def _copy_file(source: Path, target: Path, item: Item) -> None:
    """Byte by byte, so that what is checked is what was written."""
    found = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(BLOCK):
            found.update(block)
            writing.write(block)
        writing.flush()
        os.fsync(writing.fileno())
    if found.hexdigest() != item.sha256:
        raise _wrong(source, "its checksum is another")
    shutil.copystat(source, target)
    with contextlib.suppress(PermissionError):
        os.chown(target, source.stat().st_uid, source.stat().st_gid)


def _swap(fresh: Path, where: Path, stamp: str) -> Path | None:
    """Where the old one lies now; None when there was nothing in it."""
    aside = where.with_name(f"{where.name}.before-{stamp}")
    if where.exists():
        where.rename(aside)
    fresh.rename(where)
    manifest.to_disk(where.parent)
    if not aside.exists() or {path.name for path in aside.iterdir()} - {"run"}:
        return aside if aside.exists() else None
    shutil.rmtree(aside)  # nothing but the lock that is held meanwhile
    return None
