"""The doctor: is everything here that a suite needs? One line each, and how to mend what is missing."""

from __future__ import annotations

import importlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException

from shared.cli import infrastructure, ports, state
from shared.cli.trouble import Trouble
from shared.contract.roster import ROSTER
from shared.kit.settings import Settings, SettingsError, Suite, load, load_instruments, read_yaml

PACKAGES = (
    *("asyncpg", "fastapi", "httptools", "httpx", "nats", "numba", "numpy", "orjson", "prometheus_client", "psutil"),
    *("pyarrow", "pydantic", "questdb", "redis", "rich", "structlog", "typer", "uvicorn", "uvloop", "yaml"),
)
DISK_FREE_MIN = 1 << 30
OPEN_FILES_MIN = 4096


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `mend` says what to do when it is not well."""

    name: str
    ok: bool
    detail: str
    mend: str = ""

    @property
    def line(self) -> str:
        return (
            f"ok       {self.name}: {self.detail}" if self.ok else f"missing  {self.name}: {self.detail} → {self.mend}"
        )

    @property
    def words(self) -> dict[str, object]:
        return {**asdict(self), "mend": "" if self.ok else self.mend}


def examine(suite: Suite) -> list[Finding]:
    """Everything looked at, in the order in which a start would need it."""
    looks: tuple[Callable[[Suite], Iterator[Finding]], ...] = (
        _python,
        _binaries,
        _folder,
        _open_files,
        _configuration,
        _ports,
        _questdb,
    )
    return [finding for look in looks for finding in look(suite)]


def _python(_suite: Suite) -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or later, then make run")
    absent: list[str] = []
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            absent.append(f"{name} ({error})")
    detail = ", ".join(absent) or f"{len(PACKAGES)} importable"
    yield Finding("packages", not absent, detail, "make clean run installs them anew")


def _binaries(suite: Suite) -> Iterator[Finding]:
    parts = (("nats-server", infrastructure.nats_binary), ("valkey-server", infrastructure.valkey_binary))
    for name, find in parts:
        if suite.nats_url if name == "nats-server" else suite.valkey_url:
            continue
        try:
            asked = subprocess.run([str(find()), "--version"], capture_output=True, text=True, timeout=10, check=True)
            yield Finding(name, True, (asked.stdout or asked.stderr).strip().splitlines()[0])
        except Trouble as trouble:
            yield Finding(name, False, str(trouble), "make run installs it")
        except (OSError, subprocess.SubprocessError, IndexError) as error:
            yield Finding(name, False, f"cannot be run: {error}", "make clean run installs it anew")


def _folder(suite: Suite) -> Iterator[Finding]:
    existing = next(path for path in (suite.var, *suite.var.parents) if path.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    yield Finding("var", writable, f"{suite.var} can be written", f"make {existing} writable, or set TRADE2026_VAR")
    free = shutil.disk_usage(existing).free
    detail = f"{free / (1 << 30):.1f} GiB free"
    yield Finding("disk", free >= DISK_FREE_MIN, detail, "free 1 GiB, or set TRADE2026_VAR to a larger disk")


def _open_files(_suite: Suite) -> Iterator[Finding]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    enough = hard == resource.RLIM_INFINITY or hard >= OPEN_FILES_MIN
    detail = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    yield Finding("open files", enough, detail, f"raise the hard limit (ulimit -Hn) to {OPEN_FILES_MIN}")


def _configuration(suite: Suite) -> Iterator[Finding]:
    wrong: list[str] = []
    for check in (lambda: load_instruments(suite), lambda: read_yaml(suite.config / "accounts.yaml")):
        wrong += _fault(check)
    for entry in ROSTER:
        wrong += _fault(lambda e=entry: _load(e.name, e.package, suite))
    detail = "; ".join(wrong) or f"{suite.config} is in order"
    yield Finding("configuration", not wrong, detail, "correct that key")


def _load(name: str, package: str, suite: Suite) -> None:
    kind: type[Settings] = importlib.import_module(f"services.{package}.settings").Settings
    load(kind, name, suite)


def _fault(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except (SettingsError, ImportError, OSError) as error:
        return [str(error)]
    return []


def _ports(suite: Suite) -> Iterator[Finding]:
    ours = state.running(suite.var / "run")
    if ours is not None:
        yield Finding("ports", True, f"held by this suite (pid {ours.pid})")
        return
    taken = [
        f"{port} ({name}, {ports.holder(port)})"
        for name, port in ports.wanted(suite).items()
        if not ports.is_free(port)
    ]
    detail = f"taken: {', '.join(taken)}" if taken else f"{len(ports.wanted(suite))} free"
    yield Finding("ports", not taken, detail, "free them, or set TRADE2026_PORT_OFFSET")


def _questdb(suite: Suite) -> Iterator[Finding]:
    if not suite.questdb_http:
        return
    host, _, port = suite.questdb_http.rpartition(":")
    connection = HTTPConnection(host, int(port or 9000), timeout=3)
    try:
        connection.request("GET", "/exec?query=select%201")
        status = connection.getresponse().status
        yield Finding("questdb", status == 200, f"{suite.questdb_http} answers {status}", "look at its log")
    except (OSError, HTTPException) as error:
        yield Finding("questdb", False, f"{suite.questdb_http}: {error}", "start it, or unset TRADE2026_QUESTDB_HTTP")
    finally:
        connection.close()
