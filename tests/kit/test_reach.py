"""What of a stream is unread, and what was lost of it, counted to the message."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contract.errors import Unavailable
from shared.contract.market import Frame
from shared.contract.subjects import Stream, Subject
from shared.kit.reach import Book
from shared.kit.service import Heard, batch, follow
from shared.kit.streams import state_of
from tests.conftest import Closer
from tests.kit.test_hearing import Rig
from tests.servers import Server, nats_server

SMALL = Stream("SMALL", ("small.>",), 200_000, 3600, "old")
SAID = Subject("small.{venue}", Frame, SMALL)
SHARED = Stream("SHARED", ("some.>", "others.>"), 400_000, 3600, "old")
SOME = Subject("some.{venue}", Frame, SHARED)


def book(*heard: int, begin: tuple[int, int, int] = (0, 0, 0)) -> Book:
    made = Book()
    made.begin(*begin)
    for sequence in heard:
        made.heard(sequence)
    return made


def test_what_was_heard_is_not_lost_when_the_stream_drops_it() -> None:
    one = book(1, 2, 3)
    one.gone(4)
    assert (one.lost, one.next) == (0, 4)


def test_what_was_never_heard_and_is_gone_is_lost_once() -> None:
    one = book(1, 2, 6, 7)
    for first in (4, 4, 5, 20, 20):
        one.gone(first)
    assert (one.lost, one.next) == (3 + 12, 20)


def test_what_comes_again_fills_its_hole() -> None:
    one = book(5, 1, 3, 2, 4, 4, begin=(0, 0, 0))
    one.gone(6)
    assert one.lost == 0


def test_what_an_earlier_life_had_finished_is_not_lost() -> None:
    """Of eight that it was delivered after the third, five were not finished; two of these came again."""
    one = book(5, 9, 12, begin=(3, 11, 5))
    one.gone(13)
    assert one.lost == 3


def test_what_was_handed_back_is_lost_if_it_never_comes_again() -> None:
    one = book(1, 2, 3, 4, 5, 6)
    one.missed([2, 5, 2, 4])
    one.heard(5)
    one.gone(7)
    assert one.lost == 2


def test_holes_without_end_are_bounded() -> None:
    one = book(*range(2, 50_000, 2))
    one.gone(50_000)
    assert one.lost == 25_000


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[Server]:
    server = nats_server(tmp_path).start()
    yield server
    server.stop()


class Store:
    """Where a hearer writes, and which may be away."""

    def __init__(self) -> None:
        self.away = False
        self.heard: list[int] = []

    @property
    def last(self) -> int:
        return max(self.heard, default=0)

    async def take(self, heard: list[Heard[Any]]) -> None:
        if self.away:
            raise Unavailable("the store is away")
        self.heard += [one.sequence for one in heard]


async def rigged(server: Server, store: Store, *, follows: bool) -> Rig:
    rig = Rig(server.port)
    await rig.bus.connect({SMALL: True})
    row = follow((SAID,), store.take, after=lambda: store.last, count_max=8)
    await rig.hearing.open(row if follows else batch((SAID,), store.take, count_max=8, wait_s=0.01))
    looking = asyncio.create_task(rig.hearing.look())
    close = rig.close

    async def closed() -> None:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await close()

    rig.close = closed  # type: ignore[method-assign]
    return rig


async def say(rig: Rig, count: int) -> None:
    for _ in range(count):
        await rig.bus.store("small.sim", b"x" * 1000, None)


async def until(true: Any, what: str) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


def lost(rig: Rig) -> float:
    return rig.meter.totals["messages_lost"]


@pytest.mark.parametrize("follows", [False, True])
async def test_a_store_that_is_away_for_too_long_is_warned_of_and_each_loss_is_counted(
    own_nats: Server, closing: Closer, monkeypatch: pytest.MonkeyPatch, follows: bool
) -> None:
    monkeypatch.setattr("shared.kit.hearing.LOOKS_EVERY_S", 0.05)
    store = Store()
    rig = await rigged(own_nats, store, follows=follows)
    closing(rig.close)
    await say(rig, 20)
    await until(lambda: len(store.heard) == 20, "all")
    assert rig.hearing.trouble() is None

    store.away = True
    await say(rig, 130)
    await until(lambda: rig.hearing.trouble() is not None, "the warning")
    assert "can keep" in str(rig.hearing.trouble())
    assert lost(rig) == 0

    await say(rig, 400)
    store.away = False
    await until(lambda: store.last == 550, "the rest")
    await until(lambda: rig.hearing.trouble() is None, "all clear")
    try:
        await until(lambda: lost(rig) == 550 - len(set(store.heard)), "the losses")
    except TimeoutError:
        raise AssertionError(f"{lost(rig)} lost, {len(set(store.heard))} of 550 heard") from None
    assert lost(rig) > 100


async def test_what_was_dropped_while_nobody_was_there_is_counted(
    own_nats: Server, closing: Closer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.hearing.LOOKS_EVERY_S", 0.05)
    store = Store()
    rig = await rigged(own_nats, store, follows=False)
    await say(rig, 20)
    await until(lambda: len(store.heard) == 20, "all")
    await until(lambda: rig.hearing.unread() == "", "all to be acknowledged")
    await rig.close()

    other = Rig(own_nats.port, "other")
    await other.bus.connect({SMALL: True})
    closing(other.close)
    await say(other, 400)
    first = (await state_of(other.bus.line, SMALL))["first_seq"]
    rig = await rigged(own_nats, store, follows=False)
    closing(rig.close)
    await until(lambda: store.last == 420, "the rest")
    await until(lambda: lost(rig) == first - 21, "the losses")
    assert len(store.heard) == 420 - lost(rig)


async def test_who_hears_only_some_of_a_stream_loses_nothing_by_the_rest_of_it_and_is_warned_in_time(
    own_nats: Server, closing: Closer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.hearing.LOOKS_EVERY_S", 0.05)
    monkeypatch.setattr("shared.kit.reach.HOLES_MAX", 10)
    rig, store = Rig(own_nats.port), Store()
    closing(rig.close)
    await rig.bus.connect({SHARED: True})
    await rig.hearing.open(follow((SOME,), store.take, after=lambda: store.last, count_max=8))
    looking = asyncio.create_task(rig.hearing.look())

    async def stop() -> None:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    closing(stop)
    for _ in range(50):
        await rig.bus.store("some.sim", b"x", None)
        await rig.bus.store("others.sim", b"x", None)
    await until(lambda: len(store.heard) == 50, "all of ours")
    assert lost(rig) == 0

    store.away = True
    for _ in range(30):
        await rig.bus.store("some.sim", b"x", None)
    for _ in range(330):
        await rig.bus.store("others.sim", b"x" * 1000, None)
    await until(lambda: rig.hearing.trouble() is not None, "the warning")
    assert lost(rig) == 0
