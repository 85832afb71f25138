"""The compiled part of the fold: one pass over columns of ticks. Its rules are in `fold.py`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.domain.bars.compiled import compiled, inlined
from shared.domain.bars.hours import bar_at, between, stretch
from shared.domain.bars.layout import (
    CHANGED,
    CLOSE,
    CLOSED,
    COUNT,
    CROWDED,
    DUPLICATES,
    EMPTY,
    END,
    FIRST,
    FRESH,
    GAUGES,
    HELD,
    HIGH,
    LAST,
    LATE,
    LIVE,
    LOGGED,
    LOW,
    MUTE,
    NEVER,
    NEWEST_ID,
    NUMBERS,
    OPEN,
    PRICES,
    REVISION,
    SAID,
    START,
    TAKER,
    TICKS,
    TIME_NS_MAX,
    TURNOVER,
    UNTIL,
    VOLUME,
    WATERMARK,
    Hours,
    Ids,
    Lanes,
    Memory,
    Reach,
    Said,
    State,
    Ticks,
    Trade,
)
from shared.domain.bars.measures import measure
from shared.domain.bars.taken import is_held, note

LIVE_NS = 60_000_000_000


@compiled
def fold(memory: Memory, ticks: Ticks, said: Said, tally: NDArray[np.int64], reach: Reach, begin: int) -> int:
    """Fold ticks from `begin` on; the index of the first not folded, because there is no room for it, else the end."""
    # Taking an array out of a tuple counts a reference; within the loop that would take longer than all the rest.
    fresh, facts, ids, gauges = memory.state.fresh, memory.state.facts, memory.ids, memory.gauges
    taken, rows, places = 0, len(said.which), len(ids.taken)
    for i in range(begin, reach.end):
        s = np.uint64(ticks.series[np.uint32(ticks.codes[i])])
        at_ns = ticks.event_ns[i]
        key = ticks.keys[i - reach.begin] if reach.has_ids else 0
        is_new = key == 0 or key > facts[s, NEWEST_ID]
        if is_new and facts[s, WATERMARK] <= at_ns < facts[s, UNTIL] and not facts[s, GAUGES]:
            price, quantity = ticks.price[i], ticks.quantity[i]
            fresh[s, HIGH] = max(fresh[s, HIGH], price)
            fresh[s, LOW] = min(fresh[s, LOW], price)
            fresh[s, CLOSE] = price
            fresh[s, VOLUME] += quantity
            fresh[s, TURNOVER] += price * quantity
            fresh[s, TAKER] += quantity if ticks.side[i] > 0 else 0.0
            facts[s, FRESH] += 1
            facts[s, WATERMARK] = at_ns
            taken += 1
            if key:
                note(ids.log, facts, int(s), key, at_ns, tally)
        elif tally[SAID] + reach.said_max > rows or (not is_new and _is_crowded(tally, places)):
            break
        elif _is_taken(ids, facts, tally, int(s), (key, at_ns, facts[s, WATERMARK] - reach.lateness_ns)):
            quantity, side = ticks.quantity[i], int(ticks.side[i])
            trade = Trade(at_ns, ticks.price[i], quantity, quantity if side > 0 else 0.0)
            if facts[s, GAUGES]:
                measure(gauges, facts, said, tally, (int(s), reach.lanes), trade, side)
            if facts[s, WATERMARK] <= at_ns < facts[s, UNTIL]:
                _refresh(fresh, facts, int(s), trade)
            else:
                live = reach.live and abs(ticks.receive_ns[i] - at_ns) < LIVE_NS
                _fold_slowly(memory, said, tally, int(s), trade, live)
    else:
        i = reach.end
    tally[TICKS] += taken
    return i


@inlined
def _is_crowded(tally: NDArray[np.int64], places: int) -> bool:
    """Whether the table of ids has to be made larger before another is looked for."""
    tally[CROWDED] = 2 * (tally[HELD] + tally[LOGGED] + 1) > places
    return tally[CROWDED] > 0


@inlined
def _is_taken(ids: Ids, facts: NDArray[np.int64], tally: NDArray[np.int64], s: int, tick: tuple[int, int, int]) -> bool:
    """Count a tick of this key, time and oldest time, unless it is late or was taken before."""
    key, at_ns, oldest_ns = tick
    if at_ns < oldest_ns or at_ns < 0 or at_ns > TIME_NS_MAX:
        tally[LATE] += 1
        return False
    if key and is_held(ids, facts, s, key, at_ns, oldest_ns, tally):
        tally[DUPLICATES] += 1
        return False
    tally[TICKS] += 1
    return True


@inlined
def _refresh(fresh: NDArray[np.float64], facts: NDArray[np.int64], s: int, trade: Trade) -> None:
    fresh[s, HIGH] = max(fresh[s, HIGH], trade.price)
    fresh[s, LOW] = min(fresh[s, LOW], trade.price)
    fresh[s, CLOSE] = trade.price
    fresh[s, VOLUME] += trade.quantity
    fresh[s, TURNOVER] += trade.price * trade.quantity
    fresh[s, TAKER] += trade.taker
    facts[s, FRESH] += 1
    facts[s, WATERMARK] = trade.at_ns


@compiled
def _fold_slowly(memory: Memory, said: Said, tally: NDArray[np.int64], s: int, trade: Trade, live: bool) -> None:
    """A tick that begins a bar, is out of order, or falls in a bar said already: lane by lane."""
    state, lanes, hours = memory.state, memory.lanes, memory.hours
    settle(state, lanes, s)
    numbers = state.numbers
    kind, anchor, end = stretch(hours, s, trade.at_ns)
    for k in range(len(lanes.lengths)):
        start, stop = bar_at(trade.at_ns, lanes.lengths[k], kind, anchor, end)
        current = head(state, lanes, s, k)
        if start == NEVER:
            if numbers[s, current, START] >= 0 and trade.at_ns >= numbers[s, current, END]:
                _close(state, said, tally, s, k, current)
        elif start == numbers[s, current, START]:
            _add(state, s, current, trade)
            if numbers[s, current, CLOSED]:
                _say(state, said, tally, s, k, current)
        elif start > numbers[s, current, START]:
            before = (numbers[s, current, START], numbers[s, current, END])
            if before[0] >= 0:
                _close(state, said, tally, s, k, current)
                current = _turn(state, lanes, s, k)
            _begin(state, s, current, (start, stop), between(hours, s, lanes.lengths[k], before, start), trade)
        else:
            _fold_late(memory, said, tally, (s, k), (start, stop), trade)
    if trade.at_ns >= state.facts[s, WATERMARK]:
        state.facts[s, WATERMARK] = trade.at_ns
        state.facts[s, LIVE] = live
    _set_fence(state, lanes, hours, s)


@compiled
def _fold_late(
    memory: Memory, said: Said, tally: NDArray[np.int64], which: tuple[int, int], bar: tuple[int, int], trade: Trade
) -> None:
    """A tick of an interval before the current bar's."""
    state, lanes, hours = memory.state, memory.lanes, memory.hours
    (s, k), numbers = which, state.numbers
    for back in range(1, lanes.depths[k]):
        slot = slot_of(state, lanes, s, k, back)
        if numbers[s, slot, START] == bar[0]:
            _add(state, s, slot, trade)
            _say(state, said, tally, s, k, slot)
            return
        if numbers[s, slot, START] < bar[0]:
            # The interval had been without a trade, and the bar after it had counted it as such.
            before = (numbers[s, slot, START], numbers[s, slot, END])
            _make_way(state, lanes, s, k, back)
            _begin(state, s, slot, bar, between(hours, s, lanes.lengths[k], before, bar[0]), trade)
            numbers[s, slot, CLOSED] = 1
            after = slot_of(state, lanes, s, k, back - 1)
            if numbers[s, after, REVISION] == MUTE:
                numbers[s, slot, REVISION] = MUTE
            _say(state, said, tally, s, k, slot)
            empty = between(hours, s, lanes.lengths[k], bar, numbers[s, after, START])
            if numbers[s, after, EMPTY] != empty:
                numbers[s, after, EMPTY] = empty
                numbers[s, after, CHANGED] = 1
                if numbers[s, after, CLOSED]:
                    _say(state, said, tally, s, k, after)
            return


