"""The account feed: a snapshot, then every change, whatever the load raced with; and nobody is kept for ever."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from services.oms.core.account_feed import ORDERS_IN_PART, AccountFeed
from shared.contract.accounts import Balance, Position
from shared.contract.errors import NotFound
from shared.contract.orders import Order, OrderEvent, OrderStatus, Side
from shared.domain.lifecycle import OPEN


class Reader:
    """Keeps what it is given, as a stream would."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.why: str | None = None
        self._end = asyncio.Event()

    def put(self, message: Any) -> None:
        self.got.append(message)

    def cut(self, reason: str) -> None:
        self.why = reason
        self._end.set()

    async def closed(self) -> None:
        await self._end.wait()


class Books:
    """The oms of one account: what is committed, and the feed that is told of it."""

    def __init__(self) -> None:
        self.feed = AccountFeed(self.load)
        self.orders: dict[str, Order] = {}
        self.position = Position(account="a", symbol="BTCUSDT")
        self.balance = Balance(account="a", currency="USD", cash=Decimal(1000))
        self.untold: list[OrderEvent] = []
        self.loading: Callable[[], Any] = lambda: asyncio.sleep(0)
        self.loads = 0
        self._readers: list[asyncio.Task[None]] = []

    async def load(self, account: str) -> tuple[Sequence[Order], Sequence[Position], Balance]:
        self.loads += 1
        if account != "a":
            raise NotFound("there is no such account")
        await self.loading()
        orders = [order for order in self.orders.values() if order.status in OPEN]
        await self.loading()
        positions = [self.position]
        await self.loading()
        return orders, positions, self.balance

    def commit(self, n: int, status: OrderStatus = OrderStatus.WORKING, *, filled: bool = False) -> None:
        """A change of the n-th order, on record but not yet told."""
        before = self.orders.get(f"a-{n}")
        order = Order(
            order_id=f"a-{n}",
            account="a",
            client_order_id=f"c{n}",
            symbol="BTCUSDT",
            side=Side.BUY,
            quantity=Decimal(10),
            status=status,
            version=before.version + 1 if before else 1,
            created_ns=n,
            updated_ns=n,
        )
        self.orders[order.order_id] = order
        if filled:
            quantity, version = self.position.quantity + 1, self.position.version + 1
            self.position = self.position.model_copy(update={"quantity": quantity, "version": version})
            self.balance = self.balance.model_copy(
                update={"cash": self.balance.cash - 1, "version": self.balance.version + 1}
            )
        moved = {"position": self.position, "balance": self.balance} if filled else {}
        self.untold.append(OrderEvent(account="a", order=order, **moved))

    def tell(self, count: int | None = None) -> None:
        for event in self.untold[:count]:
            self.feed.told(event)
        del self.untold[:count]

    async def reader(self, account: str = "a", *, begun: bool = True) -> Reader:
        reader = Reader()
        task = asyncio.create_task(self.feed.read(reader, account))
        self._readers.append(task)
        while begun and not reader.got and not task.done():
            await asyncio.sleep(0)
        return reader

    async def leave(self, n: int = 0) -> None:
        task = self._readers.pop(n)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        while self._readers:
            await self.leave()


@pytest.fixture
async def books() -> AsyncIterator[Books]:
    books = Books()
    yield books
    await books.close()


async def test_a_reader_has_the_account_as_it_stands_and_then_each_change(books: Books) -> None:
    books.commit(1)
    books.commit(2, OrderStatus.FILLED, filled=True)
    books.tell()

    reader = await books.reader()
    books.commit(1, OrderStatus.PARTIALLY_FILLED, filled=True)
    books.commit(3)
    books.tell()

    snapshot, *deltas = reader.got
    assert (snapshot["type"], snapshot["sequence"], snapshot["part"], snapshot["parts"]) == ("snapshot", 0, 1, 1)
    assert [order.order_id for order in snapshot["orders"]] == ["a-1"]
    assert (snapshot["positions"][0].quantity, snapshot["balance"].cash) == (1, 999)
    assert [(delta["type"], delta["sequence"]) for delta in deltas] == [("event", 1), ("event", 2)]
    assert [delta["event"].order.order_id for delta in deltas] == ["a-1", "a-3"]
    assert deltas[0]["event"].position.quantity == 2


async def test_every_reader_has_the_same_words_and_its_own_beginning(books: Books) -> None:
    first = await books.reader()
    books.commit(1)
    books.tell()
    second = await books.reader()
    books.commit(2)
    books.tell()

    assert [one["sequence"] for one in first.got] == [0, 1, 2]
    assert [one["sequence"] for one in second.got] == [1, 2]
    assert [order.order_id for order in second.got[0]["orders"]] == ["a-1"]
    assert first.got[-1] is second.got[-1]
    assert books.loads == 1


