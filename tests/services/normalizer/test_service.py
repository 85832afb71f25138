"""The normalizer over the twins: what it hears becomes bars, kept and said, whatever happens in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest

from services.normalizer import core
from services.normalizer.service import wire
from services.normalizer.settings import Settings
from shared.contract import keys
from shared.contract.errors import Unavailable
from shared.contract.market import Amendment, Bar, Change, Frame, Interval, Tick
from shared.contract.subjects import AMENDMENT, BAR, FRAME, TICK_WORDS, Subject
from shared.contract.ticks import TickColumns
from shared.domain.bars import SaidBar
from shared.domain.bars.parts import Checkpoint
from shared.kit import Heard, Service, Unheard
from shared.kit.fakes import FakeClock, FakeKit, fake_kit
from shared.kit.frames import encode_frame
from shared.kit.service import Follow

S = 1_000_000_000
NOON = 1_700_006_400 * S


def tick(at_s: float, price: str = "100", trade_id: str = "", symbol: str = "SPY") -> Tick:
    return Tick(
        venue="sim",
        symbol=symbol,
        event_ns=NOON + round(at_s * S),
        receive_ns=NOON + round(at_s * S),
        price=Decimal(price),
        quantity=Decimal(2),
        trade_id=trade_id,
    )


def frame(ticks: Sequence[Tick], *, replay: str = "", ended: bool = False, symbol: str = "SPY") -> Frame:
    count = len(ticks)
    columns = TickColumns(
        venue="sim",
        symbols=[symbol],
        codes=np.zeros(count, np.int32),
        event_ns=np.array([one.event_ns for one in ticks], np.int64),
        receive_ns=np.array([one.receive_ns for one in ticks], np.int64),
        price=np.array([float(one.price) for one in ticks]),
        quantity=np.array([float(one.quantity) for one in ticks]),
        side=np.zeros(count, np.int8),
        trade_id=[one.trade_id for one in ticks],
        sequence=np.zeros(count, np.int64),
        replay=replay,
        ended=ended,
    )
    return Frame(venue="sim", payload=encode_frame(columns))


def heard(*messages: Tick | Frame, first: int = 1) -> list[Heard[Any]]:
    def as_heard(message: Tick | Frame, sequence: int) -> Heard[Any]:
        subject: Subject[Any] = TICK_WORDS if isinstance(message, Tick) else FRAME
        address = subject.address(message)
        return Heard(subject, subject.decode(message.encode(), address), sequence, address)

    return [as_heard(message, first + at) for at, message in enumerate(messages)]


class Desk:
    """A normalizer as the life of a process would drive it."""

    def __init__(self, kit: FakeKit, settings: Settings | None = None) -> None:
        self.kit = kit
        self.service: Service = wire(kit, settings or Settings())
        (self.row,) = (row for row in self.service.hears if isinstance(row, Follow))
        self.set_aside: Unheard = []

    async def start(self) -> Desk:
        await self.service.recovers()
        return self

    async def hear(self, *messages: Tick | Frame, first: int = 1) -> None:
        self.set_aside += await self.row.handler(heard(*messages, first=first))

    async def every(self, name: str) -> None:
        await next(row.handler for row in self.service.every if row.handler.__name__ == name)()

    @property
    def minutes(self) -> list[Bar]:
        return [bar for bar in self.kit.bus.heard(BAR) if bar.interval is Interval.m1]

    async def show(self, interval: Interval = Interval.m1, limit: int = 100, symbol: str = "SPY") -> dict[str, Any]:
        (route,) = self.service.serves
        return await route.handler("sim", symbol, interval, limit)


@pytest.fixture
async def desk() -> Desk:
    return await Desk(fake_kit("normalizer", clock=FakeClock(NOON))).start()


async def test_ticks_and_frames_of_one_delivery_are_folded_in_their_order(desk: Desk) -> None:
    await desk.hear(tick(1, "5"), frame([tick(2, "9"), tick(3, "1")]), tick(4, "7"), tick(60))

    (bar,) = desk.minutes
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.count) == (5, 9, 1, 7, 8, 4)
    assert desk.service.stats() | {"sequence": 4} == {
        "ticks": 5,
        "late": 0,
        "duplicates": 0,
        "bars": 1,
        "revisions": 0,
        "amendments_refused": 0,
        "amending": 0,
        "symbols": 1,
        "sequence": 4,
    }


async def test_a_said_bar_can_be_asked_for_oldest_first(desk: Desk) -> None:
    await desk.hear(tick(1), tick(61), tick(241), tick(300))

    shown = await desk.show()

    assert shown["bars"] == desk.minutes
    assert [bar.start_ns for bar in shown["bars"]] == [NOON, NOON + 60 * S, NOON + 240 * S]
    assert (shown["count"], shown["empty"], shown["interval"]) == (3, 2, "1m")
    assert (await desk.show(limit=1))["bars"] == desk.minutes[-1:]
    assert (await desk.show(symbol="NONE"))["bars"] == []
    assert (await desk.show(Interval.d1))["bars"] == []


async def test_a_late_tick_has_its_bar_said_and_kept_again(desk: Desk) -> None:
    await desk.hear(tick(59, "5"), tick(61))
    await desk.hear(tick(58, "6"))

    assert [(bar.revision, bar.open) for bar in desk.minutes] == [(0, 5), (1, 6)]
    assert (await desk.show())["bars"] == desk.minutes[1:]


async def test_what_cannot_be_read_is_set_aside_and_the_rest_goes_on(desk: Desk) -> None:
    await desk.hear(tick(1), Frame(venue="sim", payload=b"noise"), tick(60))

    assert len(desk.minutes) == 1
    ((one, error),) = desk.set_aside
    assert one.message.payload == b"noise"
    assert "Arrow" in str(error)


async def test_what_cannot_be_read_is_set_aside_also_when_its_delivery_had_to_come_again(desk: Desk) -> None:
    noise = [Frame(venue="sim", payload=b"noise %d" % n) for n in range(3)]
    delivery = heard(noise[0], tick(1), noise[1], tick(60), noise[2])
    desk.kit.bus.away = True
    with pytest.raises(Unavailable):
        await desk.row.handler(delivery)

    desk.kit.bus.away = False
    unheard: Unheard = await desk.row.handler(delivery)

    assert [one.sequence for one, _ in unheard] == [1, 3, 5]
    assert await desk.row.handler(heard(tick(61), first=6)) == []


async def test_the_clock_closes_a_live_bar_a_moment_after_its_end(desk: Desk) -> None:
    clock = desk.kit.clock
    assert isinstance(clock, FakeClock)
    await desk.hear(tick(59))
    clock.advance(60.4)
    await desk.every("close_due")
    assert desk.minutes == []

    clock.advance(0.1)
    await desk.every("close_due")
    await desk.every("close_due")

    assert [bar.revision for bar in desk.minutes] == [0]


async def test_while_the_bus_is_away_a_delivery_comes_again_and_is_folded_once(desk: Desk) -> None:
    delivery = heard(tick(1), tick(2), tick(60), tick(61), tick(120))
    desk.kit.bus.away = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            await desk.row.handler(delivery)

    desk.kit.bus.away = False
    await desk.row.handler(delivery)

    assert [(bar.count, bar.revision) for bar in desk.minutes] == [(2, 0), (2, 0)]
    assert desk.service.stats()["ticks"] == 5


async def test_nothing_is_saved_before_its_bars_were_said(desk: Desk) -> None:
    desk.kit.bus.away = True
    with pytest.raises(Unavailable):
        await desk.hear(tick(1), tick(60))
    with pytest.raises(Unavailable):
        await desk.every("close_due")
    await desk.every("save")
    assert await desk.kit.valkey.raw(keys.checkpoint("normalizer")) is None

    desk.kit.bus.away = False
    await desk.every("close_due")
    await desk.every("save")

    assert await desk.kit.valkey.raw(keys.checkpoint("normalizer")) is not None
    assert len(desk.minutes) == 1


async def test_while_the_store_is_away_nothing_is_said_and_later_everything(desk: Desk) -> None:
    desk.kit.valkey.away = True
    delivery = heard(tick(1), tick(60))
    with pytest.raises(Unavailable):
        await desk.row.handler(delivery)
    assert desk.minutes == []

    desk.kit.valkey.away = False
    desk.kit.journal.mend()
    await desk.service.recovers()
    await desk.row.handler(delivery)

    assert len(desk.minutes) == len((await desk.show())["bars"]) == 1


@pytest.mark.parametrize("saved_after", range(0, 40, 3))
async def test_a_process_killed_anywhere_is_followed_by_one_that_says_the_same_bars(saved_after: int) -> None:
    ticks = [tick(n * 7 - 9 * (n % 5 == 0) + 10, str(100 + n % 13), str(n)) for n in range(80)]
    undisturbed = await Desk(fake_kit("normalizer", clock=FakeClock(NOON))).start()
    for at, one in enumerate(ticks, 1):
        await undisturbed.hear(one, first=at)

    first = await Desk(fake_kit("normalizer", clock=FakeClock(NOON))).start()
    for at, one in enumerate(ticks[:55], 1):
        await first.hear(one, first=at)
        if at == saved_after:
            await first.every("save")
    second = await Desk(first.kit.restarted()).start()
    assert second.row.after() == saved_after
    for at, one in enumerate(ticks[saved_after:], saved_after + 1):
        await second.hear(one, first=at)

    # The twin's bus drops what it has under the same id, as the stream does.
    assert second.kit.bus.heard(BAR) == undisturbed.kit.bus.heard(BAR)
    assert await second.show() == await undisturbed.show()


async def test_a_fold_that_did_not_change_is_not_saved_again(desk: Desk) -> None:
    await desk.hear(tick(1))
    await desk.every("save")
    writes = desk.kit.valkey.writes
    await desk.every("save")

    assert desk.kit.valkey.writes == writes


async def test_an_orderly_end_saves_what_was_folded(desk: Desk) -> None:
    await desk.hear(tick(1), tick(2), first=41)
    await desk.service.closes()

    assert (await Desk(desk.kit.restarted()).start()).row.after() == 42


async def test_a_checkpoint_that_cannot_be_read_begins_from_the_stream_s_beginning(desk: Desk) -> None:
    transaction = desk.kit.journal.transaction()
    transaction.put(keys.checkpoint("normalizer"), b'7\n{"layout": []}\n')
    await desk.kit.journal.commit(transaction)

    assert (await Desk(desk.kit.restarted()).start()).row.after() == 0


async def test_of_a_checkpoint_whose_repairs_cannot_be_read_nothing_is_taken(desk: Desk) -> None:
    await desk.hear(tick(1), tick(60), first=41)
    await desk.every("save")
    kept = await desk.kit.valkey.raw(keys.checkpoint("normalizer"))
    assert kept is not None
    broken = replace(Checkpoint.decode(kept), amended=[{"venue": "sim"}])
    transaction = desk.kit.journal.transaction()
    transaction.put(keys.checkpoint("normalizer"), broken.encode())
    await desk.kit.journal.commit(transaction)

    fresh = await Desk(desk.kit.restarted()).start()
    assert (fresh.row.after(), fresh.service.stats()["symbols"], fresh.service.stats()["amending"]) == (0, 0, 0)


def cancelled(symbol: str, sequence: int, trade_id: str = "1") -> Heard[Any]:
    message = Amendment(
        venue="sim",
        symbol=symbol,
        trade_id=trade_id,
        event_ns=NOON + S,
        receive_ns=NOON + S,
        change=Change.CANCEL,
    )
    return Heard(AMENDMENT, message, sequence, AMENDMENT.address(message))


class SinkTwin:
    """Answers for sink-ticks: of each symbol it holds one trade, cancelled; of one it cannot answer."""

    def __init__(self, away: str) -> None:
        self.away = away

    async def request(self, _service: str, _method: str, path: str, **_: Any) -> Any:
        if path == f"/ticks/{self.away}":
            raise Unavailable("the sink is away")
        one = tick(1, trade_id="1").model_dump(mode="json") | {"price": 0.0, "quantity": 0.0}
        return SimpleNamespace(status=200, body=orjson.dumps({"ticks": [one]}))


async def test_a_bar_that_cannot_be_made_again_does_not_keep_the_others_waiting() -> None:
    kit = fake_kit("normalizer", clock=FakeClock(NOON))
    kit.__dict__["peers"] = SinkTwin(away="AWAY")
    desk = await Desk(kit, Settings(intervals=(Interval.m1,))).start()
    for symbol in ("AWAY", "SPY"):
        await desk.hear(tick(1, trade_id="1", symbol=symbol), tick(100, trade_id="2", symbol=symbol))
    await desk.row.handler([cancelled("AWAY", 5), cancelled("SPY", 6)])
    with pytest.raises(Unavailable):
        await desk.every("amend")
    await desk.every("amend")

    assert [(bar.symbol, bar.count) for bar in desk.minutes if bar.revision] == [("SPY", 0)]
    assert desk.service.stats()["amending"] == 1


async def test_an_amendment_that_the_tape_never_shows_is_given_up_after_hours_and_counted() -> None:
    clock = FakeClock(NOON)
    kit = fake_kit("normalizer", clock=clock)
    kit.__dict__["peers"] = SinkTwin(away="")
    desk = await Desk(kit, Settings(intervals=(Interval.m1,))).start()
    await desk.hear(tick(1, trade_id="1"), tick(2, trade_id="3"), tick(100, trade_id="2"))
    await desk.row.handler([cancelled("SPY", 4), cancelled("SPY", 5, trade_id="3")])
    tried_s = 0
    while desk.service.stats()["amending"]:
        await desk.every("amend")
        clock.advance(5)
        tried_s += 5

    assert 6 * 3600 < tried_s < 8 * 3600
    assert [bar.count for bar in desk.minutes if bar.revision] == [0], "as the tape has it"
    assert kit.meter.totals["amendments_unseen"] == 1


async def test_a_checkpoint_is_saved_the_less_often_the_larger_it_is_with_all_that_is_in_it() -> None:
    clock = FakeClock(NOON)
    desk = await Desk(fake_kit("normalizer", clock=clock), Settings(checkpoint_bytes_per_s=1)).start()
    await desk.hear(tick(1))
    await desk.row.handler([cancelled("SPY", n, trade_id=str(n)) for n in range(2, 50)])
    await desk.every("save")
    kept = await desk.kit.valkey.raw(keys.checkpoint("normalizer"))
    assert kept is not None
    await desk.hear(tick(2), first=50)

    for seconds, is_saved in ((len(kept) - 1, False), (2, True)):
        clock.advance(seconds)
        await desk.every("save")
        assert (await desk.kit.valkey.raw(keys.checkpoint("normalizer")) != kept) == is_saved


async def test_a_replay_done_again_is_said_again(desk: Desk) -> None:
    ticks = [tick(1, "5", "1"), tick(61, "6", "2")]
    await desk.hear(frame(ticks, replay="r1", ended=True))
    await desk.hear(frame(ticks, replay="r2", ended=True), first=2)

    bars = desk.minutes
    assert len(bars) == 4
    assert bars[:2] == bars[2:]


async def test_only_the_newest_bars_are_kept() -> None:
    desk = await Desk(fake_kit("normalizer"), Settings(bars_kept=20)).start()
    for n in range(400):
        await desk.hear(tick(60 * n), first=n + 1)

    held = await desk.kit.valkey.hash(keys.bars("1m", "sim", "SPY"))
    assert 20 <= len(held) <= 120
    assert [bar.start_ns for bar in (await desk.show())["bars"]] == [NOON + 60 * n * S for n in range(379, 399)]


def said(start_ns: int, revision: int = 0) -> SaidBar:
    bar = Bar(
        venue="sim",
        symbol="SPY",
        interval=Interval.m1,
        start_ns=start_ns,
        end_ns=start_ns + 60 * S,
        open=1,
        high=1,
        low=1,
        close=1,
        volume=1,
        vwap=1,
        count=1,
        revision=revision,
    )
    return SaidBar(bar, "r1")


def test_a_correction_does_not_overtake_what_it_corrects() -> None:
    assert core.wave([said(0), said(60 * S), said(0, 1), said(120 * S)], 10) == 2
    assert core.wave([said(0), said(60 * S)], 1) == 1
    assert core.wave([said(0)], 10) == 1


def test_a_bar_s_name_tells_its_revision_and_its_replay() -> None:
    names = {core.name_of(said(0)), core.name_of(said(0, 1)), core.name_of(SaidBar(said(0).bar, "r2"))}

    assert len(names) == 3
