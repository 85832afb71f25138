"""Positions and cash: examples by hand, then conservation for any fills."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shared.contract.accounts import Balance, Entry, Position
from shared.contract.orders import Fill, Side
from shared.domain.ledger import cost, entry, equity, hold, pay, signed, unrealized, worth

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


def test_a_share_of_the_cost_goes_with_what_is_sold_and_the_last_of_it_takes_the_rest() -> None:
    third = after(fill("BUY", "2", "100"), fill("BUY", "1", "100.01"), fill("SELL", "1", "100"))
    assert third.cost == Decimal("200.006666666667")
    assert third.realized_pnl == Decimal("-0.003333333333")

    over = hold(third, fill("SELL", "2", "100"))
    assert (over.quantity, over.cost, over.realized_pnl) == (0, 0, Decimal("-0.01"))


def test_a_multiplier_makes_each_unit_worth_so_much_and_leaves_prices_alone() -> None:
    position = hold(FLAT, fill("BUY", "2", "4000.25"), Decimal(50))
    position = hold(position, fill("SELL", "1", "4001.25"), Decimal(50))

    assert (position.average_price, position.cost, position.realized_pnl) == (
        Decimal("4000.25"),
        Decimal("200012.5"),
        50,
    )
    assert unrealized(position, Decimal("4000"), Decimal(50)) == Decimal("-12.5")
    assert pay(RICH, fill("BUY", "2", "4000.25"), Decimal(50)).cash == 1000 - Decimal("400025")


def test_a_fill_in_another_currency_is_paid_at_the_stated_rate() -> None:
    paid = pay(RICH, fill("BUY", "2", "100", fee="1"), rate=Decimal("0.5"))

    assert (paid.cash, paid.fees) == (Decimal("899.5"), Decimal("0.5"))


def test_a_position_of_which_no_cost_was_stated_is_taken_to_have_cost_its_average() -> None:
    older = Position(account="a", symbol="BTCUSDT", quantity=Decimal(2), average_price=Decimal(100))

    assert cost(older) == 200
    assert hold(older, fill("SELL", "1", "130")).realized_pnl == 30


def test_equity_is_cash_and_what_the_positions_are_worth() -> None:
    short = after(fill("SELL", "2", "100"))
    balance = pay(RICH, fill("SELL", "2", "100"))

    assert worth(short, Decimal(90), rate=Decimal(2)) == -360
    assert unrealized(short, Decimal(90)) == 20
    assert equity(balance, [worth(short, Decimal(90))]) == 1020


def test_an_entry_says_on_both_sides_what_a_fill_did() -> None:
    bought = after(fill("BUY", "3", "100"))
    sold = fill("SELL", "1", "130", fee="0.5")

    booked = entry(sold, bought, Decimal(1), "USDT", Decimal("1.1"), "USD")

    assert {(line.ledger, line.unit): line.amount for line in booked.postings} == {
        ("position", "BTCUSDT"): Decimal(-1),
        ("market", "BTCUSDT"): Decimal(1),
        ("position", "USDT"): Decimal(-100),
        ("realized", "USDT"): Decimal(-30),
        ("fees", "USDT"): Decimal("0.5"),
        ("conversion", "USDT"): Decimal("129.5"),
        ("conversion", "USD"): Decimal("-142.45"),
        ("cash", "USD"): Decimal("142.45"),
    }


def test_an_entry_within_one_currency_converts_nothing_and_leaves_out_what_is_nothing() -> None:
    booked = entry(fill("BUY", "2", "100"), FLAT, Decimal(1), "USD", Decimal(1), "USD")

    assert [(line.ledger, line.unit) for line in booked.postings] == [
        ("position", "BTCUSDT"),
        ("market", "BTCUSDT"),
        ("position", "USD"),
        ("cash", "USD"),
    ]


def test_what_a_fill_leaves_behind_can_be_said_and_heard() -> None:
    tiny = fill("BUY", "0.000000000001", "0.000000000001", fee="0.000000000001")
    position, balance = hold(FLAT, tiny), pay(RICH, tiny, rate=Decimal("0.00001"))

    assert Position.decode(position.encode()) == position
    assert Balance.decode(balance.encode()) == balance
    booked = entry(tiny, FLAT, Decimal(1), "USDT", Decimal("0.00001"), "USD")
    assert Entry.decode(booked.encode()) == booked


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
    assert moved + position.quantity * mark == position.realized_pnl + unrealized(position, mark)


exact = st.integers(1, 10**16).map(lambda n: Decimal(n).scaleb(-12))


@given(st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), exact, exact), min_size=1, max_size=8), exact)
def test_postings_sum_to_zero_however_many_digits_there_are(
    some: list[tuple[str, Decimal, Decimal]], rate: Decimal
) -> None:
    position = FLAT
    for side, quantity, price in some:
        one = fill(side, str(quantity), str(price), fee="0.000000000001")
        sums: Counter[str] = Counter()
        for line in entry(one, position, Decimal("0.1"), "EUR", rate, "USD").postings:
            sums[line.unit] += line.amount  # type: ignore[assignment]
        assert set(sums.values()) == {0}
        position = hold(position, one, Decimal("0.1"))
