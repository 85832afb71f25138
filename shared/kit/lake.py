"""The lake: what was said, kept for good as Delta tables, in a folder of this machine or in a bucket of S3.

The work is done by a process of its own (see `lake_child.py`), which is there while there is some and for a few
seconds more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from shared.contract.errors import Unavailable
from shared.contract.tables import LakeTable
from shared.kit.columns import Columns, raw_arrow
from shared.kit.settings import SettingsError, Suite

CHILD = Path(__file__).with_name("lake_child.py")
REST_S = 5.0
"""A child that has had nothing to do for so long is let go, with its memory."""
ASKED_S = 60.0
KEEPING_S = 900.0


@dataclass(frozen=True)
class Span:
    """Rows of a numbered source: those after `after`, up to `upto`."""

    source: str
    after: int
    upto: int


@dataclass(frozen=True)
class Where:
    """Where a lake is, and what S3 wants to know of who asks. The options hold the secret key: they are not shown."""

    root: str
    options: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def uri(self, table: LakeTable) -> str:
        return f"{self.root}/{table.name}"


class Lake:
    """One writer and one keeper, who work side by side. Every method raises Unavailable while the lake is away.

    A call that did not come to its end may have been done or not. Rows of a source are never doubled by asking again:
    the commit that holds them also says how far it went, and the next has to begin there, whoever makes it.
    """

    def __init__(self, where: Where) -> None:
        self._where = where
        self._writer = _Child("lake-writer")
        self._keeper = _Child("lake-keeper")

    async def append(self, table: LakeTable, columns: Columns, *, span: Span | None = None) -> int:
        """Add rows; they are committed when this returns.

        With a span, only if the table's place in that source is where the span begins. Returns the place the table
        has now: it is the span's end if, and only if, these rows or others up to there are in the table.
        """
        rows = await asyncio.to_thread(_packed, table, columns)
        words: dict[str, Any] = {"partition_by": [table.partition, "date"], "kinds": dict(table.columns)}
        if span is not None:
            words |= {"source": span.source, "after": span.after, "upto": span.upto}
        return await self._writer.ask(self._asked("append", table, words), rows)

    async def place(self, table: LakeTable, source: str) -> int:
        """Up to which number of a source its rows are in the table."""
        return await self._writer.ask(self._asked("place", table, {"source": source}))

    async def count(self, table: LakeTable) -> int:
        """How many rows there are."""
        return await self._keeper.ask(self._asked("count", table))

    async def compact(self, table: LakeTable) -> Mapping[str, int]:
        """Make few large files of many small ones; how many were `removed` and `added`."""
        return await self._keeper.ask(self._asked("compact", table), timeout_s=KEEPING_S)

    async def vacuum(self, table: LakeTable, hours: int) -> int:
        """Delete the files that no version younger than so many hours holds; how many."""
        return await self._keeper.ask(self._asked("vacuum", table, {"hours": hours}), timeout_s=KEEPING_S)

    async def ping(self) -> None:
        """Return when the lake can be reached. Nothing is started for it."""
        await asyncio.to_thread(_reach, self._where)

    async def close(self) -> None:
        await self._writer.close()
        await self._keeper.close()

    def _asked(self, what: str, table: LakeTable, words: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {"do": what, "uri": self._where.uri(table), "options": dict(self._where.options), **(words or {})}


def open_lake(suite: Suite) -> Lake:
    """The lake this suite is configured for."""
    return Lake(where(suite))


def where(suite: Suite) -> Where:
    """Where this suite's lake is; `SettingsError` when that cannot be."""
    if not suite.lake.startswith("s3://"):
        return Where(str((Path(suite.lake) if suite.lake else suite.var / "lake").absolute()))
    key, secret = _credentials(suite.secrets / "seaweedfs_s3")
    options = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": suite.lake_region}
    options |= {"aws_conditional_put": "etag", "connect_timeout": "3s", "timeout": "30s"}
    options |= {"max_retries": "3", "retry_timeout": "15s"}
    if suite.lake_endpoint:
        plain = str(suite.lake_endpoint.startswith("http://")).lower()
        options |= {"AWS_ENDPOINT_URL": suite.lake_endpoint, "AWS_ALLOW_HTTP": plain}
    return Where(suite.lake.rstrip("/"), options)


