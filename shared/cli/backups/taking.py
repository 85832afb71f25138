"""A backup is taken: at one moment from a suite that runs, file by file from one that does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import asyncpg
import nats.errors
from redis.exceptions import RedisError

from shared.cli import state
from shared.cli.backups import manifest
from shared.cli.backups.jetstream import JetStream, Place, copied
from shared.cli.backups.manifest import Manifest
from shared.cli.backups.tape import FILE, Look, open_look
from shared.cli.backups.valkey import LateError, Valkey
from shared.cli.checkout import commit_of
from shared.cli.infrastructure import ROOM_BYTES
from shared.cli.trouble import Trouble
from shared.contract.base import rfc3339
from shared.contract.errors import Unavailable
from shared.kit.life import VERSION
from shared.kit.permissions import OPERATOR
from shared.kit.settings import Suite

MOMENTS_MAX = 5
SWITCHES = ("kill", "live-gateway")
"""Small folders of `var` that are copied in the moment itself."""
STORES = ("valkey", "nats", "tape")
MADE_ANEW = ("log", "run", "calendars", "secrets")
OF_THE_TAPE = "sink-ticks"
AWAY = (RedisError, nats.errors.Error, asyncpg.PostgresError, OSError, TimeoutError, sqlite3.Error, Unavailable)


def take(suite: Suite, folder: Path, *, with_secrets: bool) -> Manifest:
    """Everything into an empty folder; one that is not whole is removed again."""
    existed = _prepare(folder, suite)
    try:
        with _trouble(folder):
            return _take(suite, folder, with_secrets)
    except BaseException:
        _clear(folder, itself=not existed)
        raise


def _prepare(folder: Path, suite: Suite) -> bool:
    existed = folder.exists()
    if suite.var in (folder, *folder.parents):
        raise Trouble(f"{folder} lies in {suite.var}, which is to be saved; name a folder elsewhere")
    try:
        if existed and any(folder.iterdir()):
            why = "" if (folder / manifest.NAME).exists() else "; what lies there is no whole backup"
            raise Trouble(f"{folder} is not empty{why}; name a folder that is, or one that does not exist")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Trouble(f"{folder} cannot be used: {error.strerror}; name a folder that is yours") from None
    return existed


def _clear(folder: Path, *, itself: bool) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    if itself:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def _trouble(folder: Path) -> Generator[None]:
    """What may go wrong with stores and disks, in one line."""
    try:
        yield
    except (*AWAY, Trouble) as error:
        if shutil.disk_usage(folder).free < ROOM_BYTES:
            raise Trouble(f"the disk of {folder} is full; nothing was saved; name a folder on a larger one") from None
        if isinstance(error, Trouble):
            raise
        raise Trouble(f"nothing was saved: {error or type(error).__name__}; see `trade2026 doctor`") from None


def _take(suite: Suite, folder: Path, with_secrets: bool) -> Manifest:
    held = _held(suite)
    try:
        taken_ns = time.time_ns()
        if held is None:
            paused_ms, parts = asyncio.run(_running(suite, folder / "var"))
        else:
            paused_ms, parts = 0.0, asyncio.run(_stopped(suite, folder / "var"))
        _configuration(suite, folder, with_secrets)
        made = Manifest(
            format=manifest.FORMAT,
            taken_at=rfc3339(taken_ns),
            source="running" if held is None else "stopped",
            version=VERSION,
            git=commit_of(suite.git),
            requirements_sha256=manifest.requirements_sum(),
            paused_ms=round(paused_ms, 1),
            parts=parts,
            left_out=list(_left_out(suite, with_secrets)),
            files=manifest.listed(folder),
        )
        made.write(folder)
        return made
    finally:
        if held is not None:
            os.close(held)


def _held(suite: Suite) -> int | None:
    """The lock of a suite that is stopped, so that it stays so; None when there are stores that run."""
    elsewhere = bool(suite.nats_url) + bool(suite.valkey_url)
    if elsewhere == 2 or state.is_held(suite.var / "run"):
        return None
    if elsewhere:
        raise Trouble("a suite whose stores are partly elsewhere is saved while it runs: trade2026 up")
    if not (suite.var / "valkey").is_dir():
        raise Trouble(f"there is nothing to save in {suite.var}; TRADE2026_VAR names another place")
    return state.hold(suite.var / "run")


# A suite that runs.


async def _running(suite: Suite, var: Path) -> tuple[float, dict[str, Any]]:
    async with (
        Valkey(suite.valkey, suite.valkey_password(OPERATOR)) as valkey,
        JetStream(suite.nats, suite.nats_password(OPERATOR)) as streams,
        contextlib.aclosing(open_look(suite)) as look,
    ):
        # What the sink has finished with now will be seen in the moment; what it finishes until then it hears again.
        written = await streams.places()
        _check_room(var.parent, written.values(), await look.settle())
        places = await _moment(suite, var, valkey, streams, look)
        places = {name: place.no_further(written[name], OF_THE_TAPE) for name, place in places.items()}
        await valkey.receive(var / "valkey")
        await copied(streams, places, var / "nats")
        await look.copy(var / FILE)
        parts = {"valkey": {"keys": valkey.keys}, "streams": {name: asdict(one) for name, one in places.items()}}
        return valkey.paused_ms, parts


async def _moment(suite: Suite, var: Path, valkey: Valkey, streams: JetStream, look: Look) -> dict[str, Place]:
    """Everything as it is while nothing is committed; the reasons for the order are in this package's first words."""
    for _ in range(MOMENTS_MAX):
        await valkey.prepare()
        with contextlib.suppress(LateError):
            async with valkey.paused():
                places = await streams.places()
                await look.pin()
                _switches(suite, var)
                await valkey.dump()
            return places
    raise Trouble(f"the machine is too busy: {MOMENTS_MAX} times Valkey did not fork in time; try again later")


