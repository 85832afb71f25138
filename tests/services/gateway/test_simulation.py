"""The simulated market."""

from __future__ import annotations

import random
from decimal import Decimal
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.core.book import Trade
from services.gateway.core.simulation import SimulatedMarket
from shared.kit.fakes import FakeKit


def market(kit: FakeKit, symbol: str, price: int, seed: int = 1) -> SimulatedMarket:
    instrument = kit.instruments[symbol]
    return SimulatedMarket(instrument, venue="sim", opening_price=Decimal(price), dice=random.Random(seed))


def trades_of(simulated: SimulatedMarket, steps: int) -> list[Trade]:
    return [trade for _ in range(steps) for trade in simulated.step()]


def test_the_same_seed_gives_the_same_trades(kit: FakeKit) -> None:
    assert trades_of(market(kit, "BTCUSDT", 60_000), 300) == trades_of(market(kit, "BTCUSDT", 60_000), 300)


def test_another_seed_gives_other_trades(kit: FakeKit) -> None:
    assert trades_of(market(kit, "BTCUSDT", 60_000), 300) != trades_of(market(kit, "BTCUSDT", 60_000, seed=2), 300)


@given(st.integers(0, 10_000), st.sampled_from([("BTCUSDT", 60_000), ("SOLUSDT", 150), ("AAPL", 220), ("AAPL", 1)]))
@settings(max_examples=20, deadline=None)
def test_the_market_is_always_two_sided_never_crossed_and_bounded(seed: int, symbol: tuple[str, int]) -> None:
    simulated = market(FakeKit(), *symbol, seed=seed)
    for _ in range(150):
        simulated.step()
        bid, ask = simulated.book.bids.best, simulated.book.asks.best
        assert bid is not None
        assert ask is not None
        assert 0 < bid < ask
        assert len(simulated.book) <= 30


@pytest.mark.parametrize(("symbol", "price"), [("BTCUSDT", 60_000), ("AAPL", 220)])
def test_spreads_are_narrow_the_book_is_deep_and_the_price_moves(kit: FakeKit, symbol: str, price: int) -> None:
    simulated = market(kit, symbol, price)
    spreads: list[Decimal] = []
    prices: set[int] = set()
    for _ in range(2000):
        prices.update(trade.price for trade in simulated.step())
        (bid, _), (ask, _) = (side[0] for side in simulated.depth(1))
        spreads.append((ask - bid) / price)
    assert 0 < median(spreads) < Decimal("0.0002")
    assert min(len(side) for side in simulated.depth(10)) >= 5
    assert len(prices) > 5


def test_a_quote_is_given_once_and_counts_up(kit: FakeKit) -> None:
    simulated = market(kit, "AAPL", 220)
    simulated.step()
    quote = simulated.quote(5)
    assert quote is not None
    assert not quote.crossed
    assert (quote.event_ns, quote.sequence) == (5, 1)
    assert simulated.quote(6) is None


def test_prices_and_quantities_are_whole_steps_of_the_instrument(kit: FakeKit) -> None:
    simulated = market(kit, "ETHUSDT", 2500)
    simulated.step()
    for side in simulated.depth(5):
        for price, quantity in side:
            assert price % simulated.instrument.price_tick == 0
            assert quantity % simulated.instrument.lot == 0