@compiled
def settle(state: State, lanes: Lanes, s: int) -> None:
    """Carry over what is fresh into the current bars, all of which it is in."""
    fresh, facts, prices, numbers = state.fresh, state.facts, state.prices, state.numbers
    if not facts[s, FRESH]:
        return
    for k in range(len(lanes.lengths)):
        slot = head(state, lanes, s, k)
        if numbers[s, slot, END] <= facts[s, WATERMARK]:
            continue  # the day of a session that is over
        prices[s, slot, HIGH] = max(prices[s, slot, HIGH], fresh[s, HIGH])
        prices[s, slot, LOW] = min(prices[s, slot, LOW], fresh[s, LOW])
        prices[s, slot, CLOSE] = fresh[s, CLOSE]
        for field in (VOLUME, TURNOVER, TAKER):
            prices[s, slot, field] += fresh[s, field]
        numbers[s, slot, LAST] = facts[s, WATERMARK]
        numbers[s, slot, COUNT] += facts[s, FRESH]
        numbers[s, slot, CHANGED] = 1
    fresh[s, HIGH], fresh[s, LOW] = -np.inf, np.inf
    fresh[s, VOLUME] = fresh[s, TURNOVER] = fresh[s, TAKER] = 0.0
    facts[s, FRESH] = 0


