"""What the oms remembers: orders with their events, fills, positions, balances."""

from __future__ import annotations

from collections.abc import Collection
from typing import overload

from shared.contract import keys, subjects
from shared.contract.accounts import Balance, Position
from shared.contract.orders import CancelOrder, Command, Fill, Order, OrderEvent, RouteOrder
from shared.contract.risk import Verdict
from shared.domain.lifecycle import TERMINAL
from shared.kit import Journal, Transaction, Valkey


class OrderStore:
    """Orders by id and by account; every change of one is a single transaction with all it entails."""

    def __init__(self, valkey: Valkey, journal: Journal) -> None:
        self._valkey = valkey
        self._journal = journal

    async def keep(self, event: OrderEvent, command: Command | None = None, verdict: Verdict | None = None) -> None:
        """Commit an order's change, what it did to the account, why it was let in, and what is to be said of it."""
        transaction = self._journal.transaction()
        self._note(transaction, event)
        if verdict is not None:
            transaction.put(keys.verdict(event.account, event.order.order_id), verdict)
        if event.fill is not None:
            self._book(transaction, event.fill, event.position, event.balance)
        if isinstance(command, RouteOrder):
            transaction.say(subjects.ORDER_NEW, command, account=command.account, id=f"{command.order_id}-new")
        elif isinstance(command, CancelOrder):
            # Named for the version, so that a cancel asked for again later is said again.
            id = f"{command.order_id}-cancel-{event.order.version}"
            transaction.say(subjects.ORDER_CANCEL, command, account=command.account, id=id)
        await self._journal.commit(transaction)

    def _note(self, transaction: Transaction, event: OrderEvent) -> None:
        order = event.order
        account, order_id = order.account, order.order_id
        transaction.put(keys.order(account, order_id), order)
        transaction.push(keys.events(account, order_id), event)
        if order.version == 1:
            transaction.put(keys.client(account, order.client_order_id), order_id)
            transaction.sorted_add(keys.order_index(account), order_id, _score(order.created_ns))
            transaction.set_add(keys.accounts(), account)
            if event.balance is not None:
                transaction.put(keys.account(account), event.balance)
        if order.status in TERMINAL:
            transaction.set_drop(keys.open_orders(account), order_id)
        elif order.version == 1:
            transaction.set_add(keys.open_orders(account), order_id)
        transaction.say(subjects.ORDER_EVENT, event, account=account, id=f"{order_id}-{order.version}")

    def _book(self, transaction: Transaction, fill: Fill, position: Position | None, balance: Balance | None) -> None:
        assert position is not None, "a fill moves a position"
        assert balance is not None, "a fill moves cash"
        account = fill.account
        transaction.put(keys.fill(account, fill.fill_id), fill)
        transaction.sorted_add(keys.fill_index(account), fill.fill_id, _score(fill.committed_ns))
        transaction.set_add(keys.order_fills(account, fill.order_id), fill.fill_id)
        transaction.put(keys.position(account, fill.symbol), position)
        transaction.set_add(keys.positions(account), fill.symbol)
        transaction.put(keys.account(account), balance)
        transaction.say(subjects.FILL, fill, account=account, id=fill.fill_id)
        transaction.say(subjects.POSITION, position, account=account, id=f"{account}-{fill.symbol}-{position.version}")

    async def order(self, account: str, order_id: str) -> Order | None:
        return await self._valkey.get(keys.order(account, order_id), Order)

    async def orders(self, account: str, order_ids: Collection[str]) -> list[Order]:
        found = await self._valkey.get_many([keys.order(account, order_id) for order_id in order_ids], Order)
        return [order for order in found if order is not None]

    async def newest(self, account: str, count: int, before_ns: int | None) -> list[Order]:
        """Orders by time of creation, newest first."""
        ids = await self._valkey.newest(keys.order_index(account), count, before=_score(before_ns))
        return await self.orders(account, ids)

    async def open_orders(self, account: str) -> list[Order]:
        return await self.orders(account, sorted(await self._valkey.members(keys.open_orders(account))))

    async def events(self, account: str, order_id: str) -> list[OrderEvent]:
        return [OrderEvent.decode(entry) for entry in await self._valkey.items(keys.events(account, order_id))]

    async def verdict(self, account: str, order_id: str) -> Verdict | None:
        return await self._valkey.get(keys.verdict(account, order_id), Verdict)

    async def fills_of(self, account: str, order_id: str) -> set[str]:
        return await self._valkey.members(keys.order_fills(account, order_id))

    async def fills(self, account: str, fill_ids: Collection[str]) -> list[Fill]:
        found = await self._valkey.get_many([keys.fill(account, fill_id) for fill_id in fill_ids], Fill)
        return [fill for fill in found if fill is not None]

    async def newest_fills(self, account: str, count: int, before_ns: int | None) -> list[Fill]:
        ids = await self._valkey.newest(keys.fill_index(account), count, before=_score(before_ns))
        return await self.fills(account, ids)

    async def accounts(self) -> list[str]:
        return sorted(await self._valkey.members(keys.accounts()))

    async def balance(self, account: str) -> Balance | None:
        return await self._valkey.get(keys.account(account), Balance)

    async def positions(self, account: str) -> list[Position]:
        symbols = sorted(await self._valkey.members(keys.positions(account)))
        found = await self._valkey.get_many([keys.position(account, symbol) for symbol in symbols], Position)
        return [position for position in found if position is not None]


@overload
def _score(at_ns: int) -> int: ...
@overload
def _score(at_ns: int | None) -> int | None: ...
def _score(at_ns: int | None) -> int | None:
    """Microseconds: scores are doubles, which hold these exactly until the year 2255, but no nanoseconds."""
    return None if at_ns is None else at_ns // 1000
