"""The index in one SQLite file: FTS5 ranks, tables beside it hold the documents. Writer and reader have a thread each.

FTS5 is given tokens and keeps nothing else (`content=''`). It never has to forget any: a document's id follows from
its words, so what replaces a document has the same words.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.contract.documents import LOOK_MAX_S, TITLE_WEIGHT, Document, Found, Term, Wanted, folded
from shared.contract.errors import Unavailable
from shared.kit.sqlite_file import SqliteFile

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    at INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    event_ns INTEGER NOT NULL,
    category TEXT NOT NULL,
    words BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS newest ON documents (event_ns DESC, id);
CREATE TABLE IF NOT EXISTS symbols (symbol TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (symbol, at)) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5(title, body, content='', tokenize='unicode61 remove_diacritics 0');
"""

STEPS_BETWEEN_LOOKS_AT_THE_CLOCK = 20_000


class SqliteSearch:
    """Whoever looks sees what was committed; a long look holds up no write."""

    def __init__(self, path: Path) -> None:
        self._writer = SqliteFile(path, _prepare)
        self._reader = SqliteFile(path, _prepare, cache_kib=16_384)

    async def put(self, documents: Mapping[str, Document]) -> dict[str, str]:
        def write(connection: sqlite3.Connection) -> dict[str, str]:
            for id, document in documents.items():
                _put(connection, id, document)
            return {}

        return await self._writer.run(write)

    async def get(self, id: str) -> Document | None:
        sql = "SELECT words FROM documents WHERE id = ?"
        row = await self._reader.run(lambda connection: connection.execute(sql, (id,)).fetchone())
        return Document.decode(row[0]) if row else None

    async def find(self, wanted: Wanted) -> list[Found]:
        sql, values = _select(wanted)

        def look(connection: sqlite3.Connection) -> list[Any]:
            until = time.monotonic() + LOOK_MAX_S
            connection.set_progress_handler(lambda: time.monotonic() > until, STEPS_BETWEEN_LOOKS_AT_THE_CLOCK)
            try:
                return connection.execute(sql, values).fetchall()
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise Unavailable(f"the search took more than {LOOK_MAX_S:g} s; ask for less") from None
                raise
            finally:
                connection.set_progress_handler(None, 0)

        rows = await self._reader.run(look)
        return [Found(id, score, Document.decode(words)) for id, score, words in rows]

    async def settle(self) -> int:
        sql = "SELECT count(*) FROM documents"
        return await self._writer.run(lambda connection: connection.execute(sql).fetchone()[0])

    async def ping(self) -> None:
        await self._writer.run(lambda connection: connection.execute("SELECT 1").fetchone())

    async def close(self) -> None:
        await self._writer.close()
        await self._reader.close()


def _put(connection: sqlite3.Connection, id: str, document: Document) -> None:
    known = connection.execute("SELECT at, words FROM documents WHERE id = ?", (id,)).fetchone()
    row = (document.event_ns, document.category, document.encode())
    if known:
        at, words = known
        connection.execute("UPDATE documents SET event_ns = ?, category = ?, words = ? WHERE at = ?", (*row, at))
        before = Document.decode(words).symbols
        connection.executemany("DELETE FROM symbols WHERE symbol = ? AND at = ?", [(symbol, at) for symbol in before])
    else:
        sql = "INSERT INTO documents (id, event_ns, category, words) VALUES (?, ?, ?, ?)"
        at = connection.execute(sql, (id, *row)).lastrowid
        texts = (at, folded([document.title]), folded([document.body]))
        connection.execute("INSERT INTO texts (rowid, title, body) VALUES (?, ?, ?)", texts)
    connection.executemany("INSERT INTO symbols VALUES (?, ?)", [(symbol, at) for symbol in document.symbols])


def _select(wanted: Wanted) -> tuple[str, list[Any]]:
    conditions, values = ["TRUE"], list[Any]()

    def given(condition: str, *some: Any) -> None:
        conditions.append(condition)
        values.extend(some)

    if wanted.terms:
        score, source = f"-bm25(texts, {TITLE_WEIGHT}, 1.0)", "texts JOIN documents ON documents.at = texts.rowid"
        given("texts MATCH ?", _match(wanted.terms))
    else:
        score, source = "0.0", "documents"
    if wanted.symbol is not None:
        given("documents.at IN (SELECT at FROM symbols WHERE symbol = ?)", wanted.symbol)
    if wanted.category is not None:
        given("category = ?", wanted.category)
    if wanted.start_ns is not None:
        given("event_ns >= ?", wanted.start_ns)
    if wanted.end_ns is not None:
        given("event_ns < ?", wanted.end_ns)
    sql = f"SELECT id, event_ns, {score} AS score, documents.at AS at FROM {source} WHERE {' AND '.join(conditions)}"
    if (after := wanted.after) is not None:
        sql = f"SELECT * FROM ({sql}) WHERE (-score, -event_ns, id) > (?, ?, ?)"
        values += (-after.score, -after.event_ns, after.id)
    # The words are read of those alone that are shown.
    best = f"{sql} ORDER BY score DESC, event_ns DESC, id LIMIT {int(wanted.limit)}"
    order = "ORDER BY score DESC, best.event_ns DESC, best.id"
    return f"SELECT best.id, score, words FROM ({best}) best JOIN documents USING (at) {order}", values


def _match(terms: tuple[Term, ...]) -> str:
    """The terms in FTS5's words. A token is letters and digits, so that nothing in it can be taken for an operator."""

    def one(term: Term) -> str:
        return f'"{" ".join(term.words)}"' + "*" * term.prefix

    wanted = " AND ".join(one(term) for term in terms if not term.absent)
    unwanted = "".join(f" NOT {one(term)}" for term in terms if term.absent)
    return f"({wanted}){unwanted}"


def _prepare(file: sqlite3.Connection) -> None:
    file.executescript(SCHEMA)
