"""Copies of the normalizer that share the symbols make the bars of one, however often their number changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.normalizer.service import wire
from services.normalizer.settings import Settings
from shared.contract.market import Bar, Frame, Tick
from shared.contract.subjects import BAR, FRAME, TICK_WORDS, Subject
from shared.contract.ticks import TickColumns
from shared.domain.bars import BarFold
from shared.domain.bars.parts import Checkpoint, only, shared_out
from shared.kit import Heard
from shared.kit.fakes import FakeClock, FakeKit, fake_kit
from shared.kit.frames import encode_frame
from shared.kit.service import Follow
from shared.kit.shard import Shard

S = 1_000_000_000
NOON = 1_700_006_400 * S
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "AAPL", "SPY")


def tick(at_s: int, symbol: str, trade_id: str) -> Tick:
    at_ns = NOON + at_s * S
    price = Decimal(100 + at_s % 17)
    return Tick(
        venue="sim",
        symbol=symbol,
        event_ns=at_ns,
        receive_ns=at_ns,
        price=price,
        quantity=Decimal(1 + at_s % 3),
        trade_id=trade_id,
    )


def columns(ticks: Sequence[Tick], *, replay: str = "", ended: bool = False) -> TickColumns:
    symbols = tuple(dict.fromkeys(one.symbol for one in ticks))
    return TickColumns(
        venue="sim",
        symbols=symbols,
        codes=np.array([symbols.index(one.symbol) for one in ticks], np.int32),
        event_ns=np.array([one.event_ns for one in ticks], np.int64),
        receive_ns=np.array([one.receive_ns for one in ticks], np.int64),
        price=np.array([float(one.price) for one in ticks]),
        quantity=np.array([float(one.quantity) for one in ticks]),
        side=np.zeros(len(ticks), np.int8),
        trade_id=[one.trade_id for one in ticks],
        sequence=np.arange(len(ticks)),
        replay=replay,
        ended=ended,
    )


def stream_of(seed: int) -> list[Heard[Any]]:
    """Half an hour of five symbols, some trades told twice, some late, as single ticks and as frames; then the end."""
    chance = np.random.default_rng(seed)
    ticks: list[Tick] = []
    for at_s in range(0, 1800, 7):
        one = tick(at_s - int(chance.integers(0, 12)), SYMBOLS[int(chance.integers(0, 5))], f"t{at_s}")
        ticks += [one, one] if chance.random() < 0.2 else [one]
        if chance.random() < 0.2:
            ticks.append(ticks[-min(len(ticks), 3)])  # told again a moment later
    heard: list[Heard[Any]] = []
    while ticks:
        count = int(chance.integers(1, 6))
        some, ticks = ticks[:count], ticks[count:]
        message: Any = some[0]
        if count > 1:
            message = Frame(venue="sim", payload=encode_frame(columns(some)))
        else:
            ticks = some[1:] + ticks
        subject: Subject[Any] = TICK_WORDS if isinstance(message, Tick) else FRAME
        address = subject.address(message)
        heard.append(Heard(subject, subject.decode(message.encode(), address), len(heard) + 1, address))
    last = columns([tick(1800, symbol, f"last-{symbol}") for symbol in SYMBOLS], ended=True)
    frame = Frame(venue="sim", payload=encode_frame(last))
    return [*heard, Heard(FRAME, frame, len(heard) + 1, FRAME.address(frame))]


class Copy:
    """One of several copies, as the life of a process drives it."""

    def __init__(self, like: FakeKit, index: int, count: int) -> None:
        kit = FakeKit("normalizer", clock=FakeClock(NOON))
        kit.__dict__.update(valkey=like.valkey, bus=like.bus, shard=Shard("normalizer", index, count, "symbol"))
        self.service = wire(kit, Settings())
        (self._row,) = (row for row in self.service.hears if isinstance(row, Follow))
        self._save = self.service.every[1].handler

    async def read(self, stream: Sequence[Heard[Any]], until: int, *, save: bool) -> None:
        """Take what follows its checkpoint, up to there."""
        await self.service.recovers()
        if some := [one for one in stream if self._row.after() < one.sequence <= until]:
            await self._row.handler(some)
        if save:
            await self._save()


@dataclass(frozen=True)
class Spell:
    """So many copies for a while: how far each comes, whether it saves that, and whether all end in order."""

    reach: tuple[tuple[float, bool], ...]


spells = st.lists(
    st.builds(
        Spell,
        st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=3).map(tuple),
    ),
    max_size=5,
)


async def bars_of(stream: Sequence[Heard[Any]], story: Sequence[Spell]) -> Counter[Bar]:
    """All that is said while the copies come and go as the story tells; at the end, two of them read to its end."""
    kit = fake_kit("normalizer", clock=FakeClock(NOON))
    begun = 0.0
    for spell in story:
        for index, (share, save) in enumerate(spell.reach, 1):
            until = round(len(stream) * (begun + share * (1 - begun)))
            await Copy(kit, index, len(spell.reach)).read(stream, until, save=save)
        begun += (1 - begun) / 4
    for index in (1, 2):
        await Copy(kit, index, 2).read(stream, len(stream), save=True)
    return Counter(kit.bus.heard(BAR))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 5), story=spells)
async def test_the_bars_are_those_of_one_copy_whatever_happens(seed: int, story: list[Spell]) -> None:
    stream = stream_of(seed)
    alone = fake_kit("normalizer", clock=FakeClock(NOON))
    await Copy(alone, 1, 1).read(stream, len(stream), save=True)
    expected = Counter(alone.bus.heard(BAR))
    assert len(expected) > 100

    assert await bars_of(stream, story) == expected


def test_ticks_of_other_copies_are_left_out_and_the_end_of_a_source_is_kept() -> None:
    whole = columns([tick(at, SYMBOLS[at % 3], f"t{at}") for at in range(9)], ended=True)

    mine = only(whole, lambda symbol: symbol == "ETHUSDT")
    assert mine is not None
    assert (mine.symbols, len(mine), list(mine.trade_id), mine.ended) == (("ETHUSDT",), 3, ["t1", "t4", "t7"], True)
    assert mine.event_ns.tolist() == [NOON + at * S for at in (1, 4, 7)]
    assert only(whole, lambda symbol: symbol == "SPY") is None
    assert only(whole, lambda symbol: True) is whole


def test_what_copies_have_left_becomes_the_beginning_of_others() -> None:
    def fold(*symbols: str) -> bytes:
        made = BarFold(10 * S)
        made.take(columns([tick(1, symbol, "x") for symbol in symbols]))
        return made.dump()

    def owner(symbol: str) -> int:
        return 1 if symbol in ("AAPL", "BTCUSDT") else 2

    left = [Checkpoint(500, fold("AAPL", "SPY")), Checkpoint(480, fold("BTCUSDT"), {"BTCUSDT": 490})]
    parts = shared_out(left, 2, owner)
    assert {index: (one.sequence, one.ahead) for index, one in parts.items()} == {
        1: (480, {"AAPL": 500, "BTCUSDT": 490}),
        2: (480, {"SPY": 500}),
    }
    assert Checkpoint.decode(parts[1].encode()) == parts[1]

    fresh = BarFold(10 * S)
    fresh.load(parts[1].fold)
    again = columns([tick(1, "AAPL", "x"), tick(1, "BTCUSDT", "x"), tick(1, "BTCUSDT", "y")])
    fresh.take(again)
    assert (fresh.symbols, fresh.totals["duplicates"], fresh.totals["ticks"]) == (2, 2, 1), "trade ids move along"

    assert shared_out([left[0], None], 1, lambda _: 1)[1].sequence == 0, "of the second nothing is known"


async def test_a_copy_that_others_have_gone_on_from_begins_anew() -> None:
    stream, kit = stream_of(1), fake_kit("normalizer", clock=FakeClock(NOON))
    cut_off = Copy(kit, 1, 2)
    await cut_off.read(stream, 10, save=True)
    await cut_off.read(stream, 20, save=True)
    await Copy(kit, 1, 1).read(stream, 30, save=True)
    with pytest.raises(RuntimeError, match="begins anew"):
        await cut_off.read(stream, 40, save=True)


async def test_a_number_of_copies_leaves_no_checkpoint_of_another() -> None:
    stream, kit = stream_of(1), fake_kit("normalizer", clock=FakeClock(NOON))
    for step, count in enumerate((1, 3, 2, 1)):
        for index in range(1, count + 1):
            await Copy(kit, index, count).read(stream, len(stream) // 2 + step, save=True)
        names = [f"checkpoint:{Shard('normalizer', index, count).name}" for index in range(1, count + 1)]
        assert await kit.valkey.keys("checkpoint:*") == names
