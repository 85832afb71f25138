"""The scalar words of a venue, read strictly: ValueError says what is wrong with one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from shared.contract.base import normal_symbol
from shared.contract.feeds import Batch, Level

SMALLEST, LARGEST = 1e-12, 1e20
ID_LENGTH_MAX = 64
INTEGER_MAX = (1 << 63) - 1

ERRORS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What reading words of a wrong shape can raise."""


def number(text: str) -> float:
    """A price or quantity of a size that can be traded."""
    value = float(text)
    if not SMALLEST <= value <= LARGEST:
        raise ValueError(f"{text[:40]!r} is not a positive number")
    return value


def digits(text: object) -> str:
    """A price or quantity as it was written; "" where there is none, which venues write as zero or not at all."""
    if text is None:
        return ""
    if not isinstance(text, str):
        raise ValueError(f"{text!r:.40} is not a number in quotes")
    if text and float(text) == 0:
        return ""
    number(text or "1")
    return text


def levels(rows: Sequence[Sequence[Any]]) -> list[Level]:
    """Prices and quantities in quotes. That they are numbers is seen when they are put in their places."""
    found = [(row[0], row[1]) for row in rows]
    for price, quantity in found:
        if type(price) is not str or type(quantity) is not str:
            raise ValueError(f"{(price, quantity)!r:.60} is no level")
    return found


def trade_id(value: str) -> str:
    """One that fits a frame."""
    if not 0 < len(value.encode()) <= ID_LENGTH_MAX:
        raise ValueError(f"{value[:80]!r} is not a trade's id")
    return value


def integer(value: int) -> int:
    """A time, or a number that counts something, that fits a frame."""
    if not 0 <= value <= INTEGER_MAX:
        raise ValueError(f"{value} does not fit a frame")
    return value


def nanos(text: str) -> int:
    """An RFC 3339 time in UTC, `2021-04-17T16:43:37.077621Z`."""
    if len(text) < 20 or text[-1] != "Z" or text[10] != "T" or (text[19] not in ".Z"):
        raise ValueError(f"{text[:40]!r} is not a time in UTC")
    return integer(_second_ns(text[:19]) + fraction_ns(text[20:-1]))


def epoch_ns(text: str) -> int:
    """Seconds since 1970 with a fraction, `1618678133.626511`."""
    whole, _, fraction = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 10):
        raise ValueError(f"{text[:40]!r} is not a time in seconds")
    return integer(int(whole) * 1_000_000_000 + fraction_ns(fraction))


def fraction_ns(text: str) -> int:
    """The digits after the point of a second."""
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text[:40]!r} is not a fraction of a second")
    return int(text[:9].ljust(9, "0")) if text else 0


@lru_cache(64)
def _second_ns(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()) * 1_000_000_000


@lru_cache(8192)
def plain_symbol(word: str) -> str:
    """A venue's word as our symbol; ValueError when it cannot be one."""
    symbol = normal_symbol(word)
    if not 0 < len(symbol) <= 32 or not symbol.replace("_", "").isalnum() or not symbol.isascii() or symbol[0] == "_":
        raise ValueError(f"{word[:60]!r} is not a symbol")
    return symbol


def note_garbage(batch: Batch, error: Exception) -> None:
    """A message that could not be read."""
    batch.garbage += 1
    batch.reason = f"{type(error).__name__}: {error}"[:200]
