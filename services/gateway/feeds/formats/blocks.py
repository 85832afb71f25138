"""Files read as blocks of whole lines, plain or compressed, never all at once."""

from __future__ import annotations

import gzip
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from shared.contract.errors import Refused

BLOCK_BYTES = 4 << 20
LINE_BYTES_MAX = 16 << 20
MEMBER_BYTES_MIN = 18
"""Of gzip: its head and its tail."""


def regular_file(given: str) -> Path:
    """The file a caller means; Refused unless it is there, regular, readable and not empty."""
    path = Path(given)
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        detail = f"path: {given[:200]!r} cannot be read ({reason}); name a file on the gateway's machine"
        raise Refused("NO_SUCH_FILE", detail, field="path") from None
    if not stat.S_ISREG(found.st_mode):
        raise Refused("NOT_A_FILE", f"path: {given[:200]!r} is not a regular file; name one", field="path")
    if found.st_size == 0:
        raise Refused("EMPTY_FILE", f"path: {given[:200]!r} is empty; name a file with data", field="path")
    return path


def bad_file(path: Path, what: str) -> Refused:
    """This file is not what it should be."""
    return Refused("BAD_FILE", f"path: {path.name} {what}", field="path")


class Source:
    """A text file, gzip file, or zip of one text file. `name` is that of the text inside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.bytes_total = path.stat().st_size
        try:
            self._raw = path.open("rb")
        except OSError as error:
            raise bad_file(path, f"cannot be opened ({error.strerror}); let the gateway read it") from None
        try:
            self._text = self._unpacked(self._raw)
        except BaseException:
            self._raw.close()
            raise

    @property
    def bytes_read(self) -> int:
        """How far the file has been read, in its own (compressed) bytes."""
        return self.bytes_total if self._raw.closed else min(self._raw.tell(), self.bytes_total)

    def close(self) -> None:
        self._text.close()
        self._raw.close()

    def blocks(self, size: int = BLOCK_BYTES, *, torn: bool = False) -> Iterator[bytes]:
        """All of it in blocks that end with a line end; the last one may lack it.

        `torn`: the file may end in the midst of what was written last; the lines before that are all of it.
        """
        rest = b""
        try:
            while piece := self._piece(size):
                head, newline, tail = piece.rpartition(b"\n")
                if newline:
                    yield rest + head + newline
                    rest = tail
                else:
                    rest += piece
                if len(rest) > LINE_BYTES_MAX:
                    raise bad_file(self.path, f"has a line of more than {LINE_BYTES_MAX} bytes; is it a text file?")
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            if torn and isinstance(error, EOFError):
                return
            raise bad_file(self.path, f"is damaged ({error}); fetch it again") from None
        if rest:
            yield rest

    def _piece(self, size: int) -> bytes:
        """The next bytes; where the file breaks off, those before that come first."""
        piece = bytearray()
        try:
            while len(piece) < size and (more := self._text.read1(size - len(piece))):
                piece += more
        except EOFError:
            if not piece:
                raise
        return bytes(piece)

    def _unpacked(self, raw: BufferedIOBase) -> BufferedIOBase:
        magic = raw.read(4)
        raw.seek(0)
        if magic[:2] == b"\x1f\x8b":
            return gzip.GzipFile(fileobj=raw)
        if self.path.suffix.lower() == ".gz":
            raise bad_file(self.path, "is not a gzip file, though its name says so; compress it, or rename it")
        if magic[:2] == b"PK":
            return self._member(raw)
        if self.path.suffix.lower() == ".zip":
            raise bad_file(self.path, "is not a zip file, though its name says so; compress it, or rename it")
        return raw

    def _member(self, raw: BufferedIOBase) -> BufferedIOBase:
        try:
            archive = zipfile.ZipFile(raw)
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise bad_file(self.path, f"holds {len(members)} files; a zip to replay holds exactly one")
            self.name = Path(members[0].filename).name
            return cast(BufferedIOBase, archive.open(members[0]))
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
            raise bad_file(self.path, f"is not a zip file that can be read ({error}); make it anew") from None


class Folder:
    """The captured files of a day, or of a venue in its days, the oldest first, as one source."""

    def __init__(self, path: Path) -> None:
        self.path = path
        files = (file for pattern in ("*.jsonl.gz", "*/*.jsonl.gz") for file in path.glob(pattern))
        found = {file: file.stat().st_size for file in sorted(files, key=lambda file: file.name)}
        # Who was killed at the beginning of a file has left it empty.
        self._sizes = {file: size for file, size in found.items() if size >= MEMBER_BYTES_MIN}
        if not self._sizes:
            detail = f"path: {path.name} holds no captured files (*.jsonl.gz); name a file, or a folder that does"
            raise Refused("EMPTY_FOLDER", detail, field="path")
        self.bytes_total = sum(self._sizes.values())
        self._before = 0
        self._open: Source | None = None

    @property
    def bytes_read(self) -> int:
        return self._before + (self._open.bytes_read if self._open else 0)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Their blocks one after the other; of a file that is torn, as by a loss of power, what is whole."""
        for file, bytes_total in self._sizes.items():
            source = self._open = Source(file)
            try:
                yield from source.blocks(size, torn=True)
            finally:
                source.close()
                self._open = None
            self._before += bytes_total


def named(pattern: str, *names: str) -> re.Match[str] | None:
    """The first of these names that matches, in any case."""
    return next((match for name in names if (match := re.search(pattern, name, re.IGNORECASE))), None)
