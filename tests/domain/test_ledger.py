"""Positions and cash: examples by hand, then conservation for any fills."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shared.contract.accounts import Balance, Position
from shared.contract.orders import Fill, Side
from shared.domain.ledger import hold, pay, signed

FLAT = Position(account="a", symbol="BTCUSDT")
RICH = Balance(account="a", currency="USD", cash=Decimal(1000))


def fill(side: str, quantity: str, price: str, fee: str = "0") -> Fill:
    return Fill(
        fill_id="f",
        account="a",
        order_id="a-1",
        symbol="BTCUSDT",
        side=Side(side),
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        venue="paper",
        maker=False,
        event_ns=1,
        committed_ns=2,
    )


def after(*fills: Fill) -> Position:
    position = FLAT
    for one in fills:
        position = hold(position, one)
    return position


def test_buying_more_moves_the_average() -> None:
    position = after(fill("BUY", "1", "100"), fill("BUY", "3", "200"))

    assert (position.quantity, position.average_price, position.realized_pnl) == (4, 175, 0)


def test_selling_some_realises_the_difference_and_keeps_the_average() -> None:
    position = after(fill("BUY", "4", "100"), fill("SELL", "1", "130"))

    assert (position.quantity, position.average_price, position.realized_pnl) == (3, 100, 30)


def test_a_short_gains_when_bought_back_lower() -> None:
    position = after(fill("SELL", "2", "100"), fill("BUY", "2", "90"))

    assert (position.quantity, position.average_price, position.realized_pnl) == (0, 0, 20)


def test_a_fill_through_zero_closes_the_old_side_and_opens_the_new() -> None:
    position = after(fill("BUY", "1", "100"), fill("SELL", "3", "110"))

    assert (position.quantity, position.average_price, position.realized_pnl) == (-2, 110, 10)


def test_cash_moves_by_exactly_notional_and_fee() -> None:
    assert pay(RICH, fill("BUY", "0.3", "10.1", fee="0.0303")).cash == Decimal("996.9397")
    assert pay(RICH, fill("SELL", "0.3", "10.1", fee="0.0303")).cash == Decimal("1002.9997")


cents = st.integers(1, 10_000_000).map(lambda n: Decimal(n) / 100)
lots = st.integers(1, 100_000).map(lambda n: Decimal(n) / 1000)
fills = st.lists(st.builds(lambda s, q, p: fill(s, str(q), str(p)), st.sampled_from(["BUY", "SELL"]), lots, cents))


@given(fills)
def test_a_position_is_the_signed_sum_of_its_fills(some: list[Fill]) -> None:
    assert after(*some).quantity == sum((signed(one) for one in some), Decimal(0))


@given(fills, cents)
def test_what_is_realised_and_held_equals_the_cash_that_moved(some: list[Fill], mark: Decimal) -> None:
    position, balance = after(*some), RICH
    for one in some:
        balance = pay(balance, one)

    moved = balance.cash - RICH.cash
    worth = position.realized_pnl + position.quantity * (mark - position.average_price)
    # Averages are kept to twelve decimals; everything else is exact.
    tolerance = Decimal("1e-9") * (1 + sum((one.quantity for one in some), Decimal(0)))
    assert abs(moved + position.quantity * mark - worth) <= tolerance
