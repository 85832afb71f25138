"""The tape at one moment: a look that is opened then, and read for as long as it takes."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Self

BUSY_S = 5.0


class TapeLook:
    """SQLite's tape as it is when this is entered. Who writes is not held up; the log of writes grows meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tape: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pin(self) -> None:
        """From here on what is seen stays the same."""
        self.close()
        self._tape = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S)
        self._tape.isolation_level = None
        self._tape.execute("BEGIN")
        self._tape.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def copy(self, path: Path) -> None:
        """What was seen, into a new file."""
        assert self._tape is not None, "pin() comes first"
        path.parent.mkdir(parents=True)
        target = sqlite3.connect(path)
        try:
            self._tape.backup(target)
        finally:
            target.close()

    def close(self) -> None:
        tape, self._tape = self._tape, None
        if tape is not None:
            tape.close()
