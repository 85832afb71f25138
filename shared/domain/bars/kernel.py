"""The compiled part of the fold: one pass over columns of ticks. Its rules are in `fold.py`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.domain.bars.compiled import compiled
from shared.domain.bars.layout import (
    CHANGED,
    CLOSE,
    CLOSED,
    COUNT,
    CURRENT,
    DUPLICATES,
    EMPTY,
    EPOCH,
    FIRST,
    HIGH,
    LANES,
    LAST,
    LATE,
    LENGTHS,
    LIVE,
    LOW,
    NUMBERS,
    OPEN,
    PREVIOUS,
    PRICES,
    REVISION,
    SAID,
    SAID_PER_TICK_MAX,
    START,
    TICKS,
    TIME_NS_MAX,
    TOLD,
    TURNOVER,
    VOLUME,
    WATERMARK,
    Said,
    State,
    Ticks,
    Trade,
)
from shared.domain.bars.taken import is_held, owner_of

SHORTEST = LENGTHS[0]
LIVE_NS = 60_000_000_000


@compiled
def fold(
    state: State, ticks: Ticks, said: Said, tally: NDArray[np.int64], begin: int, lateness_ns: int, live: bool
) -> int:
    """Fold ticks from `begin` on; the index of the first tick not folded because `said` is full, else their number."""
    prices, numbers, facts, taken = state
    rows = len(said.which)
    for i in range(begin, len(ticks.event_ns)):
        if rows - tally[SAID] < SAID_PER_TICK_MAX:
            return i
        s = int(ticks.series[ticks.codes[i]])
        at_ns = ticks.event_ns[i]
        watermark = facts[s, WATERMARK]
        if at_ns < watermark - lateness_ns or at_ns < 0 or at_ns > TIME_NS_MAX:
            tally[LATE] += 1
            continue
        if ticks.keys[i]:
            owner = owner_of(s, facts[s, EPOCH])
            if is_held(taken, ticks.keys[i], at_ns, owner, watermark - lateness_ns, tally):
                tally[DUPLICATES] += 1
                continue
        price, quantity = ticks.price[i], ticks.quantity[i]
        tally[TICKS] += 1
        in_order = at_ns >= watermark
        if in_order and at_ns < numbers[s, CURRENT, START, 0] + SHORTEST and not facts[s, TOLD]:
            for k in range(LANES):
                prices[s, CURRENT, HIGH, k] = max(prices[s, CURRENT, HIGH, k], price)
                prices[s, CURRENT, LOW, k] = min(prices[s, CURRENT, LOW, k], price)
                prices[s, CURRENT, CLOSE, k] = price
                prices[s, CURRENT, VOLUME, k] += quantity
                prices[s, CURRENT, TURNOVER, k] += price * quantity
                numbers[s, CURRENT, LAST, k] = at_ns
                numbers[s, CURRENT, COUNT, k] += 1
        else:
            _fold_slowly(state, said, tally, s, Trade(at_ns, price, quantity))
        if in_order:
            facts[s, WATERMARK] = at_ns
            facts[s, LIVE] = live and abs(ticks.receive_ns[i] - at_ns) < LIVE_NS
    return len(ticks.event_ns)


@compiled
def _fold_slowly(state: State, said: Said, tally: NDArray[np.int64], s: int, trade: Trade) -> None:
    """A tick that begins a bar, is out of order, or falls in a bar said already: interval by interval."""
    numbers = state.numbers
    for k in range(LANES):
        start = trade.at_ns - trade.at_ns % LENGTHS[k]
        current = numbers[s, CURRENT, START, k]
        if start == current:
            _add(state, s, CURRENT, k, trade)
            if numbers[s, CURRENT, CLOSED, k]:
                _say(state, said, tally, s, CURRENT, k)
        elif start > current:
            if current >= 0:
                if numbers[s, CURRENT, CHANGED, k]:
                    _say(state, said, tally, s, CURRENT, k)
                _shift(state, s, k)
            _begin(state, s, CURRENT, k, start, _between(current, start, k), trade)
        else:
            _fold_late(state, said, tally, s, k, start, trade)
    state.facts[s, TOLD] = 0
    for k in range(LANES):
        if numbers[s, CURRENT, REVISION, k] >= 0:
            state.facts[s, TOLD] = 1


@compiled
def _fold_late(state: State, said: Said, tally: NDArray[np.int64], s: int, k: int, start: int, trade: Trade) -> None:
    """A tick of the interval just before the current bar's, since lateness is at most the shortest interval."""
    numbers = state.numbers
    previous, current = numbers[s, PREVIOUS, START, k], numbers[s, CURRENT, START, k]
    if start == previous:
        _add(state, s, PREVIOUS, k, trade)
        _say(state, said, tally, s, PREVIOUS, k)
        return
    # The interval had been without a trade, and the current bar had counted it as such.
    _begin(state, s, PREVIOUS, k, start, _between(previous, start, k), trade)
    _say(state, said, tally, s, PREVIOUS, k)
    empty = _between(start, current, k)
    if numbers[s, CURRENT, EMPTY, k] != empty:
        numbers[s, CURRENT, EMPTY, k] = empty
        numbers[s, CURRENT, CHANGED, k] = 1
        if numbers[s, CURRENT, CLOSED, k]:
            _say(state, said, tally, s, CURRENT, k)


