"""Programs that tests run and PyPI does not have: out of Debian's packages, and kept in a cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

CACHE = Path.home() / ".cache" / "trade2026"


def from_debian(package: str, program: str) -> Path:
    """A program on the path, or out of a Debian package, which is unpacked and not installed."""
    if found := shutil.which(program):
        return Path(found)
    folder = CACHE / package
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            if not _done(["apt-get", "download", package], scratch):
                _done(["apt-get", "update"], scratch)
                _need(["apt-get", "download", package], scratch)
            for archive in Path(scratch).glob("*.deb"):
                _need(["dpkg-deb", "--extract", archive.name, "all"], scratch)
            (Path(scratch) / "all").rename(folder)
    return folder / "usr" / "bin" / program


def _done(command: list[str], folder: str) -> bool:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _need(command: list[str], folder: str) -> None:
    """Where it cannot be done the test is skipped, but in CI it fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        trouble = done.stderr[-2000:] if done.returncode else ""
    except FileNotFoundError as error:
        trouble, done = str(error), None
    if done is None or trouble:
        reason = f"wanted: {' '.join(command)}: {trouble}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
