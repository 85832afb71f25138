"""What people see of the oms, over the twins: orders by every filter, and accounts that add up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.oms.core.accounts import Appraiser, opens
from services.oms.core.why import explain
from services.oms.store.accounts import PAGE, Accounts
from services.oms.store.archive import Archive
from services.oms.store.orders import OrderStore
from shared.contract import keys
from shared.contract.accounts import Balance, Entry, Position, Posting
from shared.contract.currencies import Rates
from shared.contract.errors import NotFound, Refused
from shared.contract.market import Instrument
from shared.contract.orders import Order, OrderStatus, Role, Side
from shared.contract.risk import Reservation
from shared.domain import ledger
from shared.kit.fakes import FakeKit, fake_kit

LISTED = {"a": {"currency": "USD", "opening_cash": "1000"}, "*": {"opening_cash": "5"}}


class Room:
    """An archive and accounts over one store, with prices that can be set."""

    def __init__(self, kit: FakeKit) -> None:
        self.kit = kit
        self.prices: dict[str, Decimal] = {}
        rates = Rates(rates={"EUR": {"USD": Decimal(2)}})
        instruments = {symbol: _instrument(symbol, currency) for symbol, currency in MARKET.items()}
        store = OrderStore(kit.valkey, kit.journal)
        self.archive = Archive(store, kit.valkey, explain)
        self.accounts = Accounts(
            store,
            kit.valkey,
            Appraiser(instruments, rates.rate, self.prices.get),
            opens(LISTED, Decimal(0)),
        )

    async def keep_order(self, n: int, status: str = "WORKING", **words: Any) -> Order:
        order = Order(
            order_id=f"a-{n}",
            account="a",
            client_order_id=f"c{n}",
            symbol="SPY",
            side=Side.BUY,
            quantity=Decimal(1),
            status=OrderStatus(status),
            created_ns=n * 1000,
            updated_ns=n * 1000,
            **words,
        )
        transaction = self.kit.journal.transaction()
        transaction.put(keys.order("a", order.order_id), order)
        transaction.sorted_add(keys.order_index("a"), order.order_id, n)
        transaction.set_add(keys.accounts(), "a")
        if status == "WORKING":
            transaction.set_add(keys.open_orders("a"), order.order_id)
        if order.group:
            transaction.set_add(keys.group("a", order.group), order.order_id)
        await self.kit.journal.commit(transaction)
        return order

    async def keep_position(self, symbol: str, quantity: str, price: str, strategy: str | None = None) -> None:
        position = Position(
            account="a",
            symbol=symbol,
            strategy=strategy,
            quantity=Decimal(quantity),
            average_price=Decimal(price),
            last_price=Decimal(price),
            realized_pnl=Decimal(3),
            fees=Decimal(1),
            version=1,
        )
        transaction = self.kit.journal.transaction()
        if strategy is None:
            transaction.put(keys.position("a", symbol), position)
            transaction.set_add(keys.positions("a"), symbol)
        else:
            transaction.put(keys.strategy_position("a", strategy, symbol), position)
            transaction.set_add(keys.strategy_positions("a", strategy), symbol)
            transaction.set_add(keys.strategies("a"), strategy)
        await self.kit.journal.commit(transaction)

    async def reserve(self, n: int, side: str, price: str, group: str | None = None) -> None:
        reservation = Reservation(
            account="a",
            order_id=f"a-{n}",
            symbol="SPY",
            side=side,
            quantity=Decimal(2),
            price=Decimal(price),
            group=group,
            reserved_ns=1,
        )
        transaction = self.kit.journal.transaction()
        transaction.hash_put(keys.reservation("a"), f"a-{n}", reservation)
        await self.kit.journal.commit(transaction)

    async def enter(self, count: int, start: int = 0) -> None:
        transaction = self.kit.journal.transaction()
        for n in range(start, start + count):
            lines = [("cash", "USD", -10), ("position", "USD", 9), ("fees", "USD", 1)]
            postings = tuple(Posting(ledger=name, unit=unit, amount=Decimal(one)) for name, unit, one in lines)
            transaction.push(keys.entries("a"), Entry(account="a", fill_id=f"f{n}", postings=postings, at_ns=n))
        await self.kit.journal.commit(transaction)


MARKET = {"SPY": "USD", "FESX": "EUR", "NIKKEI": "JPY"}


def _instrument(symbol: str, currency: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        price_tick=Decimal("0.01"),
        lot=Decimal(1),
        quantity_min=Decimal(1),
        quantity_max=Decimal(1000),
        currency=currency,
        multiplier=Decimal(10) if symbol == "FESX" else Decimal(1),
    )


@pytest.fixture
def room() -> Room:
    return Room(fake_kit("oms"))


def ids(page: dict[str, Any]) -> list[str]:
    return [order.order_id for order in page["orders"]]


async def test_orders_are_found_by_strategy_group_and_whether_they_stand(room: Room) -> None:
    await room.keep_order(1, strategy="mean")
    await room.keep_order(2, group="g1", role=Role.LEG)
    await room.keep_order(3, "CANCELED", group="g1", role=Role.LEG, strategy="mean")

    assert ids(await room.archive.orders()) == ["a-3", "a-2", "a-1"]
    assert ids(await room.archive.orders(strategy="mean")) == ["a-3", "a-1"]
    assert ids(await room.archive.orders(group="g1")) == ["a-3", "a-2"]
    assert ids(await room.archive.orders(group="g1", active_only=True)) == ["a-2"]
    assert ids(await room.archive.orders(active_only=True, strategy="mean")) == ["a-1"]
    assert ids(await room.archive.orders(account="nobody")) == []


async def test_pages_of_open_orders_neither_repeat_nor_leave_out(room: Room) -> None:
    for n in range(1, 8):
        await room.keep_order(n)

    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await room.archive.orders(active_only=True, limit=3, cursor=cursor)
        seen += ids(page)
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"a-{n}" for n in range(7, 0, -1)]


async def test_an_order_explains_itself_and_an_unknown_one_is_not_found(room: Room) -> None:
    await room.keep_order(1, group="g1", role=Role.LEG)
    await room.keep_order(2, group="g1", role=Role.LEG)

    story = await room.archive.why("a-1")

    assert (story["order_id"], [one["order_id"] for one in story["group"]["others"]]) == ("a-1", ["a-2"])
    for unknown in ("a-9", "nobody-9", "nonsense"):
        with pytest.raises(NotFound):
            await room.archive.why(unknown)


async def test_an_account_comes_to_its_cash_and_what_its_positions_are_worth(room: Room) -> None:
    await room.keep_order(1)
    await room.keep_position("SPY", "10", "100")
    await room.keep_position("FESX", "-2", "50")
    room.prices |= {"SPY": Decimal(110), "FESX": Decimal(51)}

    account = await room.accounts.account("a")

    assert (account["cash"], account["currency"], account["open_orders"]) == ("1000", "USD", 1)
    assert account["positions"]["SPY"]["unrealized_pnl"] == "100"
    # Two short of a multiplier of ten, one against us, in a currency that counts double.
    assert (account["positions"]["FESX"]["unrealized_pnl"], account["positions"]["FESX"]["worth"]) == ("-20", "-1020")
    assert Decimal(account["unrealized_pnl"]) == 100 - 40
    assert Decimal(account["realized_pnl"]) == 3 + 6
    assert Decimal(account["equity"]) == 1000 + 1100 - 2040


async def test_without_a_price_the_last_fill_stands_in_and_it_says_so(room: Room) -> None:
    await room.keep_position("SPY", "10", "100")
    assert (await room.accounts.account("a"))["positions"]["SPY"]["price_from"] == "last_fill"

    room.prices["SPY"] = Decimal(90)
    position = (await room.accounts.account("a"))["positions"]["SPY"]
    assert (position["price_from"], position["unrealized_pnl"]) == ("market", "-100")


async def test_a_sum_over_a_currency_without_a_rate_is_unknown_and_not_guessed(room: Room) -> None:
    await room.keep_position("NIKKEI", "1", "38000")

    account = await room.accounts.account("a")

    assert (account["unrealized_pnl"], account["equity"]) == (None, None)
    assert account["positions"]["NIKKEI"]["worth"] == "38000"
    assert account["cash"] == "1000"


async def test_reserved_is_what_orders_to_buy_may_take_and_a_group_counts_once(room: Room) -> None:
    await room.reserve(1, "BUY", "100")
    await room.reserve(2, "SELL", "100")
    await room.reserve(3, "BUY", "40", group="g1")
    await room.reserve(4, "BUY", "50", group="g1")

    account = await room.accounts.account("a")

    assert (account["reserved"], account["free"]) == ("300", "700")


async def test_each_strategy_has_an_account_of_its_own(room: Room) -> None:
    await room.keep_position("SPY", "4", "100")
    await room.keep_position("SPY", "10", "100", strategy="mean")
    await room.keep_position("SPY", "-6", "100", strategy="trend")
    room.prices["SPY"] = Decimal(101)

    shares = (await room.accounts.strategies("a"))["strategies"]

    assert {name: share["unrealized_pnl"] for name, share in shares.items()} == {"mean": "10", "trend": "-6"}
    assert shares["mean"]["fees"] == "1"
    assert (await room.accounts.positions("a", strategy="trend"))["SPY"].quantity == -6
    assert await room.accounts.positions("a", strategy="none") == {}


async def test_entries_are_paged_newest_first_and_their_totals_sum_to_zero(room: Room) -> None:
    await room.enter(5)
    page = await room.accounts.entries("a", limit=2)

    assert ([entry.fill_id for entry in page["entries"]], page["next_cursor"], page["count"]) == (["f4", "f3"], "3", 5)
    assert page["totals"] == {"cash": {"USD": "-50"}, "position": {"USD": "45"}, "fees": {"USD": "5"}}
    assert page["sums"] == {"USD": "0"}

    await room.enter(PAGE, start=5)
    page = await room.accounts.entries("a", limit=2, cursor="2")
    assert ([entry.fill_id for entry in page["entries"]], page["next_cursor"]) == (["f1", "f0"], None)
    assert page["totals"]["cash"] == {"USD": str(-10 * (PAGE + 5))}


async def test_entries_as_the_ledger_makes_them_sum_to_zero_too(room: Room) -> None:
    from tests.services.oms.test_why import filled_order

    fill = filled_order()[0][-1].fill
    assert fill is not None
    entry = ledger.entry(fill, Position(account="a", symbol="BTCUSDT"), Decimal(1), "EUR", Decimal(2), "USD")
    transaction = room.kit.journal.transaction()
    transaction.push(keys.entries("a"), entry)
    await room.kit.journal.commit(transaction)

    assert {Decimal(one) for one in (await room.accounts.entries("a"))["sums"].values()} == {Decimal(0)}


async def test_an_account_that_is_named_but_has_not_traded_is_there_and_empty(room: Room) -> None:
    account = await room.accounts.account("a")

    assert (account["cash"], account["free"], account["equity"], account["positions"]) == ("1000", "1000", "1000", {})
    assert (await room.accounts.strategies("a"))["strategies"] == {}
    entries = await room.accounts.entries("a")
    assert (entries["entries"], entries["totals"], entries["next_cursor"]) == ([], {}, None)
    orders, positions, balance = await room.accounts.standing("a")
    assert (orders, positions, balance) == ([], [], Balance(account="a", currency="USD", cash=Decimal(1000)))


async def test_an_account_that_nobody_named_is_not_found(room: Room) -> None:
    for asked in (room.accounts.account, room.accounts.strategies, room.accounts.entries, room.accounts.standing):
        with pytest.raises(NotFound):
            await asked("nobody")
    assert await room.accounts.positions("nobody") == {}


async def test_a_standing_has_open_orders_and_the_shares_of_strategies_too(room: Room) -> None:
    await room.keep_order(1)
    await room.keep_order(2, "CANCELED")
    await room.keep_position("SPY", "4", "100")
    await room.keep_position("SPY", "4", "100", strategy="mean")

    orders, positions, _balance = await room.accounts.standing("a")

    assert [order.order_id for order in orders] == ["a-1"]
    assert [position.strategy for position in positions] == [None, "mean"]


async def test_a_cursor_that_is_none_is_refused(room: Room) -> None:
    for asked in (room.archive.orders, room.accounts.entries):
        with pytest.raises(Refused, match="cursor"):
            await asked("a", cursor="x")