@compiled
def _set_fence(state: State, lanes: Lanes, hours: Hours, s: int) -> None:
    """Until when a tick in order is no more than one more tick in each of the current bars."""
    watermark = state.facts[s, WATERMARK]
    until = stretch(hours, s, watermark)[2]
    for k in range(len(lanes.lengths)):
        slot = head(state, lanes, s, k)
        end = state.numbers[s, slot, END]
        if end <= watermark:
            continue
        if state.numbers[s, slot, REVISION] >= 0 or state.numbers[s, slot, CLOSED]:
            until = NEVER
        until = min(until, end)
    state.facts[s, UNTIL] = until


@compiled
def say_open(state: State, lanes: Lanes, which: NDArray[np.int64], said: Said, tally: NDArray[np.int64]) -> None:
    """Say the current bars of these series as they stand; they stay open."""
    for s in which:
        settle(state, lanes, s)
        for k in range(len(lanes.lengths)):
            slot = head(state, lanes, s, k)
            if state.numbers[s, slot, START] >= 0 and state.numbers[s, slot, CHANGED]:
                _say(state, said, tally, s, k, slot)
                state.facts[s, UNTIL] = NEVER


@compiled
def close_due(state: State, lanes: Lanes, count: int, now_ns: int, said: Said, tally: NDArray[np.int64]) -> int:
    """Close what is due among the live ones of the first `count` series; the number still due when `said` is full."""
    left, facts, numbers = 0, state.facts, state.numbers
    for s in range(count):
        if facts[s, UNTIL] > now_ns or not facts[s, LIVE]:
            continue
        for k in range(len(lanes.lengths)):
            slot = head(state, lanes, s, k)
            if numbers[s, slot, START] < 0 or numbers[s, slot, END] > now_ns or numbers[s, slot, CLOSED]:
                continue
            if len(said.which) == tally[SAID]:
                left += 1
                continue
            settle(state, lanes, s)
            _close(state, said, tally, s, k, slot)
            facts[s, UNTIL] = NEVER
    return left


@compiled
def mute(state: State, lanes: Lanes, hours: Hours, s: int, k: int) -> None:
    """A lane that is new to a series which has come far already: the bar it is in is not known from its beginning."""
    at_ns = state.facts[s, WATERMARK]
    kind, anchor, end = stretch(hours, s, at_ns)
    start, stop = bar_at(at_ns, lanes.lengths[k], kind, anchor, end)
    if start != NEVER:
        slot = head(state, lanes, s, k)
        _begin(state, s, slot, (start, stop), 0, Trade(at_ns, 0.0, 0.0, 0.0))
        state.numbers[s, slot, REVISION] = MUTE
    _set_fence(state, lanes, hours, s)


