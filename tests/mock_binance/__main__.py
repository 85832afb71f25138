"""`python -m tests.mock_binance --port N`: the mock as a process of its own.

Prints one line of JSON once it serves. With --book every symbol named gets a deep book around its price.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from decimal import Decimal
from pathlib import Path

from tests.mock_binance.server import KEY, SECRET, MockBinance


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.mock_binance", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--secret", default=SECRET)
    parser.add_argument("--log", type=Path, help="JSON lines of every order accepted and every fill")
    parser.add_argument("--book", nargs="*", default=[], metavar="SYMBOL=PRICE")
    return parser.parse_args()


def _fill_book(venue: MockBinance, words: list[str]) -> None:
    for word in words:
        symbol, _, price = word.partition("=")
        step = Decimal(price) / 10_000
        tick = venue.engine.listings[symbol].tick
        most = venue.engine.listings[symbol].quantity_max
        for level in range(1, 6):
            for side, sign in (("BUY", -1), ("SELL", 1)):
                at = (Decimal(price) + sign * level * step).quantize(tick)
                venue.market(symbol, side, f"{most}", f"{at}")


async def _serve(given: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with MockBinance(given.port, keys={given.key: given.secret}, log=given.log) as venue:
        _fill_book(venue, given.book)
        sys.stdout.write(json.dumps({"url": venue.url, "stream_url": venue.stream_url}) + "\n")
        sys.stdout.flush()
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
