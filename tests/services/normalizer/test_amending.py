"""Bars are what the stored ticks give, also of trades that a venue has corrected or cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.normalizer.core import Intake, Remade, Repairs, amending
from shared.contract.market import Amendment, Bar, Change, Interval, Tick
from shared.contract.subjects import AMENDMENT, TICK_WORDS
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import BarFold
from shared.kit import Heard
from shared.kit.frames import decode_frame

S = 1_000_000_000
NOON = 1_700_006_400 * S
LATENESS = 10 * S
INTERVALS = (Interval.s1, Interval.m1, Interval.m5)
Row = tuple[float, float, int, int]
"""Price, quantity, side, receive time."""


def tick(n: int, at_s: float, price: float, quantity: float, side: int) -> Tick:
    return Tick.model_validate(
        {
            "venue": "sim",
            "symbol": "A",
            "event_ns": NOON + round(at_s * S),
            "receive_ns": n,
            "price": str(price),
            "quantity": str(quantity),
            "side": side,
            "trade_id": f"t{n}" if n % 2 else str(n + 2),
        }
    )


def amendment(of: Tick, n: int, change: Change, price: float) -> Amendment:
    words: dict[str, Any] = {"venue": "sim", "symbol": "A", "trade_id": of.trade_id, "event_ns": of.event_ns}
    words |= {"receive_ns": n, "change": change}
    if change is Change.CORRECT:
        words |= {"price": Decimal(str(price)), "quantity": of.quantity, "side": of.side}
    return Amendment(**words)


def heard(message: Tick | Amendment, sequence: int) -> Heard[Any]:
    subject: Any = TICK_WORDS if isinstance(message, Tick) else AMENDMENT
    address = subject.address(message)
    return Heard(subject, subject.decode(message.encode(), address), sequence, address)


@dataclass
class Tape:
    """The rows of ticks, each replaced by the next of its key, as the tape does."""

    rows: dict[tuple[int, str], Row] = field(default_factory=dict[tuple[int, str], Row])

    def write(self, message: Tick | Amendment) -> None:
        price, quantity = float(message.price or 0), float(message.quantity or 0)
        self.rows[message.event_ns, message.trade_id] = (price, quantity, int(message.side), message.receive_ns)

    def pages(self, start_ns: int, end_ns: int, size: int = 3) -> list[TickColumns]:
        found = sorted((key, row) for key, row in self.rows.items() if start_ns <= key[0] < end_ns)
        times = sorted({key[0] for key, _ in found})
        bounds = [(times[n], times[min(n + size, len(times)) - 1]) for n in range(0, len(times), size)]
        return [columns([one for one in found if low <= one[0][0] <= high]) for low, high in bounds]

    def bars(self) -> dict[tuple[str, int], tuple[float, ...]]:
        """The oracle: all bars of what is stored."""
        held: dict[tuple[str, int], list[tuple[int, int, Row]]] = {}
        for (event_ns, _), row in self.rows.items():
            for interval in INTERVALS:
                key = interval.value, event_ns - event_ns % interval.length_ns
                held.setdefault(key, []).extend([(event_ns, row[3], row)] if row[1] else [])
        return {key: words_of([row for *_, row in sorted(some)]) for key, some in held.items()}


def words_of(rows: Sequence[Row]) -> tuple[float, ...]:
    prices = [price for price, *_ in rows]
    volume = sum(quantity for _, quantity, *_ in rows)
    bought = sum(quantity for _, quantity, side, _ in rows if side == 1)
    return (prices[0], max(prices), min(prices), prices[-1], volume, bought, len(rows)) if rows else (0, 0, 0)


def words(bar: Bar) -> tuple[float, ...]:
    sums = (bar.volume, bar.taker_buy_volume, bar.count)
    return (bar.open, bar.high, bar.low, bar.close, *sums) if bar.count else sums


def columns(rows: Sequence[tuple[tuple[int, str], Row]]) -> TickColumns:
    count = len(rows)
    return TickColumns(
        venue="sim",
        symbols=("A",),
        codes=np.zeros(count, np.int32),
        event_ns=np.array([key[0] for key, _ in rows], np.int64),
        receive_ns=np.array([row[3] for _, row in rows], np.int64),
        price=np.array([row[0] for _, row in rows]),
        quantity=np.array([row[1] for _, row in rows]),
        side=np.array([row[2] for _, row in rows], np.int8),
        trade_id=Texts.of([key[1] for key, _ in rows]),
        sequence=np.zeros(count, np.int64),
    )


class Maker:
    """The normalizer without its world. What was said last of each bar is kept, whoever dies."""

    def __init__(self, said: dict[tuple[str, int], Bar]) -> None:
        self.said = said
        self.fold = BarFold(LATENESS, INTERVALS)
        self.repairs = Repairs()
        self.intake = Intake(self.fold, self.repairs, decode_frame, None)

    def hear(self, message: Tick | Amendment, sequence: int) -> None:
        said, unreadable = self.intake.take([heard(message, sequence)])
        assert not unreadable
        for one in said:
            self.keep(one.bar)

    def keep(self, bar: Bar) -> None:
        self.said[str(bar.interval), bar.start_ns] = bar

    def amend(self, tape: Tape) -> None:
        for repair in self.repairs.due(self.fold, 0):
            remade = Remade(repair, self.fold)
            for page in tape.pages(remade.since_ns, repair.end_ns):
                remade.take(page)
            if not remade.unseen:
                if bar := remade.bar(self.said.get((repair.interval.value, repair.start_ns))):
                    self.keep(bar)
                self.repairs.done(repair)

    def saved(self) -> tuple[bytes, list[dict[str, Any]]]:
        return self.fold.dump(), self.repairs.kept()

    @classmethod
    def recalled(cls, kept: tuple[bytes, list[dict[str, Any]]], said: dict[tuple[str, int], Bar]) -> Maker:
        fresh = cls(said)
        fresh.fold.load(kept[0])
        fresh.repairs.begin(kept[1])
        return fresh


quarters = st.integers(1, 400).map(lambda n: n / 4)
trades = st.lists(
    st.tuples(st.integers(0, 1600), quarters, quarters, st.sampled_from((-1, 0, 1)), st.integers(0, 39)),
    min_size=1,
    max_size=40,
)
acts = st.lists(st.tuples(st.integers(0, 99), st.sampled_from([*Change, *Change, "save", "kill", "amend"]), quarters))


@given(trades, acts)
@settings(max_examples=200, deadline=None)
def test_a_bar_is_what_the_stored_ticks_give_whatever_happens(  # noqa: C901
    some: list[tuple[int, float, float, int, int]], story: list[tuple[int, Any, float]]
) -> None:
    named = [
        (tick(n, at / 4, price, quantity, side), delay) for n, (at, price, quantity, side, delay) in enumerate(some)
    ]
    arrived = [one for one, _ in sorted(named, key=lambda pair: pair[0].event_ns + pair[1] * S // 4)]
    stream: list[Tick | Amendment] = []
    for n, one in enumerate(arrived):
        stream += [one.model_copy(update={"receive_ns": n})] * (2 if n % 4 == 0 else 1)
    last = tick(10_001, 5000, 1, 1, 0)
    tape, said = Tape(), dict[tuple[str, int], Bar]()
    maker, begun = Maker(said), 0
    saved, saved_at = maker.saved(), 0

    for at, (place, act, price) in enumerate([*story, (0, "end", 0.0)]):
        count = len(stream) * (at + 1) // (len(story) + 1)
        for sequence in range(begun, count):
            tape.write(stream[sequence])
            maker.hear(stream[sequence], sequence + 1)
        begun = max(begun, count)
        trades_so_far = [one for one in stream[:begun] if isinstance(one, Tick)]
        if isinstance(act, Change) and trades_so_far:
            amended = trades_so_far[place % len(trades_so_far)]
            if amended not in stream[begun:]:  # a trade that is still sent again would take its amendment back
                stream.insert(begun, amendment(amended, 100_000 + at, act, price))
                tape.write(stream[begun])
                maker.hear(stream[begun], begun + 1)
                begun += 1
        elif act == "save":
            saved, saved_at = maker.saved(), begun
        elif act == "amend":
            maker.amend(tape)
        elif act == "kill":
            maker = Maker.recalled(saved, said)
            for sequence in range(saved_at, begun):
                maker.hear(stream[sequence], sequence + 1)
    tape.write(last)
    maker.hear(last, len(stream) + 1)
    maker.amend(tape)

    assert len(maker.repairs) == 0
    assert maker.fold.totals["late"] == 0
    expected = tape.bars()
    for interval in INTERVALS:
        del expected[interval.value, last.event_ns - last.event_ns % interval.length_ns]
    assert {key: words(bar) for key, bar in said.items()} == {key: of for key, of in expected.items() if key in said}
    assert all(of[-1] == 0 for key, of in expected.items() if key not in said)


def test_a_bar_is_not_made_again_before_it_is_settled_and_the_amendment_is_stored() -> None:
    maker, tape = Maker({}), Tape()
    first, second = tick(1, 1, 100, 1, 1), tick(3, 30, 200, 1, 1)
    cancel = amendment(second, 9, Change.CANCEL, 0)
    for n, message in enumerate((first, second, cancel, tick(5, 61, 150, 1, 1)), 1):
        maker.hear(message, n)
    for message in (first, second):
        tape.write(message)
    minute = ("1m", NOON)
    maker.amend(tape)
    assert (maker.said[minute].high, maker.said[minute].revision) == (200, 0)

    maker.hear(tick(7, 71, 150, 1, 1), 5)
    maker.amend(tape)
    assert maker.said[minute].revision == 0, "the tape does not show it yet"

    tape.write(cancel)
    maker.amend(tape)
    assert (maker.said[minute].high, maker.said[minute].count, maker.said[minute].revision) == (100, 1, 1)
    assert [one.interval for one in maker.repairs.due(maker.fold, 0)] == []
    assert len(maker.repairs) == 1, "five minutes are not over"


def test_a_bar_without_a_trade_left_is_said_empty() -> None:
    maker, tape = Maker({}), Tape()
    only = tick(1, 1, 100, 2, 1)
    for n, message in enumerate((only, amendment(only, 2, Change.CANCEL, 0), tick(3, 400, 100, 1, 1)), 1):
        tape.write(message)
        maker.hear(message, n)
    maker.amend(tape)

    bar = maker.said["5m", NOON]
    assert (bar.count, bar.volume, bar.taker_buy_volume, bar.close, bar.revision) == (0, 0, 0, 100, 1)


def test_the_same_amendment_again_is_said_again_and_is_no_further_revision() -> None:
    maker, tape = Maker({}), Tape()
    first, second = tick(1, 1, 100, 2, 1), tick(3, 2, 101, 2, 1)
    correction = amendment(second, 2, Change.CORRECT, 105)
    for n, message in enumerate((first, second, correction, tick(5, 400, 100, 1, 1)), 1):
        tape.write(message)
        maker.hear(message, n)
    maker.amend(tape)
    assert (maker.said["1m", NOON].close, maker.said["1m", NOON].revision) == (105, 1)

    maker.hear(correction, 5)
    maker.amend(tape)
    assert maker.said["1m", NOON].revision == 1


def test_a_trade_told_twice_counts_once_also_in_a_bar_made_again() -> None:
    maker, tape = Maker({}), Tape()
    early, told, amended = tick(1, 59, 100, 1, 1), tick(3, 65, 101, 2, 1), tick(5, 70, 102, 4, 1)
    again = [one.model_copy(update={"event_ns": one.event_ns + 2 * S, "receive_ns": 9}) for one in (early, told)]
    later, used_again = tick(9, 90, 104, 16, 1), tick(3, 100, 103, 8, 1)
    trades = (early, again[0], told, again[1], amended, later, used_again, amendment(amended, 10, Change.CORRECT, 105))
    for n, message in enumerate((*trades, tick(7, 400, 100, 1, 1)), 1):
        tape.write(message)
        maker.hear(message, n)
    assert maker.fold.totals["duplicates"] == 2
    maker.amend(tape)

    bar = maker.said["1m", NOON + 60 * S]
    assert (bar.high, bar.count, bar.volume, bar.revision) == (105, 4, 30, 1), "an id long past is another trade's"


def due_after(maker: Maker, seconds: float) -> list[tuple[str, int]]:
    return [(str(one.interval), one.start_ns) for one in maker.repairs.due(maker.fold, round(seconds * S))]


def test_a_repair_that_was_tried_comes_behind_the_others_and_waits_ever_longer() -> None:
    maker = Maker({})
    for n, message in enumerate(
        (tick(1, 1, 5, 1, 1), tick(3, 2, 5, 1, 1), amendment(tick(1, 1, 5, 1, 1), 9, Change.CANCEL, 0)), 1
    ):
        maker.hear(message, n)
    maker.hear(tick(5, 400, 5, 1, 1), 4)
    first, *others = maker.repairs.due(maker.fold, 0)
    maker.repairs.put_off(first, 0)

    assert due_after(maker, 0) == [(str(one.interval), one.start_ns) for one in others]
    assert due_after(maker, 5)[-1] == (str(first.interval), first.start_ns)
    maker.repairs.put_off(first, 5 * S)
    assert len(due_after(maker, 14)) == len(others)
    assert len(due_after(maker, 15)) == len(others) + 1
    for _ in range(100):
        maker.repairs.put_off(first, 15 * S)
    assert len(due_after(maker, 315)) == len(others) + 1


def test_an_amendment_that_the_tape_never_shows_is_waited_for_so_long_and_a_new_one_is_waited_for_anew() -> None:
    maker = Maker({})
    trade = tick(1, 1, 5, 1, 1)
    for n, message in enumerate((trade, amendment(trade, 9, Change.CANCEL, 0), tick(5, 400, 5, 1, 1)), 1):
        maker.hear(message, n)
    repair = maker.repairs.due(maker.fold, 0)[0]

    assert [maker.repairs.miss(repair) for _ in range(amending.MISSES_MAX)] == [True] * 79 + [False]
    maker.hear(amendment(trade, 10, Change.CORRECT, 7), 4)
    assert maker.repairs.miss(repair)
    maker.repairs.done(repair)
    assert repair.key in {one.key for one in maker.repairs.due(maker.fold, 0)}, "the new one is yet to be"


def test_amendments_of_one_bar_are_bounded_and_each_trade_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amending, "NOTES_MAX", 3 * len(INTERVALS))
    maker = Maker({})
    for n in range(1, 6):
        for price in (1, 2):
            maker.hear(amendment(tick(n, 1, 1, 1, 1), n, Change.CORRECT, price), 2 * n + price)

    assert maker.intake.totals["amendments_refused"] == 2 * 2 * len(INTERVALS)
    assert [len(one["amendments"]) for one in maker.repairs.kept()] == [3] * len(INTERVALS)
    maker.repairs.begin(maker.repairs.kept())
    maker.hear(amendment(tick(9, 1, 1, 1, 1), 9, Change.CANCEL, 0), 20)
    assert maker.intake.totals["amendments_refused"] == 5 * len(INTERVALS)


def test_beyond_the_bound_amendments_are_refused_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amending, "REPAIRS_MAX", 4)
    maker = Maker({})
    for n in (1, 200, 400):
        maker.hear(amendment(tick(n, n, 1, 1, 1), n, Change.CANCEL, 0), n)

    assert len(maker.repairs) == 4
    assert maker.intake.totals["amendments_refused"] == 4


@pytest.mark.parametrize(("change", "price"), [("CANCEL", "1"), ("CORRECT", None)])
def test_a_correction_states_the_trade_and_a_cancel_does_not(change: str, price: str | None) -> None:
    words = {"venue": "sim", "symbol": "A", "trade_id": "1", "event_ns": 1, "receive_ns": 1, "change": change}
    with pytest.raises(ValidationError, match="states price and quantity"):
        Amendment.model_validate(words | {"price": price, "quantity": price})