def _credentials(path: Path) -> tuple[str, str]:
    """The first user's, of a file as SeaweedFS has it."""
    try:
        first = json.loads(path.read_text())["identities"][0]["credentials"][0]
        return first["accessKey"], first["secretKey"]
    except OSError as error:
        raise SettingsError(f"{path} cannot be read by user {os.getuid()}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError):
        wanted = '{"identities": [{"credentials": [{"accessKey": "…", "secretKey": "…"}]}]}'
        raise SettingsError(f"{path}: must be {wanted}, as secrets.example/seaweedfs_s3 is") from None


def _reach(where: Where) -> None:
    try:
        if not where.root.startswith("s3://"):
            Path(where.root).mkdir(parents=True, exist_ok=True)
            if not os.access(where.root, os.W_OK):
                raise OSError(f"user {os.getuid()} may not write there")
        elif endpoint := where.options.get("AWS_ENDPOINT_URL"):
            address = urlsplit(endpoint)
            port = address.port or (443 if address.scheme == "https" else 80)
            socket.create_connection((address.hostname or "", port), timeout=3).close()
    except OSError as error:
        raise Unavailable(f"the lake {where.root} cannot be reached: {error}") from error


def _packed(table: LakeTable, columns: Columns) -> memoryview:
    """The rows as they go to the child."""
    at = raw_arrow(columns["timestamp"], "int")
    arrays = {"timestamp": at, **{name: raw_arrow(columns[name], kind) for name, kind in table.columns.items()}}
    sink = pa.BufferOutputStream()
    rows = pa.table(arrays)
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return memoryview(sink.getvalue())


class _Child:
    """The process, and the thread from which it is asked, one thing at a time. One that does not answer is killed."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None
        self._asked = False
        self._rest: asyncio.TimerHandle | None = None

    async def ask(self, words: Mapping[str, Any], rows: memoryview | None = None, timeout_s: float = ASKED_S) -> Any:
        loop = asyncio.get_running_loop()
        self._stay()
        try:
            return await loop.run_in_executor(self._pool, self._ask, words, rows, timeout_s)
        finally:
            self._stay()
            self._rest = loop.call_later(REST_S, self._pool.submit, self._end)

    async def close(self) -> None:
        self._stay()
        if self._asked and (process := self._process) is not None:
            process.kill()  # nobody waits for the answer any more
        await asyncio.get_running_loop().run_in_executor(self._pool, self._end)
        self._pool.shutdown()

    def _stay(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    # On its thread.

    def _ask(self, words: Mapping[str, Any], rows: memoryview | None, timeout_s: float) -> Any:
        what = f"{words['do']} at {words['uri']}"
        self._asked = True
        try:
            line = self._line or self._start()
            line.send_bytes(json.dumps(words).encode())
            if rows is not None:
                line.send_bytes(rows)
            if not line.poll(timeout_s):
                raise TimeoutError(f"no answer within {timeout_s:g} s")
            answer = json.loads(line.recv_bytes())
        except (OSError, EOFError) as error:
            self._end()
            raise Unavailable(f"{what}: {error or 'the process of the lake ended'!s}") from error
        except BaseException:
            self._end()
            raise
        finally:
            self._asked = False
        if "error" in answer:
            raise Unavailable(f"{what}: {answer['error']}")
        return answer["is"]

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: the folder of the program holds modules of the kit, whose names others have too.
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(CHILD), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._line = Connection(ours.detach())
        return self._line

    def _end(self) -> None:
        line, self._line = self._line, None
        process, self._process = self._process, None
        if line is not None:
            line.close()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