@compiled
def say_open(state: State, which: NDArray[np.int64], said: Said, tally: NDArray[np.int64]) -> None:
    """Say the current bars of these series as they stand; they stay open."""
    for s in which:
        for k in range(LANES):
            if state.numbers[s, CURRENT, START, k] >= 0 and state.numbers[s, CURRENT, CHANGED, k]:
                _say(state, said, tally, s, CURRENT, k)
                state.facts[s, TOLD] = 1


@compiled
def close_due(state: State, count: int, now_ns: int, said: Said, tally: NDArray[np.int64]) -> int:
    """Close what is due among the live ones of the first `count` series; the number still due when `said` is full."""
    left = 0
    for s in range(count):
        if not state.facts[s, LIVE]:
            continue
        for k in range(LANES):
            start = state.numbers[s, CURRENT, START, k]
            if start < 0 or start + LENGTHS[k] > now_ns or state.numbers[s, CURRENT, CLOSED, k]:
                continue
            if len(said.which) == tally[SAID]:
                left += 1
                continue
            if state.numbers[s, CURRENT, CHANGED, k]:
                _say(state, said, tally, s, CURRENT, k)
            state.numbers[s, CURRENT, CLOSED, k] = 1
            state.facts[s, TOLD] = 1
    return left


@compiled
def _begin(state: State, s: int, b: int, k: int, start: int, empty: int, trade: Trade) -> None:
    for field in (OPEN, HIGH, LOW, CLOSE):
        state.prices[s, b, field, k] = trade.price
    state.prices[s, b, VOLUME, k] = trade.quantity
    state.prices[s, b, TURNOVER, k] = trade.price * trade.quantity
    numbers = state.numbers
    numbers[s, b, START, k] = start
    numbers[s, b, FIRST, k] = trade.at_ns
    numbers[s, b, LAST, k] = trade.at_ns
    numbers[s, b, COUNT, k] = 1
    numbers[s, b, REVISION, k] = -1
    numbers[s, b, EMPTY, k] = empty
    numbers[s, b, CHANGED, k] = 1
    numbers[s, b, CLOSED, k] = 0


@compiled
def _add(state: State, s: int, b: int, k: int, trade: Trade) -> None:
    prices, numbers = state.prices, state.numbers
    at_ns, price, quantity = trade
    prices[s, b, HIGH, k] = max(prices[s, b, HIGH, k], price)
    prices[s, b, LOW, k] = min(prices[s, b, LOW, k], price)
    prices[s, b, VOLUME, k] += quantity
    prices[s, b, TURNOVER, k] += price * quantity
    numbers[s, b, COUNT, k] += 1
    numbers[s, b, CHANGED, k] = 1
    if at_ns < numbers[s, b, FIRST, k]:
        numbers[s, b, FIRST, k] = at_ns
        prices[s, b, OPEN, k] = price
    if at_ns >= numbers[s, b, LAST, k]:
        numbers[s, b, LAST, k] = at_ns
        prices[s, b, CLOSE, k] = price


@compiled
def _say(state: State, said: Said, tally: NDArray[np.int64], s: int, b: int, k: int) -> None:
    state.numbers[s, b, REVISION, k] += 1
    state.numbers[s, b, CHANGED, k] = 0
    row = tally[SAID]
    said.which[row, 0] = s
    said.which[row, 1] = k
    for field in range(NUMBERS):
        said.numbers[row, field] = state.numbers[s, b, field, k]
    for field in range(PRICES):
        said.prices[row, field] = state.prices[s, b, field, k]
    tally[SAID] += 1


@compiled
def _shift(state: State, s: int, k: int) -> None:
    for field in range(NUMBERS):
        state.numbers[s, PREVIOUS, field, k] = state.numbers[s, CURRENT, field, k]
    for field in range(PRICES):
        state.prices[s, PREVIOUS, field, k] = state.prices[s, CURRENT, field, k]


@compiled
def _between(earlier: int, later: int, k: int) -> int:
    """Intervals without a trade between two bars; none before the first."""
    return 0 if earlier < 0 else (later - earlier) // LENGTHS[k] - 1
