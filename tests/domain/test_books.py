"""The books after any fills: against an oracle in fractions, with several instruments, currencies and strategies."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shared.contract.accounts import Balance, Position
from shared.contract.orders import Fill, Side
from shared.domain.ledger import ZERO, cost, entry, equity, hold, pay, unrealized, worth

OPENING = Decimal(100_000)
STEP = Fraction(1, 10**12)


@dataclass(frozen=True)
class Listed:
    """An instrument, and what one unit of its currency is worth to the account."""

    symbol: str
    currency: str
    multiplier: Decimal
    rate: Decimal


LISTED = (
    Listed("AAPL", "USD", Decimal(1), Decimal(1)),
    Listed("BTCUSDT", "USDT", Decimal(1), Decimal("0.9997")),
    Listed("FESX", "EUR", Decimal(10), Decimal("1.0837")),
)


@dataclass
class Pool:
    """The oracle's holding: how much, and what it cost, with nothing ever rounded."""

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    realized: Fraction = Fraction(0)

    def take(self, change: Fraction, price: Fraction) -> None:
        """Close what stands on the other side first, a share of the cost with it, then open the rest."""
        against = self.quantity * change < 0
        closing = min(abs(change), abs(self.quantity)) * (1 if change > 0 else -1) if against else Fraction(0)
        if closing:
            share = self.cost * -closing / self.quantity
            self.realized -= closing * price + share
            self.cost -= share
            self.quantity += closing
        self.quantity += change - closing
        self.cost += (change - closing) * price


@dataclass
class Holding:
    """What the ledger says and what the oracle says of one symbol."""

    position: Position
    shares: dict[str | None, Position] = field(default_factory=dict)
    pool: Pool = field(default_factory=Pool)
    fees: Decimal = ZERO


