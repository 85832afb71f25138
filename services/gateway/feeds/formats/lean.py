"""LEAN tick files: a zip of one CSV without header, named by symbol and date.

    trades   ms, price x 10,000, quantity, venue code, condition, suspicious      or: ms, price, quantity (crypto)
    quotes   ms, bid x 10,000, quantity, ask x 10,000, quantity, venue code, condition, suspicious
             or: ms, bid, ask (forex)       or: ms, bid, quantity, ask, quantity (crypto)

Times are milliseconds since midnight, in New York save for crypto, which is in UTC. A price of 0 is an absent side.
Trades carry no id, so the line's number is it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from services.gateway.feeds.formats.arrow import compute, line_numbers
from services.gateway.feeds.formats.blocks import Source, bad_file, named
from services.gateway.feeds.formats.cells import Cells, read_cells
from services.gateway.feeds.formats.rows import (
    Account,
    Choice,
    Floats,
    Ints,
    Markets,
    Quotes,
    Rows,
    Trades,
    no_quotes,
    no_trades,
)
from services.gateway.feeds.formats.sieve import Sieve
from shared.contract.errors import Refused
from shared.kit.frames import texts_of

VENUE = "lean"
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NEW_YORK = "America/New_York"


@dataclass(frozen=True)
class Layout:
    """What the values of a line are, what prices are divided by, and where midnight is."""

    names: Sequence[str]
    scale: float = 1.0
    zone: str = "UTC"


_TAIL = ("venue", "condition", "suspicious")
TRADES = {
    6: Layout(("ms", "price", "quantity", *_TAIL), 10_000.0, NEW_YORK),
    3: Layout(("ms", "price", "quantity")),
}
QUOTES = {
    8: Layout(("ms", "bid", "bid_quantity", "ask", "ask_quantity", *_TAIL), 10_000.0, NEW_YORK),
    5: Layout(("ms", "bid", "bid_quantity", "ask", "ask_quantity")),
    3: Layout(("ms", "bid", "ask"), zone=NEW_YORK),
}


def read_trades(source: Source, choice: Choice, account: Account, markets: Markets) -> Iterator[Rows]:
    """The trades of a LEAN file."""
    day = _Day(source, choice, markets)
    for cells, layout in _cells(source, TRADES, account):
        sieve = Sieve(cells.lines, account)
        event_ns = day.event_ns(sieve, cells, layout)
        price = sieve.numbers(cells.columns["price"], "price") / layout.scale
        quantity = sieve.numbers(cells.columns["quantity"], "quantity")
        sieve.positive(price, "price")
        sieve.positive(quantity, "quantity")
        sieve.close()
        n = len(cells.lines)
        trades = Trades(
            cells.lines,
            np.zeros(n, np.int32),
            event_ns,
            price,
            quantity,
            np.zeros(n, np.int8),
            texts_of(line_numbers(cells.lines)),
        )
        trades = trades if sieve.ok.all() else trades.where(sieve.ok)
        account.used_ticks += len(trades)
        yield Rows(trades, no_quotes())


def read_quotes(source: Source, choice: Choice, account: Account, markets: Markets) -> Iterator[Rows]:
    """The quotes of a LEAN file."""
    day = _Day(source, choice, markets)
    for cells, layout in _cells(source, QUOTES, account):
        sieve = Sieve(cells.lines, account)
        event_ns = day.event_ns(sieve, cells, layout)
        bid, bid_quantity = _side(sieve, cells, "bid", layout.scale)
        ask, ask_quantity = _side(sieve, cells, "ask", layout.scale)
        sieve.refuse(np.isnan(bid) & np.isnan(ask), "bid: neither bid nor ask is there")
        sieve.close()
        code = np.zeros(len(cells.lines), np.int32)
        quotes = Quotes(cells.lines, code, event_ns, bid, bid_quantity, ask, ask_quantity)
        quotes = quotes if sieve.ok.all() else quotes.where(sieve.ok)
        account.used_quotes += len(quotes)
        yield Rows(no_trades(), quotes)


def _cells(source: Source, layouts: dict[int, Layout], account: Account) -> Iterator[tuple[Cells, Layout]]:
    layout: Layout | None = None
    for block in source.blocks():
        if layout is None:
            layout = _layout(source, layouts, block)
        wanted = [name for name in layout.names if name not in ("condition", "suspicious")]
        yield read_cells(block, layout.names, wanted, account, quoted=False), layout


def _layout(source: Source, layouts: dict[int, Layout], block: bytes) -> Layout:
    if named(r"(^|_)(second|minute|hour|daily)(_|\.|$)", source.path.stem, source.name):
        raise bad_file(source.path, "holds bars, not ticks; name a file of ticks")
    width = block.lstrip().partition(b"\n")[0].count(b",") + 1
    if width not in layouts:
        expected = " or ".join(str(known) for known in layouts)
        raise bad_file(source.path, f"has {width} values in a line where {expected} are expected; is the format right?")
    return layouts[width]


def _side(sieve: Sieve, cells: Cells, side: str, scale: float) -> tuple[Floats, Floats]:
    price = sieve.numbers(cells.columns[side], side) / scale
    sieve.refuse(np.isnan(price), f"{side}: is missing")
    price[price == 0] = np.nan
    sieve.positive(price, side, ~np.isnan(price))
    if f"{side}_quantity" not in cells.columns:
        return price, np.full(len(price), np.nan)
    quantity = sieve.numbers(cells.columns[f"{side}_quantity"], f"{side}_quantity")
    quantity[np.isnan(price) | (quantity == 0)] = np.nan
    sieve.positive(quantity, f"{side}_quantity", ~np.isnan(quantity))
    return price, quantity


class _Day:
    """The symbol and the date of a file, and the time of its lines."""

    def __init__(self, source: Source, choice: Choice, markets: Markets) -> None:
        inside = named(r"^(?P<date>\d{8})_(?P<symbol>[a-z0-9.]+?)_", source.name)
        outside = named(r"^(?P<symbol>[a-z0-9.]+?)_(?P<date>\d{8})(_|\.)", source.path.name)
        date_only = named(r"^(?P<date>\d{8})(_|\.)", source.path.name)
        symbol = choice.symbol or _part("symbol", inside, outside)
        date = choice.date or _part("date", inside, outside, date_only)
        if symbol is None:
            raise _unnamed("symbol", source, "SPY")
        if date is None:
            raise _unnamed("date", source, "20131008")
        try:
            self._midnight = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
            markets.code(VENUE, symbol)
        except ValueError as error:
            raise bad_file(source.path, f"is not named by symbol and date ({error}); say both") from None

    def event_ns(self, sieve: Sieve, cells: Cells, layout: Layout) -> Ints:
        """When each line happened; a line outside the day, or with a strange venue code, is bad."""
        ms = sieve.numbers(cells.columns["ms"], "ms")
        wrong = ~((ms >= 0) & (ms < DAY_MS) & (ms == np.floor(ms)))
        sieve.refuse(wrong, "ms: must be whole milliseconds within a day", lambda row: cells.columns["ms"][row])
        if "venue" in cells.columns:
            column = cells.columns["venue"]
            letters = compute.match_substring_regex(column, r"^[A-Za-z]+$").to_numpy(zero_copy_only=False)
            sieve.refuse(~letters, "venue code: must be letters", lambda row: column[row])
        whole = np.where(wrong, 0, ms).astype(np.int64)
        return whole * 1_000_000 + self._hours_ns(layout.zone)[whole // HOUR_MS]

    def _hours_ns(self, zone: str) -> Ints:
        # Wall-clock hours, each with its own offset, so that the days on which clocks change come out right.
        walls = [self._midnight + timedelta(hours=hour) for hour in range(24)]
        offsets = [wall.replace(tzinfo=ZoneInfo(zone)).utcoffset() or timedelta() for wall in walls]
        midnight_ns = int(self._midnight.timestamp()) * 1_000_000_000
        return np.array([midnight_ns - int(offset.total_seconds()) * 1_000_000_000 for offset in offsets], np.int64)


def _part(name: str, *matches: object) -> str | None:
    return next((match[name] for match in matches if match), None)  # type: ignore[index]


def _unnamed(field: str, source: Source, example: str) -> Refused:
    detail = f"{field}: the name {source.path.name} does not say it; give {field}, as in {example}"
    return Refused("FIELD_MISSING", detail, field=field)
