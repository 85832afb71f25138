"""What a client is shown is on disk, whatever was decided meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.contract.errors import Conflict, Unavailable
from shared.kit.fakes import FakeKit, fake_kit
from shared.kit.valkey import Change
from tests.services.oms.running import Desk


class SlowDisk:
    """Writes only when it is told to."""

    def __init__(self, kit: FakeKit) -> None:
        self._write = kit.valkey.execute
        self._turn = asyncio.Semaphore(0)
        self.waiting = 0
        kit.valkey.execute = self._execute  # type: ignore[method-assign]

    async def _execute(self, changes: Sequence[Change]) -> list[bool]:
        self.waiting += 1
        await self._turn.acquire()
        return await self._write(changes)

    async def write(self, times: int = 1) -> None:
        """So many writes, and time for whoever waited for them."""
        for _ in range(times):
            self._turn.release()
        await settle()


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Whose commits do not wait for each other, so that each is a write of its own."""
    monkeypatch.setattr("shared.kit.journal.WRITE_EVERY_S", 0)
    return Desk(fake_kit("oms"))


async def test_a_second_cancel_is_answered_once_the_first_is_on_disk(desk: Desk) -> None:
    order = await desk.order()
    disk = SlowDisk(desk.kit)
    first = asyncio.create_task(desk.cancel(order.order_id))
    await settle()
    second = asyncio.create_task(desk.cancel(order.order_id))
    await settle()
    assert not second.done()
    await disk.write(3)

    assert (await first).version == (await second).version == (await desk.now(order)).version == 2


async def test_an_order_is_said_to_be_over_once_its_end_is_on_disk(desk: Desk) -> None:
    stop = await desk.order(type="STOP", stop_price="110")
    disk = SlowDisk(desk.kit)
    first = asyncio.create_task(desk.cancel(stop.order_id))
    await settle()
    others = [
        asyncio.create_task(desk.cancel(stop.order_id)),
        asyncio.create_task(desk.replace(stop.order_id, quantity="2")),
    ]
    await settle()
    assert not any(other.done() for other in others)
    await disk.write(3)

    assert (await first).status == "CANCELED"
    for other in others:
        with pytest.raises(Conflict, match="CANCELED"):
            await other


async def test_an_order_with_new_terms_is_shown_once_all_that_is_shown_of_it_is_on_disk(desk: Desk) -> None:
    stop = await desk.order(type="STOP", stop_price="110")
    disk = SlowDisk(desk.kit)
    replaced = asyncio.create_task(desk.replace(stop.order_id, quantity="2"))
    await settle()
    reached = asyncio.create_task(desk.market("111", "112"))
    await settle()
    await disk.write()
    assert (await desk.now(stop)).version == 2
    assert not replaced.done()
    await disk.write(3)
    await reached

    assert (await replaced).version <= (await desk.now(stop)).version
    assert (await replaced).quantity == 2


async def test_nothing_is_shown_when_it_is_unknown_whether_it_is_on_disk(desk: Desk) -> None:
    order = await desk.order()
    disk = SlowDisk(desk.kit)
    desk.kit.valkey.away = True
    cancels = [asyncio.create_task(desk.cancel(order.order_id)) for _ in range(2)]
    await settle()
    await disk.write(3)
    answers = await asyncio.gather(*cancels, return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
