"""Recordings of Binance, read from end to end: the book's best is what the venue said was best, in every state."""

from __future__ import annotations

import gzip
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.gateway.core.mirror import Mirror, Terms
from services.gateway.feeds.venues.binance import BinanceFutures
from services.gateway.feeds.venues.binance_words import Reader
from shared.contract.feeds import Batch, BookWhole, Channel, Top

pytestmark = pytest.mark.recorded


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with gzip.open(path) as recorded:
        for line in recorded:
            at_ns, _, message = line.rstrip(b"\n").partition(b" ")
            yield int(at_ns), message


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_the_best_of_a_futures_book_is_the_venues_own_after_every_change(recorded: Path, symbol: str) -> None:
    mirror, reader, dialect = Mirror(Terms()), Reader(), BinanceFutures()
    for channel in Channel:
        mirror.want(symbol, channel)
    mirror.begin([symbol], 0)
    tops: list[Top] = []
    bests: list[tuple[int, str, str]] = []
    for at_ns, message in lines(recorded / "binance" / f"usdm_{symbol.lower()}_20240808.jsonl.gz"):
        if message.startswith(b'{"lastUpdateId"'):
            # The snapshot that was asked for when this was recorded; what was heard before waits for it.
            taken = mirror.whole(dialect.whole(symbol, message, at_ns), 0)
            assert [news.status for news in taken.news] == [None]
            continue
        batch = reader.read([message], [at_ns])
        tops += batch.tops
        assert not mirror.take(batch, 0).news
        book = mirror.book(symbol)
        if batch.books and book is not None and not book.waiting:
            book.levels.settle()
            [bid], [ask] = book.levels.depth(1)
            bests.append((book.last or 0, bid[0], ask[0]))
    states = [top.sequence for top in tops]
    assert states == sorted(states)
    told = [tops[bisect_right(states, last) - 1] for last, _, _ in bests]
    assert len(bests) > 6500
    assert [(bid, ask) for _, bid, ask in bests] == [(top.bid, top.ask) for top in told]


def test_a_recording_comes_to_the_same_however_it_is_cut_into_batches(recorded: Path) -> None:
    said = list(lines(recorded / "binance" / "spot_btcusdt_20240809.jsonl.gz"))[:20_000]

    def outcome(size: int) -> tuple[object, ...]:
        mirror, reader = Mirror(Terms()), Reader()
        for channel in Channel:
            mirror.want("BTCUSDT", channel)
        mirror.begin(["BTCUSDT"], 0)
        mirror.take(Batch(books=[BookWhole(0, "BTCUSDT", 0, 0, [], [], 50093421584)]), 0)
        ids: list[str] = []
        for start in range(0, len(said), size):
            part = said[start : start + size]
            taken = mirror.take(reader.read([message for _, message in part], [at_ns for at_ns, _ in part]), 0)
            ids += [trade.trade_id for trade in taken.trades]
            assert not any(news.status for news in taken.news)
        book = mirror.book("BTCUSDT")
        assert book is not None
        book.levels.settle()
        return ids, book.last, book.levels.depth(10_000)

    assert outcome(1) == outcome(7) == outcome(4096)
