"""Live feeds: recordings of Binance decoded to frames, quotes and books, as a gateway does it, on one core.

Counted in seconds of the processor, so that it says the same on a busy machine. A batch is what a live connection reads
at once: 512 messages when they come faster than they are read, some dozens when they do not.
"""

from __future__ import annotations

import gc
import gzip
import os
import sys
import time
from itertools import islice
from pathlib import Path

from services.gateway.core.mirror import Mirror, Terms
from services.gateway.feeds.live.words import as_columns, as_quote
from services.gateway.feeds.venues.binance_words import Reader
from shared.contract.feeds import BookWhole, Channel
from shared.kit.frames import encode_frame

SYMBOL = "BTCUSDT"
RECORDINGS = {"spot": "spot_btcusdt_20240809", "USD-M": "usdm_btcusdt_20240808"}
BATCHES = {"as fast as it goes": 512, "64 messages at a time": 64}
TIMES = 3


def measure() -> dict[str, float]:
    """Messages a second of one core; nothing where the recordings are not."""
    folder = Path(os.environ.get("TRADE2026_DATA", Path(__file__).parents[3] / "shared" / "data")) / "binance"
    figures: dict[str, float] = {}
    for kind, name in RECORDINGS.items():
        path = folder / f"{name}.jsonl.gz"
        if not path.exists():
            sys.stderr.write(f"feeds: skipped, since there is no recording {path}; TRADE2026_DATA names the folder\n")
            return {}
        receive_ns, messages = _recorded(path)
        for how, size in BATCHES.items():
            spent_s = min(_decode(messages, receive_ns, size) for _ in range(TIMES))
            figures[f"Binance {kind} to frames and book, {how}, messages/s"] = len(messages) / spent_s
    return figures


def _recorded(path: Path) -> tuple[list[int], list[bytes]]:
    with gzip.open(path) as lines:
        rows = [line.rstrip(b"\n").split(b" ", 1) for line in lines]
    return [int(at_ns) for at_ns, _ in rows], [message for _, message in rows]


def _decode(messages: list[bytes], receive_ns: list[int], size: int) -> float:
    """How long it took. The book begins empty, where the recording does."""
    reader, mirror = Reader(), Mirror(Terms())
    for channel in Channel:
        mirror.want(SYMBOL, channel)
    mirror.begin([SYMBOL], 0)
    changes = (book for message in messages for book in reader.read([message], [0]).books)
    began_at = next(islice(changes, 1)).previous
    mirror.whole(BookWhole(0, SYMBOL, 0, 0, [], [], began_at), 0)
    # As a service does once it is ready; see shared/kit/life.py.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    ticks = gaps = 0
    begun_s = time.process_time()
    for start in range(0, len(messages), size):
        batch = reader.read(messages[start : start + size], receive_ns[start : start + size])
        taken = mirror.take(batch, time.monotonic_ns())
        if taken.trades:
            encode_frame(as_columns("binance", taken.trades))
        for top in taken.tops.values():
            as_quote("binance", top).encode()
        ticks, gaps = ticks + len(taken.trades), gaps + taken.counts["feed_gaps"]
    spent_s = time.process_time() - begun_s
    assert ticks > 10_000, "the recording has trades, and each was said"
    assert gaps == 0, "nothing in the recording is missing"
    return spent_s
