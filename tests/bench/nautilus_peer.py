"""Run by NautilusTrader's own interpreter: how many ticks a second of one core its aggregators take, in millions."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from typing import Any

START_NS, SPAN_NS = 1_700_006_400_000_000_000, 600_000_000_000


def main(kind: str, count: int) -> float:
    from nautilus_trader.common.component import TestClock
    from nautilus_trader.data.aggregation import TickBarAggregator, TimeBarAggregator
    from nautilus_trader.model.data import BarSpecification, BarType, TradeTick
    from nautilus_trader.model.enums import AggregationSource, AggressorSide, BarAggregation, PriceType
    from nautilus_trader.model.identifiers import TradeId
    from nautilus_trader.model.objects import Price, Quantity
    from nautilus_trader.test_kit.providers import TestInstrumentProvider

    instrument = TestInstrumentProvider.btcusdt_binance()
    chance = random.Random(2026)
    ticks = [
        TradeTick(
            instrument.id,
            Price(100 + chance.random(), 2),
            Quantity(chance.randint(1, 1000), 6),
            AggressorSide.BUYER,
            TradeId(str(n)),
            START_NS + n * SPAN_NS // count,
            START_NS + n * SPAN_NS // count,
        )
        for n in range(count)
    ]
    bars: list[Any] = []
    step, by = (1, BarAggregation.MINUTE) if kind == "time" else (1000, BarAggregation.TICK)
    bar_type = BarType(instrument.id, BarSpecification(step, by, PriceType.LAST), AggregationSource.INTERNAL)
    clock = TestClock()
    clock.set_time(START_NS)
    aggregator: Any
    if kind == "time":
        aggregator = TimeBarAggregator(instrument, bar_type, bars.append, clock)
    else:
        aggregator = TickBarAggregator(instrument, bar_type, bars.append)
    handle: Callable[[Any], None] = aggregator.handle_trade_tick
    began_s = time.process_time()
    if kind == "time":
        for tick in ticks:
            for event in clock.advance_time(tick.ts_event):  # how its backtests keep time
                event.handle()
            handle(tick)
    else:
        for tick in ticks:
            handle(tick)
    took_s = time.process_time() - began_s
    assert bars
    return count / took_s / 1e6


if __name__ == "__main__":
    sys.stdout.write(f"{main(sys.argv[1], int(sys.argv[2]))}\n")