def _check_room(folder: Path, places: Any, tape: int) -> None:
    """A stream is there twice while it is loaded."""
    sizes = [place.bytes for place in places]
    _check_free(folder, sum(sizes) + max(sizes, default=0) + tape)


def _check_free(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + ROOM_BYTES:
        raise Trouble(
            f"{folder} has {free >> 20} MiB free, and about {(needed + ROOM_BYTES) >> 20} MiB are needed; "
            "name a folder on a larger disk"
        )


# A suite that is stopped.


async def _stopped(suite: Suite, var: Path) -> dict[str, Any]:
    log, store = suite.var / "valkey" / "appendonlydir", suite.var / "nats"
    async with contextlib.aclosing(open_look(suite)) as look:
        _check_free(var.parent, sum(_size(path) for path in (log, store)) + await look.settle())
        if log.is_dir():
            copy_tree(log, var / "valkey" / log.name)
        if store.is_dir():
            copy_tree(store, var / "nats")
        await look.pin()
        await look.copy(var / FILE)
    _switches(suite, var)
    return {}


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


# Both.


def _switches(suite: Suite, var: Path) -> None:
    for name in SWITCHES:
        shutil.rmtree(var / name, ignore_errors=True)
        if (suite.var / name).is_dir():
            copy_tree(suite.var / name, var / name)


def copy_tree(source: Path, target: Path) -> None:
    """A folder with all below it; whose each file is stays known, as far as the system allows it."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")):
        to = target / path.relative_to(source)
        if path.is_dir():
            to.mkdir(parents=True, exist_ok=True)
        elif path.is_file():
            copy_file(path, to)


def copy_file(source: Path, target: Path) -> None:
    shutil.copy2(source, target)
    found = source.stat()
    with contextlib.suppress(PermissionError):
        os.chown(target, found.st_uid, found.st_gid)


def _configuration(suite: Suite, folder: Path, with_secrets: bool) -> None:
    if suite.config.is_dir():
        copy_tree(suite.config, folder / "config")
    if with_secrets and suite.secrets.is_dir():
        copy_tree(suite.secrets, folder / "secrets")
        for path in (folder / "secrets", *(folder / "secrets").rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)


def _left_out(suite: Suite, with_secrets: bool) -> Iterator[str]:
    """What a person might believe to be in it."""
    if absent := [name for name in SWITCHES if not (suite.var / name).is_dir()] if suite.valkey_url else []:
        yield f"{' and '.join(absent)}: not found in {suite.var}; what risk knows of kills is in Valkey"
    if not with_secrets:
        yield "secrets: --with-secrets takes them"
    known = {*STORES, *SWITCHES, *MADE_ANEW}
    others = sorted(path.name for path in suite.var.iterdir() if path.name not in known) if suite.var.is_dir() else []
    if others:
        yield f"what else lies in {suite.var}: {', '.join(others)}"
    yield "logs, and what is made anew at a start"
