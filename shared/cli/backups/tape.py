"""The tape at one moment: a look that is opened then, and read for as long as it takes.

Whatever keeps the tape, a backup holds it as the one file that a suite without QuestDB would have.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Protocol

from shared.cli.backups.questdb import QuestLook
from shared.kit.settings import Suite

FILE = Path("tape", "tape.db")
BUSY_S = 5.0


class Look(Protocol):
    """`settle` comes first, then `pin` in the moment, again for each moment that is tried, then `copy`."""

    async def settle(self) -> int:
        """Return once everything written so far would be seen; about how many bytes a copy takes."""
        ...

    async def pin(self) -> None:
        """From here on what is seen stays the same."""
        ...

    async def copy(self, path: Path) -> None:
        """What was seen, into a new file; no file when there is no tape."""
        ...

    async def aclose(self) -> None: ...


def open_look(suite: Suite) -> Look:
    """At the tape this suite is configured for."""
    return QuestLook(suite.questdb_pg) if suite.questdb_http else FileLook(suite.var / FILE)


class FileLook:
    """SQLite's tape as it is when it is pinned. Who writes is not held up; the log of writes grows meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tape: sqlite3.Connection | None = None

    async def settle(self) -> int:
        return self._path.stat().st_size if self._path.is_file() else 0

    async def pin(self) -> None:
        await self.aclose()
        if self._path.is_file():
            self._tape = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S)
            self._tape.isolation_level = None
            self._tape.execute("BEGIN")
            self._tape.execute("SELECT count(*) FROM sqlite_master").fetchone()

    async def copy(self, path: Path) -> None:
        if self._tape is None:
            return
        path.parent.mkdir(parents=True)
        target = sqlite3.connect(path)
        try:
            self._tape.backup(target)
        finally:
            target.close()

    async def aclose(self) -> None:
        tape, self._tape = self._tape, None
        if tape is not None:
            tape.close()
