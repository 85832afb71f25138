"""Bars that end by what was traded: so many ticks, so much volume or turnover, or buyers and sellers out of balance.

After M. López de Prado, Advances in Financial Machine Learning (2018), chapter 2.3. A tick is never divided: the one
that fills a bar is its last. Ticks count in the order of their arrival, and a bar that was said is final.

An imbalance bar ends where as many more ticks are of one side as were to be expected: |sum of signs| ≥ E[T] · |E[b]|.
The sign b of a tick is its taker's side, or where that is unknown, of the change in price (the former sign where there
is none). E[T] and E[b] are averages of the bars so far, each new bar weighing a tenth; the first bar has as many ticks
as the measure says. Two bounds keep it from running away: E[T] stays within a tenth and ten times of that number, and
|E[b]| counts as no less than 1/√E[T], the imbalance that chance alone brings about.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.domain.bars.compiled import compiled, inlined
from shared.domain.bars.layout import (
    CLOSE,
    COUNT,
    EMPTY,
    END,
    GAUGE,
    GAUGES,
    HIGH,
    LOW,
    OPEN,
    PRICES,
    REVISION,
    SAID,
    START,
    TAKER,
    TURNOVER,
    VOLUME,
    Gauges,
    Said,
    Trade,
)

KINDS = ("tick", "volume", "dollar", "imbalance")
BY_TICKS, BY_VOLUME, BY_TURNOVER, BY_IMBALANCE = range(4)

LIMIT, THETA, EXPECTED_TICKS, EXPECTED_SIGN, PRICE_BEFORE = range(PRICES, PRICES + 5)
AMOUNTS = PRICES + 5
"""Of a gauge: the prices of its bar, then these. THETA is the sum of the signs."""

KIND, BEGAN, ENDED, TICKS, NUMBER, SIGN = range(6)
COUNTS = 6

WEIGHT = 0.1
SPREAD = 10.0


def empty_gauges(words: list[str]) -> Gauges:
    """A gauge for each of these measures (`volume-0_5`), with nothing in it yet."""
    gauges = Gauges(np.zeros((len(words), AMOUNTS)), np.zeros((len(words), COUNTS), np.int64))
    for at, word in enumerate(words):
        kind, _, amount = word.partition("-")
        gauges.counts[at, KIND] = KINDS.index(kind)
        gauges.amounts[at, (LIMIT, EXPECTED_TICKS)] = float(amount.replace("_", "."))
    return gauges


@inlined
def measure(
    gauges: Gauges,
    facts: NDArray[np.int64],
    said: Said,
    tally: NDArray[np.int64],
    which: tuple[int, int],
    trade: Trade,
    side: int,
) -> None:
    """Add a tick to the gauges of its series, and say the bars that it fills. `which`: series and number of lanes."""
    for g in range(facts[which[0], GAUGE], facts[which[0], GAUGE] + facts[which[0], GAUGES]):
        amounts, counts = gauges.amounts[g], gauges.counts[g]
        _add(amounts, counts, trade)
        if counts[KIND] == BY_IMBALANCE:
            _weigh(amounts, counts, trade.price, side)
        if _is_full(amounts, counts):
            counts[NUMBER] += 1
            _say(amounts, counts, said, tally, which[0], which[1] + g)
            if counts[KIND] == BY_IMBALANCE:
                _learn(amounts, counts)
            counts[TICKS] = 0


@inlined
def _add(amounts: NDArray[np.float64], counts: NDArray[np.int64], trade: Trade) -> None:
    if counts[TICKS] == 0:
        amounts[OPEN] = amounts[HIGH] = amounts[LOW] = trade.price
        amounts[VOLUME] = amounts[TURNOVER] = amounts[TAKER] = amounts[THETA] = 0.0
        counts[BEGAN] = trade.at_ns
    amounts[HIGH] = max(amounts[HIGH], trade.price)
    amounts[LOW] = min(amounts[LOW], trade.price)
    amounts[CLOSE] = trade.price
    amounts[VOLUME] += trade.quantity
    amounts[TURNOVER] += trade.price * trade.quantity
    amounts[TAKER] += trade.taker
    counts[TICKS] += 1
    counts[ENDED] = trade.at_ns


@inlined
def _weigh(amounts: NDArray[np.float64], counts: NDArray[np.int64], price: float, side: int) -> None:
    before = amounts[PRICE_BEFORE]
    if side != 0:
        counts[SIGN] = side
    elif before > 0.0 and price != before:
        counts[SIGN] = 1 if price > before else -1
    amounts[PRICE_BEFORE] = price
    amounts[THETA] += counts[SIGN]


@inlined
def _is_full(amounts: NDArray[np.float64], counts: NDArray[np.int64]) -> bool:
    kind, limit = counts[KIND], amounts[LIMIT]
    if kind == BY_VOLUME:
        return amounts[VOLUME] >= limit
    if kind == BY_TURNOVER:
        return amounts[TURNOVER] >= limit
    if kind == BY_TICKS or counts[NUMBER] == 0:
        return counts[TICKS] >= limit
    expected = amounts[EXPECTED_TICKS]
    return abs(amounts[THETA]) >= expected * max(abs(amounts[EXPECTED_SIGN]), expected**-0.5)


@compiled
def _learn(amounts: NDArray[np.float64], counts: NDArray[np.int64]) -> None:
    sign, limit = amounts[THETA] / counts[TICKS], amounts[LIMIT]
    if counts[NUMBER] == 1:
        amounts[EXPECTED_SIGN] = sign
    amounts[EXPECTED_SIGN] += WEIGHT * (sign - amounts[EXPECTED_SIGN])
    expected = amounts[EXPECTED_TICKS] + WEIGHT * (counts[TICKS] - amounts[EXPECTED_TICKS])
    amounts[EXPECTED_TICKS] = min(max(expected, limit / SPREAD), limit * SPREAD)


@compiled
def _say(
    amounts: NDArray[np.float64], counts: NDArray[np.int64], said: Said, tally: NDArray[np.int64], s: int, lane: int
) -> None:
    """Its first and last tick are its bounds; EMPTY carries its number."""
    row = tally[SAID]
    said.which[row, 0] = s
    said.which[row, 1] = lane
    said.numbers[row, START] = counts[BEGAN]
    said.numbers[row, END] = counts[ENDED]
    said.numbers[row, COUNT] = counts[TICKS]
    said.numbers[row, REVISION] = 0
    said.numbers[row, EMPTY] = counts[NUMBER]
    for field in range(PRICES):
        said.prices[row, field] = amounts[field]
    tally[SAID] += 1
