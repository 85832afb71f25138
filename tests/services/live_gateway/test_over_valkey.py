"""The gateway over a real Valkey: what is new, what is known, and what is killed outlive it."""

from __future__ import annotations

import pytest

from shared.contract import subjects
from shared.contract.risk import Kill
from shared.contract.venue import PanicRequest
from shared.kit.fakes import FakeClock, FakeKit, fake_kit
from shared.kit.journal import Journal
from shared.kit.valkey import ValkeyStore
from tests.conftest import Closer
from tests.servers import Server
from tests.services.live_gateway.conftest import INSTRUMENTS, NOW_NS, quote, route, tick
from tests.services.live_gateway.room import ENABLED, Room

ORDER = "over-valkey-0123456789abcdef0123"


def joined(kit: FakeKit, valkey: Server, closing: Closer) -> FakeKit:
    store = ValkeyStore(f"redis://127.0.0.1:{valkey.port}")
    kit.__dict__["valkey"] = store
    kit.__dict__["journal"] = Journal(kit.name, store, kit.bus.store_all)
    closing(store.close)
    closing(kit.journal.close)
    return kit


async def again(room: Room, valkey: Server, closing: Closer) -> Room:
    """A process after it."""
    await room.gateway.errands.close()
    await room.kit.journal.close()
    kit = room.kit.restarted()
    kit.suite = room.kit.suite
    kit.__dict__["earlier"] = room.kit
    room = await Room(joined(kit, valkey, closing), room.venue, **room.words).begin()
    await room.hear(subjects.QUOTE, quote())
    return room


@pytest.fixture
async def room(valkey: Server, closing: Closer) -> Room:
    kit = fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await Room(joined(kit, valkey, closing), **(ENABLED | {"binance_account": "over-valkey"})).begin()
    await room.hear(subjects.QUOTE, quote())
    return room


async def test_an_order_is_new_once(room: Room, valkey: Server, closing: Closer) -> None:
    order = route("over-valkey-paper", "BUY", "5", "99", account="over-valkey")
    await room.hear(subjects.ORDER_NEW, order)
    room = await again(room, valkey, closing)
    await room.hear(subjects.TICK, tick("98", "50"))
    room = await again(room, valkey, closing)
    await room.hear(subjects.ORDER_NEW, order)
    await room.hear(subjects.TICK, tick("98", "50"))

    said = await room.said()
    assert said == [("over-valkey-paper", status, n) for status, n in (("WORKING", 1), ("FILLED", 2), ("FILLED", 2))]


async def test_what_a_file_killed_is_told_to_risk_and_outlives_the_file_and_the_process(
    room: Room, valkey: Server, closing: Closer
) -> None:
    (room.kit.suite.var / "kill" / "account.over-valkey").write_text("by hand")
    room.gateway.board.look()
    await room.gateway.board.tell()
    (room.kit.suite.var / "kill" / "account.over-valkey").unlink()
    room = await again(room, valkey, closing)
    await room.hear(subjects.ORDER_NEW, route("over-valkey-killed", account="over-valkey"))

    assert (await room.said())[-1] == ("over-valkey-killed", "REJECTED", 1)
    assert {told.scope for told in room.kit.bus.heard(subjects.RISK_KILL)} == {"account.over-valkey"}


async def test_a_real_order_and_a_panic_outlive_the_process(room: Room, valkey: Server, closing: Closer) -> None:
    await room.live()
    order = route(ORDER, "BUY", "5", "99", account="over-valkey", venue="binance")
    await room.hear(subjects.ORDER_NEW, order)
    await room.settled()
    room.venue.fill("2", told=False)
    room = await again(room, valkey, closing)
    await room.hear(subjects.ORDER_NEW, order)
    await room.after(1)
    await room.call("/panic", PanicRequest(reason="test", actor="anna"), method="POST")
    await room.settled()
    room = await again(room, valkey, closing)

    assert (await room.statuses())[-1] == "CANCELED"
    assert room.reports()[-1].cumulative_quantity == 2
    assert room.venue.count("submit") == 1
    assert (await room.call("/mode"))["killed"] == {"firm": "test"}
    await room.hear(subjects.RISK_KILL, Kill(scope="firm", reason="over", actor="bert", active=False, at_ns=NOW_NS * 2))
    assert (await room.call("/mode"))["killed"] == {}
