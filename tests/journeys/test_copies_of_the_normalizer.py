"""Two copies of the normalizer share the symbols: together they say the bars of one, each of them once."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import nats
import numpy as np
import pytest

from shared.contract.market import Bar
from shared.contract.ticks import TickColumns
from shared.kit.frames import encode_frame
from tests.journeys.copies import Copy, World, await_ready, world
from tests.servers import wait_until

pytestmark = pytest.mark.suite

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "AAPL", "SPY")
NOON_NS = 1_700_006_400_000_000_000
FRAMES, ROWS = 120, 200


def frame(number: int) -> bytes:
    """Some minutes of trades in all symbols; the last one ends their source."""
    chance = np.random.default_rng(number)
    at_ns = NOON_NS + (number * ROWS + np.arange(ROWS)) * 100_000_000
    return encode_frame(
        TickColumns(
            venue="lean",
            symbols=SYMBOLS,
            codes=chance.integers(0, len(SYMBOLS), ROWS).astype(np.int32),
            event_ns=at_ns,
            receive_ns=at_ns,
            price=100 + chance.integers(0, 500, ROWS) / 100,
            quantity=chance.integers(1, 9, ROWS).astype(float),
            side=np.zeros(ROWS, np.int8),
            trade_id=[f"{number}-{row}" for row in range(ROWS)],
            sequence=np.arange(ROWS),
            replay="copies",
            ended=number == FRAMES - 1,
        )
    )


def publish(made: World, first: int, last: int) -> None:
    """Frames of one number up to, not including, another."""

    async def say() -> None:
        client = await nats.connect(made.url)
        for number in range(first, last):
            await client.jetstream().publish("frames.lean", frame(number))
        await client.close()

    asyncio.run(say())


def has_folded(copy: Copy, sequence: int) -> bool:
    return copy.http.get("/stats").json().get("sequence", 0) >= sequence


def bars(made: World) -> Counter[str]:
    """Every bar that was said, and how often."""
    return Counter(made.stored("BARS", "ohlcv.>"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """What one copy says that nothing befalls."""
    with world(tmp_path_factory.mktemp("one")) as made:
        one = made.start("normalizer")
        await_ready(one)
        publish(made, 0, FRAMES)
        wait_until(lambda: has_folded(one, FRAMES), "all frames to be folded")
        one.end()
        return bars(made)


def test_two_copies_of_which_one_is_killed_say_the_bars_of_one(expected: Counter[str], tmp_path: Path) -> None:
    assert len(expected) > 200
    with world(tmp_path) as made:
        one, two = made.start_all("normalizer", 2)
        await_ready(one, two)
        publish(made, 0, FRAMES // 2)
        two.end(signal.SIGKILL)
        publish(made, FRAMES // 2, FRAMES)
        two = made.start("normalizer", 2, 2)
        await_ready(two)
        wait_until(lambda: has_folded(one, FRAMES) and has_folded(two, FRAMES), "all frames to be folded")
        wait_until(lambda: bars(made).total() >= expected.total(), "all bars to be said")
        assert bars(made) == expected
        for copy in (one, two):
            shown = copy.http.get("/bars/lean/BTCUSDT/1m", params={"limit": 500}).json()["bars"]
            assert len(shown) == len(
                {Bar.decode(words.encode()).start_ns for words in expected if '"BTCUSDT"' in words and '"1m"' in words}
            ), "either shows all"


def test_the_number_of_copies_changes_in_the_midst_of_it(expected: Counter[str], tmp_path: Path) -> None:
    with world(tmp_path) as made:
        at = 0
        for count, number in ((1, signal.SIGKILL), (2, signal.SIGTERM), (3, signal.SIGKILL), (1, signal.SIGTERM)):
            copies = made.start_all("normalizer", count)
            await_ready(*copies)
            publish(made, at, at + FRAMES // 4)
            at += FRAMES // 4
            wait_until(lambda copies=copies, at=at: all(has_folded(copy, at) for copy in copies), "frames to be folded")
            for copy in copies:
                copy.end(number)
        assert bars(made) == expected
