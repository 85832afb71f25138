"""What a caller asks of a replay, and what it is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from services.gateway.feeds.formats.recording import Format
from services.gateway.feeds.formats.rows import BadLine
from shared.contract.base import Message, Symbol, Venue, Word

FULL = "max"


def _plain_format(value: Any) -> Any:
    return value.strip().lower().replace("_", "-") if isinstance(value, str) else value


def _speed(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lower() == FULL:
        return FULL
    try:
        speed = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        speed = float("nan")
    if not 1e-6 <= speed <= 1e9:
        raise ValueError(f"must be max, or a positive number such as 1 (as recorded) or 10, not {str(value)[:40]!r}")
    return speed


def _day(value: Any) -> Any:
    text = str(value).strip()
    try:
        if len(text) != 8:
            raise ValueError
        datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"must be a day as YYYYMMDD, not {text[:40]!r}") from None
    return text


class ReplayRequest(Message):
    """Replay a recorded file. What is left out is told from the file's name and its lines."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    """A file on the gateway's machine, or a folder of captured ones; a relative path starts where the gateway was
    started."""

    format: Annotated[Format, BeforeValidator(_plain_format)] | None = None
    """csv, parquet, raw, binance-raw, lean-trades or lean-quotes."""

    speed: Annotated[float | Literal["max"], BeforeValidator(_speed)] = 1.0
    """How many times as fast as recorded, or max: as fast as the hearers keep up."""

    venue: Venue | None = None
    """Where it is said to come from: else the file's own word, else binance, lean or replay by format. Of raw files,
    whose words these are, unless the folder tells."""

    symbol: Symbol | None = None
    """The symbol of a file that names none; of a file that names several, the only one to replay."""

    date: Annotated[str, BeforeValidator(_day)] | None = None
    """The day of a LEAN file, YYYYMMDD; lines of other formats carry their own."""


class ReplayState(Word):
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class ReplayStatus(Message):
    """One replay. `lines` + `further` = `used_ticks` + `used_quotes` + `other` + `bad`, where `further` are the ticks
    beyond the first in a line of several; reading runs a little ahead of saying.

    `conflated` quotes were used but not said, because a newer one took their place. `read` and `total` are bytes of the
    file, of Parquet rows. `waiting` means that it stands still until the hearers have caught up.
    """

    id: str
    state: ReplayState
    path: str
    format: Format
    speed: float | Literal["max"]
    markets: tuple[str, ...]
    read: int
    total: int
    lines: int
    used_ticks: int
    used_quotes: int
    further: int
    other: int
    bad: int
    bad_lines: tuple[BadLine, ...]
    ticks_said: int
    quotes_said: int
    frames_said: int
    conflated: int
    waiting: bool
    started_at: str
    ended_at: str | None
    error: str | None