@compiled
def head(state: State, lanes: Lanes, s: int, k: int) -> int:
    """The slot of the current bar."""
    return lanes.slots[k] + state.heads[s, k]


@compiled
def slot_of(state: State, lanes: Lanes, s: int, k: int, back: int) -> int:
    """The slot of the bar so many before the current one."""
    at = state.heads[s, k] - back
    return lanes.slots[k] + (at if at >= 0 else at + lanes.depths[k])


@compiled
def _turn(state: State, lanes: Lanes, s: int, k: int) -> int:
    """Make the slot of the oldest bar that of the current one, and return it."""
    state.heads[s, k] = (state.heads[s, k] + 1) % lanes.depths[k]
    return head(state, lanes, s, k)


@compiled
def _make_way(state: State, lanes: Lanes, s: int, k: int, back: int) -> None:
    """Move the bars from there on one further back; the oldest is forgotten."""
    for at in range(lanes.depths[k] - 1, back, -1):
        slot, newer = slot_of(state, lanes, s, k, at), slot_of(state, lanes, s, k, at - 1)
        for field in range(NUMBERS):
            state.numbers[s, slot, field] = state.numbers[s, newer, field]
        for field in range(PRICES):
            state.prices[s, slot, field] = state.prices[s, newer, field]


@compiled
def _begin(state: State, s: int, slot: int, bar: tuple[int, int], empty: int, trade: Trade) -> None:
    prices, numbers = state.prices, state.numbers
    for field in (OPEN, HIGH, LOW, CLOSE):
        prices[s, slot, field] = trade.price
    prices[s, slot, VOLUME] = trade.quantity
    prices[s, slot, TURNOVER] = trade.price * trade.quantity
    prices[s, slot, TAKER] = trade.taker
    numbers[s, slot, START], numbers[s, slot, END] = bar
    numbers[s, slot, FIRST] = trade.at_ns
    numbers[s, slot, LAST] = trade.at_ns
    numbers[s, slot, COUNT] = 1
    numbers[s, slot, REVISION] = -1
    numbers[s, slot, EMPTY] = empty
    numbers[s, slot, CHANGED] = 1
    numbers[s, slot, CLOSED] = 0


@compiled
def _add(state: State, s: int, slot: int, trade: Trade) -> None:
    prices, numbers = state.prices, state.numbers
    prices[s, slot, HIGH] = max(prices[s, slot, HIGH], trade.price)
    prices[s, slot, LOW] = min(prices[s, slot, LOW], trade.price)
    prices[s, slot, VOLUME] += trade.quantity
    prices[s, slot, TURNOVER] += trade.price * trade.quantity
    prices[s, slot, TAKER] += trade.taker
    numbers[s, slot, COUNT] += 1
    numbers[s, slot, CHANGED] = 1
    if trade.at_ns < numbers[s, slot, FIRST]:
        numbers[s, slot, FIRST] = trade.at_ns
        prices[s, slot, OPEN] = trade.price
    if trade.at_ns >= numbers[s, slot, LAST]:
        numbers[s, slot, LAST] = trade.at_ns
        prices[s, slot, CLOSE] = trade.price


@compiled
def _close(state: State, said: Said, tally: NDArray[np.int64], s: int, k: int, slot: int) -> None:
    if state.numbers[s, slot, CHANGED]:
        _say(state, said, tally, s, k, slot)
    state.numbers[s, slot, CLOSED] = 1


@compiled
def _say(state: State, said: Said, tally: NDArray[np.int64], s: int, k: int, slot: int) -> None:
    numbers = state.numbers
    numbers[s, slot, CHANGED] = 0
    if numbers[s, slot, REVISION] == MUTE:
        return
    numbers[s, slot, REVISION] += 1
    row = tally[SAID]
    said.which[row, 0] = s
    said.which[row, 1] = k
    for field in range(NUMBERS):
        said.numbers[row, field] = numbers[s, slot, field]
    for field in range(PRICES):
        said.prices[row, field] = state.prices[s, slot, field]
    tally[SAID] += 1
