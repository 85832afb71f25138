"""The sink's ledger: which words were heard first in which message, and what became of each message in each store.

An outcome is written once, so whatever comes again after a crash is known, and the sums are exact. What goes into the
lake is written down before, with the number of the commit: whether one that was cut short was made, the lake knows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.kit.sqlite_file import SqliteFile

Letter = tuple[int, str]
"""A message: its number in the stream and the id of its words. A stream that was lost begins its numbers anew."""

Sums = dict[str, dict[str, int]]
"""How many messages, by store and outcome."""

AGE_MAX_NS = 8 * 86_400 * 10**9
"""Longer than the stream keeps a message, which may come again as long."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS claims (
    id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, at_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS claims_by_age ON claims (at_ns);
CREATE TABLE IF NOT EXISTS outcomes (
    store TEXT NOT NULL, sequence INTEGER NOT NULL, id TEXT NOT NULL, at_ns INTEGER NOT NULL,
    PRIMARY KEY (store, sequence, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sums (
    store TEXT NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (store, outcome)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (source TEXT PRIMARY KEY, marks TEXT NOT NULL, seen TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS commits (number INTEGER PRIMARY KEY, outcomes TEXT NOT NULL);
"""


class Ledger:
    """One file. What a method wrote is on disk when it returns."""

    def __init__(self, path: Path, *, window_ns: int) -> None:
        self._file = SqliteFile(path, lambda file: file.executescript(SCHEMA))
        self._window_ns = window_ns

    async def unsettled(self, store: str, letters: Sequence[Letter], now_ns: int) -> dict[Letter, tuple[bool, int]]:
        """Those that have no outcome in this store yet: whether each is the first with its words, and when these were
        first heard. A claim that is older than the window is given to whoever comes next."""

        def claim(connection: sqlite3.Connection) -> dict[Letter, tuple[bool, int]]:
            found: dict[Letter, tuple[bool, int]] = {}
            for sequence, id in letters:
                known = "SELECT 1 FROM outcomes WHERE store = ? AND sequence = ? AND id = ?"
                if connection.execute(known, (store, sequence, id)).fetchone():
                    continue
                connection.execute("DELETE FROM claims WHERE id = ? AND at_ns <= ?", (id, now_ns - self._window_ns))
                connection.execute("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", (id, sequence, now_ns))
                of = "SELECT sequence, at_ns FROM claims WHERE id = ?"
                claimed_by, at_ns = connection.execute(of, (id,)).fetchone()
                found[sequence, id] = (claimed_by == sequence, at_ns)
            return found

        return await self._file.run(claim)

    async def settle(self, store: str, outcomes: Mapping[Letter, str], now_ns: int) -> None:
        """What became of messages, in this store."""
        await self._file.run(lambda connection: _settle(connection, store, outcomes, now_ns))

    async def begin(self, number: int, outcomes: Mapping[Letter, str]) -> None:
        """These will be settled once the lake has the commit of this number."""
        words = json.dumps([(*letter, str(outcome)) for letter, outcome in outcomes.items()])
        await self._run("INSERT OR REPLACE INTO commits VALUES (?, ?)", number, words)

    async def end(self, store: str, place: int, now_ns: int) -> None:
        """The lake has come to the commit of this number: settle what that held, forget what was not made before it.
        One of a higher number may still be made, by a process that outlived the one that asked for it."""

        def made(connection: sqlite3.Connection) -> None:
            for [words] in connection.execute("SELECT outcomes FROM commits WHERE number = ?", (place,)).fetchall():
                outcomes = {(sequence, id): outcome for sequence, id, outcome in json.loads(words)}
                _settle(connection, store, outcomes, now_ns)
            connection.execute("DELETE FROM commits WHERE number <= ?", (place,))

        await self._file.run(made)

    async def sums(self) -> Sums:
        def read(connection: sqlite3.Connection) -> Sums:
            found: Sums = {}
            for store, outcome, count in connection.execute("SELECT store, outcome, count FROM sums"):
                found.setdefault(store, {})[outcome] = count
            return found

        return await self._file.run(read)

    async def source(self, source: str) -> tuple[dict[str, str], list[str]]:
        """How a source was when it was last read: the marks by which it can tell what is new, and the ids it had."""
        sql = "SELECT marks, seen FROM sources WHERE source = ?"
        row = await self._file.run(lambda connection: connection.execute(sql, (source,)).fetchone())
        return (json.loads(row[0]), json.loads(row[1])) if row else ({}, [])

    async def visited(self, source: str, marks: Mapping[str, str], seen: Sequence[str]) -> None:
        """All that a source had has been said."""
        words = (json.dumps(dict(marks)), json.dumps(list(seen)))
        await self._run("INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", source, *words)

    async def forget(self, now_ns: int) -> None:
        """What is older than the window, and than anything that may come again."""
        await self._run("DELETE FROM claims WHERE at_ns <= ?", now_ns - self._window_ns)
        await self._run("DELETE FROM outcomes WHERE at_ns <= ?", now_ns - AGE_MAX_NS)

    async def close(self) -> None:
        await self._file.close()

    async def _run(self, sql: str, *values: Any) -> None:
        await self._file.run(lambda connection: connection.execute(sql, values))


def _settle(connection: sqlite3.Connection, store: str, outcomes: Mapping[Letter, str], now_ns: int) -> None:
    for (sequence, id), outcome in outcomes.items():
        row = (store, sequence, id, now_ns)
        if connection.execute("INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?)", row).rowcount:
            add = "INSERT INTO sums VALUES (?, ?, 1) ON CONFLICT (store, outcome) DO UPDATE SET count = count + 1"
            connection.execute(add, (store, outcome))