class Books(RuleBasedStateMachine):
    """One account in dollars that trades in three currencies, under no strategy or one of two."""

    def __init__(self) -> None:
        super().__init__()
        self.balance = Balance(account="a", currency="USD", cash=OPENING)
        self.held = {one: Holding(Position(account="a", symbol=one.symbol)) for one in LISTED}
        self.ledgers: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.charged = Fraction(0)
        self.fills = 0

    @rule(
        one=st.sampled_from(LISTED),
        side=st.sampled_from(Side),
        quantity=st.integers(1, 10**7).map(lambda n: Decimal(n).scaleb(-5)),
        price=st.integers(1, 10**8).map(lambda n: Decimal(n).scaleb(-4)),
        fee=st.integers(-500, 5000).map(lambda n: Decimal(n).scaleb(-8)),
        strategy=st.sampled_from([None, "slow", "fast"]),
    )
    def trade(
        self, one: Listed, side: Side, quantity: Decimal, price: Decimal, fee: Decimal, strategy: str | None
    ) -> None:
        self.fills += 1
        self.book(one, self.fill(one, side, quantity, price, fee, strategy))

    @rule(one=st.sampled_from(LISTED), price=st.integers(1, 10**8).map(lambda n: Decimal(n).scaleb(-4)))
    def close(self, one: Listed, price: Decimal) -> None:
        quantity = self.held[one].position.quantity
        if quantity:
            self.fills += 1
            side = Side.SELL if quantity > 0 else Side.BUY
            self.book(one, self.fill(one, side, abs(quantity), price, ZERO, None))
            # Once flat, every rounding on the way has been made good.
            assert Fraction(self.held[one].position.realized_pnl) == self.held[one].pool.realized

    def fill(
        self, one: Listed, side: Side, quantity: Decimal, price: Decimal, fee: Decimal, strategy: str | None
    ) -> Fill:
        return Fill(
            fill_id=f"paper:{self.fills}",
            account="a",
            order_id="a-1",
            symbol=one.symbol,
            side=side,
            price=price,
            quantity=quantity,
            fee=fee,
            venue="paper",
            maker=False,
            strategy=strategy,
            event_ns=self.fills,
            committed_ns=self.fills,
        )

    def book(self, one: Listed, fill: Fill) -> None:
        holding = self.held[one]
        before, balance = holding.position, self.balance
        holding.position = hold(before, fill, one.multiplier)
        self.balance = pay(balance, fill, one.multiplier, one.rate)
        share = holding.shares.get(fill.strategy) or Position(account="a", symbol=one.symbol, strategy=fill.strategy)
        holding.shares[fill.strategy] = hold(share, fill, one.multiplier)
        self.post(one, fill, before, balance.cash)
        change = Fraction(fill.quantity) * fill.side.sign
        price = Fraction(fill.price) * Fraction(one.multiplier)
        holding.pool.take(change, price)
        holding.fees += fill.fee
        self.charged += (change * price + Fraction(fill.fee)) * Fraction(one.rate)

    def post(self, one: Listed, fill: Fill, before: Position, cash: Decimal) -> None:
        booked = entry(fill, before, one.multiplier, one.currency, one.rate, "USD")
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for line in booked.postings:
            sums[line.unit] += line.amount
            # Each symbol has its own cost and profit; by symbol they can be held against its position.
            by = one.symbol if line.ledger in ("position", "realized", "fees") else line.unit
            self.ledgers[f"{line.ledger} {'of' if line.unit == one.symbol else 'in'}", by] += line.amount
        assert set(sums.values()) == {0}
        moved = sum((line.amount for line in booked.postings if line.ledger == "cash"), ZERO)
        assert cash + moved == self.balance.cash

    @invariant()
    def positions_are_what_was_posted(self) -> None:
        for one, holding in self.held.items():
            position = holding.position
            assert self.ledgers["position of", one.symbol] == position.quantity
            assert self.ledgers["position in", one.symbol] == cost(position)
            assert self.ledgers["realized in", one.symbol] == -position.realized_pnl
            assert self.ledgers["fees in", one.symbol] == position.fees == holding.fees
        assert self.ledgers["cash in", "USD"] == self.balance.cash - OPENING

    @invariant()
    def positions_are_what_the_oracle_says(self) -> None:
        bound = STEP * (self.fills + 1)
        for one, holding in self.held.items():
            position, pool = holding.position, holding.pool
            assert Fraction(position.quantity) == pool.quantity
            assert abs(Fraction(position.realized_pnl) - pool.realized) <= bound
            assert abs(Fraction(cost(position)) - pool.cost) <= bound
            average = pool.cost / pool.quantity / Fraction(one.multiplier) if pool.quantity else 0
            # The average is a quotient of a cost that may be rounded, so a small quantity magnifies.
            assert abs(Fraction(position.average_price) - average) <= bound * (1 + 1 / (abs(pool.quantity) or 1))
        assert abs(Fraction(OPENING) - self.charged - Fraction(self.balance.cash)) <= bound

    @invariant()
    def what_is_realised_and_held_is_what_was_paid(self) -> None:
        mark = Decimal("123.4567")
        gains = worths = ZERO
        for one, holding in self.held.items():
            position = holding.position
            gained = position.realized_pnl + unrealized(position, mark, one.multiplier)
            assert Fraction(gained) == self.worth(one, mark) + holding.pool.realized - holding.pool.cost
            gains += (gained - position.fees) * one.rate
            worths += worth(position, mark, one.multiplier, one.rate)
        assert abs(equity(self.balance, [worths]) - OPENING - gains) <= Decimal("1e-12") * (self.fills + 3)

    def worth(self, one: Listed, mark: Decimal) -> Fraction:
        return self.held[one].pool.quantity * Fraction(mark) * Fraction(one.multiplier)

    @invariant()
    def strategies_add_up_to_the_account(self) -> None:
        mark = Decimal("98.7654")
        for one, holding in self.held.items():
            shares = holding.shares.values()
            position = holding.position
            assert sum((share.quantity for share in shares), ZERO) == position.quantity
            assert sum((share.fees for share in shares), ZERO) == position.fees
            gained = sum((share.realized_pnl + unrealized(share, mark, one.multiplier) for share in shares), ZERO)
            assert gained == position.realized_pnl + unrealized(position, mark, one.multiplier)


Books.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
test_the_books_balance_after_any_fills = Books.TestCase