async def test_another_account_is_another_affair(books: Books) -> None:
    reader = await books.reader()
    books.feed.told(OrderEvent(account="b", order=Order.model_construct(order_id="b-1", version=1)))
    assert len(reader.got) == 1


async def test_an_unknown_account_is_refused_and_not_kept(books: Books) -> None:
    with pytest.raises(NotFound):
        await books.feed.read(Reader(), "nobody")
    assert books.feed._channels == {}


async def test_when_the_last_reader_has_left_nothing_is_kept(books: Books) -> None:
    await books.reader()
    await books.reader()
    assert books.feed.stats() == {"feed_readers": 2}
    await books.leave()
    assert books.feed.stats() == {"feed_readers": 1}
    await books.leave()
    assert books.feed._channels == {}

    books.commit(1)
    books.tell()
    again = await books.reader()
    assert [order.order_id for order in again.got[0]["orders"]] == ["a-1"]


async def test_a_snapshot_of_many_orders_comes_in_parts(books: Books) -> None:
    for n in range(2 * ORDERS_IN_PART + 1):
        books.commit(n)
    reader = await books.reader()

    assert [(one["part"], one["parts"], len(one["orders"])) for one in reader.got] == [
        (1, 3, ORDERS_IN_PART),
        (2, 3, ORDERS_IN_PART),
        (3, 3, 1),
    ]
    assert ["balance" in one for one in reader.got] == [True, False, False]


async def test_after_a_recovery_every_reader_must_begin_anew(books: Books) -> None:
    reader = await books.reader()
    late = asyncio.Event()
    books.feed.begin_anew()
    assert reader.why == "the oms has recovered; connect again for a fresh snapshot"

    books.loading = late.wait
    loading = await books.reader(begun=False)
    await asyncio.sleep(0)
    books.feed.begin_anew()
    late.set()
    while loading.why is None:
        await asyncio.sleep(0)
    assert "recovered" in loading.why


class Picture:
    """What a client makes of what it reads, by nothing but order: the last word counts."""

    def __init__(self, words: list[dict[str, Any]]) -> None:
        self.orders: dict[str, int] = {}
        self.position: Position | None = None
        self.balance: Balance | None = None
        self.sequence = -1
        for word in words:
            self._take(word)

    def _take(self, word: dict[str, Any]) -> None:
        if word["type"] == "snapshot":
            self.sequence = word["sequence"]
            self.orders |= {order.order_id: order.version for order in word["orders"]}
            self.balance = word.get("balance", self.balance)
            self.position = next(iter(word.get("positions", ())), self.position)
            return
        assert word["sequence"] == self.sequence + 1, "a gap"
        self.sequence += 1
        event = word["event"]
        assert event.order.version > self.orders.get(event.order.order_id, 0), "an order went back"
        self.orders[event.order.order_id] = event.order.version
        if event.order.status not in OPEN:
            del self.orders[event.order.order_id]
        if event.position is not None:
            assert self.position is None or event.position.version >= self.position.version, "a position went back"
            self.position = event.position
        if event.balance is not None:
            assert self.balance is None or event.balance.version >= self.balance.version, "money went back"
            self.balance = event.balance


@pytest.mark.parametrize("seed", range(200))
async def test_whatever_the_load_races_with_a_reader_misses_nothing_and_nothing_goes_back(seed: int) -> None:
    chance, books = random.Random(seed), Books()

    def live() -> None:
        for _ in range(chance.randrange(4)):
            n = chance.randrange(5)
            known = books.orders.get(f"a-{n}")
            if known is None or known.status in OPEN:
                moves = [OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED, OrderStatus.CANCELED]
                books.commit(n, chance.choice(moves), filled=chance.random() < 0.5)
            if chance.random() < 0.5:
                books.tell(chance.randrange(3))

    async def loading() -> None:
        live()
        await asyncio.sleep(0)
        live()

    books.loading = loading
    live()
    readers = [await books.reader(begun=False) for _ in range(3)]
    for _ in range(20):
        await asyncio.sleep(0)
        live()
    books.tell()

    for reader in readers:
        picture = Picture(reader.got)
        open_now = {order.order_id: order.version for order in books.orders.values() if order.status in OPEN}
        assert picture.orders == open_now
        assert picture.position == books.position
        assert picture.balance == books.balance
    await books.close()
