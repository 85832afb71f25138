"""A book as people see it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from shared.contract.base import Message, rfc3339
from shared.contract.errors import Refused
from shared.contract.market import Feed, FeedStatus, Quote

LEVELS_MAX = 100
Level = tuple[Decimal, Decimal | None]


class Depth(Message):
    """Bids and asks, the best first, each as price and quantity; how far they can be trusted, and since which change.

    `sequence` is the venue's own number of the last change that is in it, null where the venue counts none.
    """

    symbol: str
    venue: str
    bids: tuple[tuple[str, str | None], ...]
    asks: tuple[tuple[str, str | None], ...]
    status: FeedStatus
    sequence: int | None
    timestamp: str | None


def check_levels(depth: int) -> None:
    """Refused unless so many levels may be asked for."""
    if not 1 <= depth <= LEVELS_MAX:
        raise Refused("INVALID", f"depth: must be between 1 and {LEVELS_MAX}, not {depth}", field="depth")


def as_depth(
    feed: Feed, bids: Sequence[Level], asks: Sequence[Level], at_ns: int | None, sequence: int | None = None
) -> Depth:
    """These levels of this market."""
    return Depth(
        symbol=feed.symbol,
        venue=feed.venue,
        bids=tuple(map(_plain, bids)),
        asks=tuple(map(_plain, asks)),
        status=feed.status,
        sequence=sequence,
        timestamp=None if at_ns is None else rfc3339(at_ns),
    )


def best_of(feed: Feed, quote: Quote | None) -> Depth:
    """What is known of a book of which only the best is told."""
    bid = [(quote.bid, quote.bid_quantity)] if quote and quote.bid else []
    ask = [(quote.ask, quote.ask_quantity)] if quote and quote.ask else []
    return as_depth(feed, bid, ask, quote.event_ns if quote else None)


def _plain(level: Level) -> tuple[str, str | None]:
    price, quantity = level
    return f"{price:f}", None if quantity is None else f"{quantity:f}"
