"""Capture: what a venue says, word for word, kept in compressed files that `replay` reads back.

    <var>/capture/<venue>/<date>/<receive ns of the first message>.jsonl.gz     a line: receive ns, a space, the message

Messages gather for a second and are written as one gzip member in one write: a process that is killed loses what
gathered, and leaves no half a member behind. The feed never waits. When the disk is slower than the venue, what is
beyond `waiting_bytes_max` is dropped and counted; when a venue's files are more than `kept_bytes_max`, the oldest go.

Decoded again, the ticks of a capture are those that were said live, byte for byte: symbol, event and receive time,
price, quantity, side, id and number, in the same order. A replay says the same ticks at its own times, in frames of its
own, numbered by the lines of the file.
"""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from shared.kit import Clock, Meter

GATHER_S = 1.0
BLOCK_BYTES = 1 << 20
LEVEL = 3


@dataclass(frozen=True)
class Room:
    """How much there is for one venue; see the settings of the same names."""

    waiting_bytes_max: int = 64 << 20
    file_bytes_max: int = 256 << 20
    kept_bytes_max: int = 20 << 30


class Shelf:
    """One venue's files. Its methods may wait for the disk."""

    def __init__(self, folder: Path, room: Room) -> None:
        self._folder = folder
        self._room = room
        self._file: int | None = None
        self._path = folder
        self._bytes = 0
        self.deleted = 0

    def write(self, first_ns: int, lines: bytes) -> int:
        """Put these lines in the file of their day; how many bytes that took. OSError leaves the file as it was."""
        day = datetime.fromtimestamp(first_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d")
        if self._file is None or self._bytes >= self._room.file_bytes_max or self._path.parent.name != day:
            self._open(self._folder / day / f"{first_ns}.jsonl.gz")
        assert self._file is not None
        member = gzip.compress(lines, LEVEL, mtime=0)
        try:
            written = os.write(self._file, member)
            if written < len(member):
                raise OSError(f"only {written} of {len(member)} bytes could be written")
        except OSError:
            os.ftruncate(self._file, self._bytes)
            raise
        self._bytes += len(member)
        return len(member)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self, path: Path) -> None:
        self.close()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._path, self._bytes = path, os.fstat(self._file).st_size
        self._make_room()

    def _make_room(self) -> None:
        """Delete the oldest files, so that one more may grow to its full size."""
        files = sorted(self._folder.glob("*/*.jsonl.gz"), key=lambda path: path.name)
        sizes = {path: path.stat().st_size for path in files if path != self._path}
        over = sum(sizes.values()) + self._room.file_bytes_max - self._room.kept_bytes_max
        for path, size in sizes.items():
            if over <= 0:
                return
            path.unlink()
            self.deleted += 1
            over -= size
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


class Capture:
    """Takes one venue's messages as they come and writes them in a thread. It is made within a running loop."""

    def __init__(
        self, venue: str, folder: Path, room: Room, clock: Clock, meter: Meter, log: FilteringBoundLogger
    ) -> None:
        self._venue = venue
        self._room = room
        self._shelf = Shelf(folder / venue, room)
        self._clock = clock
        self._meter = meter
        self._log = log
        self._waiting: list[tuple[Sequence[bytes], Sequence[int]]] = []
        self._bytes = 0
        self._failing = False
        self._ending = asyncio.Event()
        self._full = asyncio.Event()
        self._writing = asyncio.create_task(self._write())

    def take(self, messages: Sequence[bytes], receive_ns: Sequence[int]) -> None:
        """Keep these; nothing waits. What is handed over is not to be changed after."""
        size = sum(map(len, messages))
        if self._bytes + size > self._room.waiting_bytes_max:
            self._meter.count("capture_dropped", len(messages), venue=self._venue)
            return
        self._waiting.append((messages, receive_ns))
        self._bytes += size
        if self._bytes >= BLOCK_BYTES:
            self._full.set()

    async def close(self) -> None:
        """Write what has gathered, and end."""
        self._ending.set()
        self._full.set()
        await self._writing

    async def _write(self) -> None:
        while not self._ending.is_set():
            gathering = asyncio.ensure_future(self._clock.sleep(GATHER_S))
            full = asyncio.ensure_future(self._full.wait())
            await asyncio.wait({gathering, full}, return_when=asyncio.FIRST_COMPLETED)
            gathering.cancel()
            full.cancel()
            self._full.clear()
            await self._flush()
        await self._flush()
        await asyncio.to_thread(self._shelf.close)

    async def _flush(self) -> None:
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        count = sum(len(messages) for messages, _ in waiting)
        if not count:
            return
        try:
            written = await asyncio.to_thread(self._put, waiting)
        except OSError as error:
            self._meter.count("capture_dropped", count, venue=self._venue)
            if not self._failing:
                self._log.error("capture_failed", venue=self._venue, why=str(error))
            self._failing = True
            return
        self._failing = False
        self._meter.count("captured", count, venue=self._venue)
        self._meter.count("captured_bytes", written, venue=self._venue)
        self._meter.count("capture_files_deleted", self._shelf.deleted, venue=self._venue)
        self._shelf.deleted = 0

    def _put(self, waiting: Sequence[tuple[Sequence[bytes], Sequence[int]]]) -> int:
        """In a thread: put messages into lines, and these into their file."""
        # In JSON a line end can only stand between words.
        lines = [
            b"%d %b\n" % (at_ns, message.replace(b"\n", b" "))
            for messages, receive_ns in waiting
            for at_ns, message in zip(receive_ns, messages, strict=True)
        ]
        first_ns = next(receive_ns[0] for _, receive_ns in waiting if receive_ns)
        return self._shelf.write(first_ns, b"".join(lines))
