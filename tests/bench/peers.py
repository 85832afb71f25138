"""The fold beside two peers, on the same ticks and in the same run: polars and NautilusTrader.

polars is among the tools of development. NautilusTrader is not: make it an environment of its own,

    uv venv /tmp/nautilus --python 3.11 && uv pip install --python /tmp/nautilus/bin/python nautilus_trader==1.221.0

and name its interpreter in TRADE2026_NAUTILUS_PYTHON; without it that peer is left out. polars makes the bars of all
lengths, as the fold does, one length after the other; NautilusTrader those of one minute, or of 1,000 ticks, alone.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from shared.contract.ticks import TickColumns
from shared.domain.bars import BarFold, warm
from tests.bench.ticks import LONGER, made

NAUTILUS = Path(__file__).with_name("nautilus_peer.py")
TICKS = 500_000


def best(run: Callable[[], None], times: int = 3) -> float:
    """The least time of the process that this took, on whichever cores, in seconds."""
    took_s: list[float] = []
    for _ in range(times):
        began_s = time.process_time()
        run()
        took_s.append(time.process_time() - began_s)
    return min(took_s)


def fold(ticks: TickColumns, *measures: str) -> float:
    def run() -> None:
        BarFold(10_000_000_000, LONGER, None, lambda _symbol: measures).take(ticks)

    return len(ticks) / best(run) / 1e6


def by_polars(ticks: TickColumns) -> float:
    """All lengths, one after the other; group_by_dynamic makes one at a time."""
    names = pl.Series(ticks.symbols).gather(ticks.codes).cast(pl.Categorical)
    frame = pl.DataFrame(
        {
            "symbol": names,
            "event_ns": pl.Series(ticks.event_ns).cast(pl.Datetime("ns")).set_sorted(),
            "price": ticks.price,
            "quantity": ticks.quantity,
            "bought": ticks.quantity * (ticks.side > 0),
        }
    ).lazy()
    price, quantity = pl.col("price"), pl.col("quantity")
    columns = {
        **{"open": price.first(), "high": price.max(), "low": price.min(), "close": price.last()},
        **{"volume": quantity.sum(), "vwap": (price * quantity).sum() / quantity.sum(), "count": pl.len()},
        "taker_buy_volume": pl.col("bought").sum(),
    }
    by = ["symbol"] if len(ticks.symbols) > 1 else None

    def run() -> None:
        for interval in LONGER:
            frame.group_by_dynamic("event_ns", every=interval.value, group_by=by).agg(**columns).collect()

    return len(ticks) / best(run) / 1e6


def by_nautilus(python: str, kind: str) -> float:
    done = subprocess.run(
        [python, str(NAUTILUS), kind, str(TICKS)], capture_output=True, text=True, timeout=300, check=True
    )
    return float(done.stdout.split()[-1])


def measure() -> dict[str, float]:
    warm()
    figures: dict[str, float] = {}
    for symbols in (200, 1):
        ticks = made(TICKS, symbols, ids=False)
        ours, theirs = fold(ticks), by_polars(ticks)
        figures[f"polars group_by_dynamic, {len(LONGER)} lengths, {symbols} symbols, M ticks/s of one core"] = theirs
        figures[f"fold / polars at {symbols} symbols"] = ours / theirs
    if python := os.environ.get("TRADE2026_NAUTILUS_PYTHON"):
        by_time, by_ticks = by_nautilus(python, "time"), by_nautilus(python, "tick")
        measured = fold(ticks, "tick-1000")
        figures |= {
            "NautilusTrader TimeBarAggregator, M ticks/s": by_time,
            "fold / TimeBarAggregator": fold(ticks) / by_time,
            "NautilusTrader TickBarAggregator, M ticks/s": by_ticks,
            f"fold with tick-1000 and {len(LONGER)} lengths, M ticks/s": measured,
            "fold / TickBarAggregator": measured / by_ticks,
        }
    return figures
