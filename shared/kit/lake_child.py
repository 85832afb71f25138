"""The lake's own process, run as a program: what deltalake is asked for, and its answers.

deltalake takes 60 MB once it is imported and a call of it cannot be ended, so neither is done in a service. This file
stands on nothing of the project, since that would be imported with it. It is asked over a socket: a line of JSON, then
rows as an Arrow IPC stream where there are any; it answers with a line of JSON, and ends with its parent.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, WriterProperties
from deltalake import write_deltalake as write
from deltalake.exceptions import TableNotFoundError

Ask = dict[str, Any]

PROPERTIES = WriterProperties(compression="ZSTD", compression_level=3)
CONFIGURATION = {"delta.checkpointInterval": "100", "delta.logRetentionDuration": "interval 7 days"}
TYPES = {
    "symbol": pa.utf8(),
    "text": pa.utf8(),
    "texts": pa.list_(pa.utf8()),
    "float": pa.float64(),
    "int": pa.int64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
FILE_BYTES = 128 << 20
"""What compaction makes of many small files."""


class Tables:
    """Those that were asked for, each brought up to date before it is used."""

    def __init__(self) -> None:
        self._known: dict[str, DeltaTable] = {}

    def find(self, ask: Ask) -> DeltaTable | None:
        """The table as it is now; None while nothing was written to it."""
        uri = ask["uri"]
        known = self._known.get(uri)
        if known is None:
            try:
                known = self._known[uri] = DeltaTable(uri, storage_options=ask["options"])
            except TableNotFoundError:
                return None
        else:
            known.update_incremental()
        return known

    def forget(self, ask: Ask) -> None:
        """What is known of it may be wrong."""
        self._known.pop(ask["uri"], None)


def place(tables: Tables, ask: Ask) -> int:
    """Up to which number of a source the table holds its rows."""
    table = tables.find(ask)
    return 0 if table is None else table.transaction_version(ask["source"]) or 0


def append(tables: Tables, ask: Ask) -> int:
    """Add rows in one commit. Of a source: only to what it begins after, and the commit says how far it went."""
    table = tables.find(ask)
    before = -1 if table is None else table.version()
    if source := ask.get("source"):
        at = 0 if table is None else table.transaction_version(source) or 0
        if at != ask["after"]:
            return at
    rows = _shaped(pa.ipc.open_stream(ask["rows"]).read_all(), ask["kinds"])
    # Two writers of one source cannot both commit: whoever comes second finds the transaction taken.
    taken = [Transaction(source, ask["upto"])] if source else None
    write(
        ask["uri"] if table is None else table,
        rows,
        partition_by=ask["partition_by"],
        mode="append",
        schema_mode="merge",
        configuration=CONFIGURATION if table is None else None,
        storage_options=ask["options"],
        writer_properties=PROPERTIES,
        commit_properties=CommitProperties(app_transactions=taken, max_commit_retries=3),
        post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=None),
    )
    _sync(tables, ask, before)
    return ask.get("upto", 0)


def count(tables: Tables, ask: Ask) -> int:
    """How many rows it holds."""
    table = tables.find(ask)
    return 0 if table is None else table.count()


def compact(tables: Tables, ask: Ask) -> dict[str, int]:
    """Make few large files of many small ones, each commit within its partition."""
    table = tables.find(ask)
    if table is None:
        return {"removed": 0, "added": 0}
    before = table.version()
    told = table.optimize.compact(target_size=FILE_BYTES, max_concurrent_tasks=1, writer_properties=PROPERTIES)
    _sync(tables, ask, before)  # the small files are deleted some day
    return {"removed": told["numFilesRemoved"], "added": told["numFilesAdded"]}


def vacuum(tables: Tables, ask: Ask) -> int:
    """Delete files that no version younger than so many hours holds."""
    table = tables.find(ask)
    if table is None:
        return 0
    return len(table.vacuum(ask["hours"], dry_run=False, enforce_retention_duration=False))


def _shaped(rows: Any, kinds: dict[str, str]) -> Any:
    """With the table's own types, and the timestamp in its three forms."""
    at_ns = rows["timestamp"].cast(pa.int64())
    at = _micros(at_ns)
    given = {name: _micros(rows[name]) if kind == "timestamp" else rows[name] for name, kind in kinds.items()}
    columns = {name: column.cast(TYPES[kinds[name]]) for name, column in given.items()}
    return pa.table({"timestamp": at, "timestamp_ns": at_ns, **columns, "date": at.cast(pa.date32(), safe=False)})


def _micros(column: Any) -> Any:
    return column.cast(pa.timestamp("ns", tz="UTC")).cast(TYPES["timestamp"], safe=False)


def _sync(tables: Tables, ask: Ask, before: int) -> None:
    """What was committed to a folder of this machine is on its disk before it is told of."""
    root = Path(ask["uri"])
    if "://" in ask["uri"] or (table := tables.find(ask)) is None:
        return
    log = root / "_delta_log"
    versions = range(before + 1, table.version() + 1)
    commits = [log / f"{version:020}.json" for version in versions]
    checkpoints = [path for version in versions for path in log.glob(f"{version:020}.checkpoint*")]
    words = [json.loads(line) for commit in commits for line in commit.read_text().splitlines()]
    added = [root / unquote(word["add"]["path"]) for word in words if "add" in word]
    folders = {parent for path in added for parent in path.parents if parent.is_relative_to(root)}
    for path in (*added, *folders, *commits, *checkpoints, log / "_last_checkpoint", log, root, root.parent):
        with suppress(FileNotFoundError):  # compacted and deleted meanwhile
            opened = os.open(path, os.O_RDONLY)
            os.fsync(opened)
            os.close(opened)


WORK: dict[str, Callable[[Tables, Ask], Any]] = {
    each.__name__: each for each in (place, append, count, compact, vacuum)
}


def main(parent: Connection) -> None:
    """Answer until the parent is gone."""
    tables = Tables()
    while True:
        try:
            ask = json.loads(parent.recv_bytes())
            if ask["do"] == "append":
                ask["rows"] = parent.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            answer = {"is": WORK[ask["do"]](tables, ask)}
        except Exception as error:  # whatever it is, the parent tells of it and asks again
            tables.forget(ask)
            plain = re.sub(r"\x1b\[[\d;]*m|\s+", " ", str(error))
            answer = {"error": f"{type(error).__name__}: {plain}"[:400]}
        parent.send_bytes(json.dumps(answer).encode())


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
