"""Accounts as the oms committed them, and the epoch by which it knows that an approval is of risk's present life.

The epoch is on disk before an account is read. So whatever an earlier life approved is either committed by then, and
read, or never will be.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from shared.contract import keys
from shared.contract.accounts import Balance, Position
from shared.contract.orders import Order, OrderEvent
from shared.contract.risk import Reservation
from shared.kit import Journal, Valkey

AT_ONCE_MAX = 64


@dataclass(frozen=True)
class Held:
    """An account as committed. Read in this order, so that no position is older than the orders that led to it."""

    account: str
    reservations: dict[str, Reservation] = field(default_factory=dict[str, Reservation])
    orders: list[Order] = field(default_factory=list[Order])
    positions: list[Position] = field(default_factory=list[Position])
    shares: list[Position] = field(default_factory=list[Position])
    balance: Balance | None = None


class Taker(Protocol):
    """Who keeps what is known of accounts. To take the same twice, or something old, changes nothing."""

    def take(self, held: Held) -> None: ...


class Accounts:
    def __init__(self, valkey: Valkey, journal: Journal) -> None:
        self._valkey = valkey
        self._journal = journal
        self._under_way: dict[str, asyncio.Task[Held]] = {}
        self.life = ""

    async def take_up_all(self, life: str) -> list[Held]:
        """Every account that ever traded or was about to, at the beginning of a new life."""
        self._journal.mend()  # nothing of the life before is in line, and the epochs have to be written first of all
        self.life = life
        accounts = sorted({*await self._valkey.members(keys.accounts()), *await self._valkey.members(keys.epochs())})
        await asyncio.gather(*(self._begin(account) for account in accounts))
        held: list[Held] = []
        for start in range(0, len(accounts), AT_ONCE_MAX):
            held += await asyncio.gather(*(self._held(account) for account in accounts[start : start + AT_ONCE_MAX]))
        return held

    async def take_up(self, account: str, taker: Taker) -> None:
        """An account that is new to this life; whoever asks meanwhile waits for the same answer."""
        under_way = self._under_way.get(account)
        if under_way is None:
            under_way = self._under_way[account] = asyncio.create_task(self._take_up(account))
            under_way.add_done_callback(lambda _: self._under_way.pop(account, None))
        taker.take(await asyncio.shield(under_way))

    async def _take_up(self, account: str) -> Held:
        await self._begin(account)
        return await self._held(account)

    async def _begin(self, account: str) -> None:
        transaction = self._journal.transaction()
        transaction.put(keys.epoch(account), self.life)
        transaction.set_add(keys.epochs(), account)
        await self._journal.commit(transaction)

    async def standing(self, account: str, order_id: str) -> OrderEvent | None:
        """An order as last committed, with the account as it stood then or later; None when it never was."""
        order = await self._valkey.get(keys.order(account, order_id), Order)
        if order is None:
            return None
        share = None
        if order.strategy is not None:
            share = await self._valkey.get(keys.strategy_position(account, order.strategy, order.symbol), Position)
        position = await self._valkey.get(keys.position(account, order.symbol), Position)
        balance = await self._valkey.get(keys.account(account), Balance)
        return OrderEvent(account=account, order=order, position=position, strategy_position=share, balance=balance)

    async def _held(self, account: str) -> Held:
        entries = await self._valkey.hash(keys.reservation(account))
        reservations = {order_id: Reservation.decode(entry) for order_id, entry in entries.items()}
        order_ids = sorted({*reservations, *await self._valkey.members(keys.open_orders(account))})
        orders = await self._valkey.get_many([keys.order(account, order_id) for order_id in order_ids], Order)
        symbols = await self._valkey.members(keys.positions(account))
        positions = await self._valkey.get_many(
            [keys.position(account, symbol) for symbol in sorted(symbols)], Position
        )
        shares: list[Position | None] = []
        for strategy in sorted(await self._valkey.members(keys.strategies(account))):
            symbols = await self._valkey.members(keys.strategy_positions(account, strategy))
            of_symbols = [keys.strategy_position(account, strategy, symbol) for symbol in sorted(symbols)]
            shares += await self._valkey.get_many(of_symbols, Position)
        return Held(
            account,
            reservations,
            [order for order in orders if order is not None],
            [position for position in positions if position is not None],
            [share for share in shares if share is not None],
            await self._valkey.get(keys.account(account), Balance),
        )
