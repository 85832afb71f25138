"""Bars that end by what was traded, against a few lines of Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.contract.market import Bar, Interval, Measure
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import BarFold, SaidBar

S = 1_000_000_000
NOON = 1_700_006_400 * S
ALL = ("tick-5", "volume-6_5", "dollar-900", "imbalance-4")


class T(NamedTuple):
    """A trade: price, quantity, who took it, and how many milliseconds after the one before."""

    price: float
    quantity: float
    side: int = 0
    after_ms: int = 1


def columns(trades: Sequence[T], first_ns: int = NOON, replay: str = "") -> TickColumns:
    count = len(trades)
    event_ns = first_ns + np.cumsum([trade.after_ms for trade in trades]).astype(np.int64) * 1_000_000
    return TickColumns(
        venue="sim",
        symbols=("A",),
        codes=np.zeros(count, np.int32),
        event_ns=event_ns,
        receive_ns=event_ns,
        price=np.array([trade.price for trade in trades]),
        quantity=np.array([trade.quantity for trade in trades]),
        side=np.array([trade.side for trade in trades], np.int8),
        trade_id=Texts.of([str(int(at) + 1) for at in event_ns]),
        sequence=np.arange(count),
        replay=replay,
    )


def a_fold(*measures: str) -> BarFold:
    return BarFold(10 * S, (Interval.m1,), None, lambda _symbol: measures)


def measured(said: Iterable[SaidBar]) -> list[Bar]:
    return [one.bar for one in said if not isinstance(one.bar.interval, Interval)]


def signs_of(trades: Sequence[T]) -> list[int]:
    signs: list[int] = []
    for before, trade in pairwise((None, *trades)):
        assert trade is not None
        change = 0.0 if before is None else trade.price - before.price
        signs.append(trade.side or (1 if change > 0 else -1 if change < 0 else signs[-1] if signs else 0))
    return signs


def cut(word: str, trades: Sequence[T]) -> list[list[T]]:
    """The oracle: these trades as bars of a measure, without what is left over."""
    kind, _, amount = word.partition("-")
    limit, signs = float(amount.replace("_", ".")), signs_of(trades)
    expected, sign_expected = limit, 0.0
    bars: list[list[T]] = []
    some: list[T] = []
    theta = 0
    for trade, sign in zip(trades, signs, strict=True):
        some.append(trade)
        theta += sign
        reached = {
            "tick": len(some),
            "volume": sum(one.quantity for one in some),
            "dollar": sum(one.price * one.quantity for one in some),
            "imbalance": len(some),
        }[kind]
        full = reached >= limit
        if kind == "imbalance" and bars:
            full = abs(theta) >= expected * max(abs(sign_expected), expected**-0.5)
        if full:
            mean = theta / len(some)
            sign_expected = mean if not bars else sign_expected + 0.1 * (mean - sign_expected)
            expected = min(max(expected + 0.1 * (len(some) - expected), limit / 10), limit * 10)
            bars.append(some)
            some, theta = [], 0
    return bars


# Powers of two are exact in binary, however they are added up.
trades = st.lists(
    st.builds(
        T,
        st.integers(320, 480).map(lambda n: n / 4),
        st.integers(1, 16).map(lambda n: n / 4),
        st.sampled_from((-1, 0, 0, 1)),
        st.integers(0, 3),
    ),
    max_size=120,
)


@given(trades, st.lists(st.integers(1, 40), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_the_bars_of_every_measure_are_those_of_the_oracle(given_: list[T], sizes: list[int]) -> None:
    # The same trade at the same time would be the same trade.
    given_ = [trade._replace(after_ms=trade.after_ms + 1) for trade in given_]
    whole, fold = columns(given_), a_fold(*ALL)
    said: list[SaidBar] = []
    begin = 0
    for size in sizes * (len(given_) + 1):
        part = range(begin, min(begin + size, len(given_)))
        if not part:
            break
        at = NOON if not begin else int(whole.event_ns[begin - 1])
        said += fold.take(columns(given_[begin : part.stop], at))
        second = a_fold(*ALL)
        second.load(fold.dump())
        fold, begin = second, part.stop

    for word in ALL:
        bars = [bar for bar in measured(said) if bar.interval == word]
        expected = cut(word, given_)
        assert [bar.count for bar in bars] == [len(some) for some in expected]
        assert [bar.number for bar in bars] == list(range(1, len(expected) + 1))
        for bar, some in zip(bars, expected, strict=True):
            prices = [one.price for one in some]
            assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
            assert bar.volume == sum(one.quantity for one in some)
            assert bar.taker_buy_volume == sum(one.quantity for one in some if one.side == 1)
            assert bar.vwap == pytest.approx(sum(one.price * one.quantity for one in some) / bar.volume)


def test_a_bar_is_from_its_first_trade_to_its_last() -> None:
    bars = measured(a_fold("tick-2").take(columns([T(1, 1), T(2, 1), T(3, 1), T(4, 1), T(5, 1)])))

    assert [((bar.start_ns - NOON) // 10**6, (bar.end_ns - NOON) // 10**6) for bar in bars] == [(1, 2), (3, 4)]


def test_bars_that_begin_in_the_same_nanosecond_are_told_apart_by_their_numbers() -> None:
    at_once = replace(columns([T(1, 1), T(1, 1)]), event_ns=np.full(2, NOON), trade_id=Texts.blank(2))
    bars = measured(a_fold("volume-1").take(at_once))

    assert [(bar.start_ns, bar.number) for bar in bars] == [(NOON, 1), (NOON, 2)]


def test_a_trade_sent_twice_counts_once() -> None:
    fold, trades = a_fold("tick-2"), columns([T(1, 1), T(2, 1), T(3, 1)])

    assert len(measured(fold.take(trades))) == 1
    assert measured(fold.take(trades)) == []


def test_a_second_replay_gives_the_same_bars() -> None:
    fold, trades = a_fold(*ALL), [T(100 + n % 7, 1 + n % 3, n % 3 - 1) for n in range(200)]

    first = measured(fold.take(columns(trades, replay="r1")))
    second = measured(fold.take(columns(trades, replay="r2")))

    assert first
    assert first == second


def test_a_measure_that_is_new_begins_with_what_comes_and_one_that_is_not_asked_for_is_forgotten() -> None:
    before = a_fold("tick-3")
    before.take(columns([T(1, 1), T(2, 1)]))
    after = a_fold("tick-2", "tick-3")
    after.load(before.dump())

    said = measured(after.take(columns([T(3, 1)], NOON + S)))
    assert [(bar.interval, bar.count) for bar in said] == [("tick-3", 3)]

    neither = a_fold()
    neither.load(after.dump())
    assert measured(neither.take(columns([T(3, 1)] * 9, NOON + 2 * S))) == []


@pytest.mark.parametrize(
    "word",
    [
        *("tick-0", "tick-", "ticks-5", "volume-1.5", "dollar--1", "tick-1_", "volume-0_123456789"),
        *("volume-0", "volume-0_0", "imbalance-0_00000000", "dollar-00_5", "volume-5_123456789"),
    ],
)
def test_a_measure_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Measure).validate_python(word)


@pytest.mark.parametrize(
    "word", ["tick-1", "volume-0_5", "volume-0_00000001", "dollar-0_10", "volume-12_0", "volume-7_50"]
)
def test_an_amount_above_zero_is_a_measure(word: str) -> None:
    assert TypeAdapter(Measure).validate_python(word) == word
