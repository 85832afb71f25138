"""A recorded file, opened: its format told from its name, its first rows read, so that a wrong file is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from services.gateway.feeds.formats import lean, raw, tables
from services.gateway.feeds.formats.blocks import Folder, Source, bad_file, named, regular_file
from services.gateway.feeds.formats.rows import Account, Choice, Markets, Rows
from shared.contract.errors import Refused

Format = Literal["csv", "parquet", "raw", "binance-raw", "lean-trades", "lean-quotes"]

_READERS: dict[Format, Callable[[Any, Choice, Account, Markets], Iterator[Rows]]] = {
    "csv": tables.read_csv,
    "raw": raw.read,
    "binance-raw": raw.read_binance,
    "lean-trades": lean.read_trades,
    "lean-quotes": lean.read_quotes,
}
_NAMES: tuple[tuple[str, Format], ...] = (
    (r"\.parquet$", "parquet"),
    (r"\.jsonl(\.gz)?$", "raw"),
    (r"\.csv(\.gz)?$", "csv"),
    (r"(^|_)trade\.zip$", "lean-trades"),
    (r"(^|_)quote\.zip$", "lean-quotes"),
)


@dataclass
class Recording:
    """A file being read: its rows still to come, and the account of those that came."""

    path: Path
    format: Format
    account: Account
    markets: Markets
    rows: Iterator[Rows]
    progress: Callable[[], tuple[int, int]]
    close: Callable[[], None]

    def next(self) -> Rows | None:
        """The next rows, None at the end; Refused when the file turns out to be damaged."""
        return next(self.rows, None)


def open_recording(given: str, format: Format | None, choice: Choice) -> Recording:
    """Open a file and read its first rows; Refused, naming the field and the mend, when it cannot be replayed."""
    account, markets = Account(), Markets(choice)
    # Unlike `Path.is_dir` it raises nothing at a name that cannot be one.
    if os.path.isdir(given) and format in (None, "raw", "binance-raw"):  # noqa: PTH112
        return _opened(Folder(Path(given)), format or "raw", choice, account, markets)
    path = regular_file(given)
    format = format or _told_format(path, choice)
    if format == "parquet":
        total = tables.rows_in(path)
        rows = tables.read_parquet(path, choice, account, markets)
        return _begun(Recording(path, format, account, markets, rows, lambda: (account.lines, total), lambda: None))
    return _opened(Source(path), format, choice, account, markets)


def _opened(source: Source | Folder, format: Format, choice: Choice, account: Account, markets: Markets) -> Recording:
    rows = _READERS[format](source, choice, account, markets)
    progress: Callable[[], tuple[int, int]] = lambda: (source.bytes_read, source.bytes_total)  # noqa: E731
    try:
        return _begun(Recording(source.path, format, account, markets, rows, progress, source.close))
    except BaseException:
        source.close()
        raise


def _told_format(path: Path, choice: Choice) -> Format:
    for pattern, format in _NAMES:
        if named(pattern, path.name):
            return "binance-raw" if format == "raw" and raw.venue_of(path, choice) is None else format
    known = ", ".join([*_READERS, "parquet"])
    detail = f"format: the name {path.name} does not tell it; give format, one of {known}"
    raise Refused("FORMAT_UNKNOWN", detail, field="format")


def _begun(recording: Recording) -> Recording:
    first, account = recording.next(), recording.account
    if first is None or not account.lines:
        raise bad_file(recording.path, "has no lines of data; name a file with data")
    if account.bad >= max(1, account.other) and not (account.used_ticks or account.used_quotes):
        worst = account.bad_lines[0]
        detail = (
            f"path: {recording.path.name} does not look like {recording.format}: none of its first {account.lines} "
            f"lines can be used (line {worst.line}: {worst.reason}); give the right format"
        )
        raise Refused("WRONG_FORMAT", detail, field="format")
    recording.rows = chain((first,), recording.rows)
    return recording
