"""Over a real NATS: what the normalizer cannot read is set aside, all of it, also when there is no room at first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contract.errors import Unavailable
from shared.kit.fakes import FakeClock, fake_kit
from tests.conftest import Closer
from tests.kit.test_hearing import Rig, eventually
from tests.servers import Server, nats_server
from tests.services.normalizer.test_service import NOON, Desk, tick


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[Server]:
    server = nats_server(tmp_path).start()
    yield server
    server.stop()


async def test_unreadable_ticks_are_all_parked_though_the_first_could_not_be_at_once(
    own_nats: Server, closing: Closer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(own_nats.port, "normalizer")
    await rig.bus.connect()
    closing(rig.close)
    tries: list[str] = []
    park = rig.bus.park_raw

    async def away_at_first(address: str, *words: Any) -> None:
        tries.append(address)
        if len(tries) == 1:
            raise Unavailable("no room")
        await park(address, *words)

    monkeypatch.setattr(rig.bus, "park_raw", away_at_first)
    desk = await Desk(fake_kit("normalizer", clock=FakeClock(NOON))).start()
    monkeypatch.setattr(desk.kit.bus, "park", rig.bus.park)
    await rig.hearing.open(desk.row)
    for n in range(3):
        await rig.bus.store("ticks.sim.SPY", b"noise %d" % n, None)
    for at_s in (1, 60):
        await rig.bus.store("ticks.sim.SPY", tick(at_s).encode(), None)

    await eventually(lambda: len(desk.minutes) == 1 and rig.meter.totals.get("messages_set_aside") == 3)
    assert rig.meter.totals["parked"] == 3
