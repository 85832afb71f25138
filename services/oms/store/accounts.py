"""The accounts as last committed: money, positions, each strategy's share of them, and the entries behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Protocol

from services.oms.store.archive import PAGE, Limit, before
from services.oms.store.orders import OrderStore
from shared.contract import keys
from shared.contract.accounts import Balance, Entry, Position
from shared.contract.base import Account, Name, plain_text
from shared.contract.errors import NotFound
from shared.contract.orders import Order
from shared.contract.risk import Reservation
from shared.kit import Valkey

Totals = dict[str, dict[str, Decimal]]
"""By ledger, by unit."""


class Values(Protocol):
    """Who puts a value on what is held."""

    def account(
        self, balance: Balance, positions: Iterable[Position], reservations: Iterable[Reservation]
    ) -> dict[str, Any]: ...

    def positions(self, currency: str, positions: Iterable[Position]) -> dict[str, Any]: ...


class Accounts:
    """`opening` gives the balance of an account that has not traded yet; None when there is no such account."""

    def __init__(
        self, store: OrderStore, valkey: Valkey, values: Values, opening: Callable[[str], Balance | None]
    ) -> None:
        self._store = store
        self._valkey = valkey
        self._values = values
        self._opening = opening
        self._totals: dict[str, tuple[int, Totals]] = {}

    async def balance(self, account: str) -> Balance:
        """The account's money; NotFound when there is no such account."""
        balance = await self._store.balance(account) or self._opening(account)
        if balance is None:
            raise NotFound(
                f"there is no account {account}: it has not traded yet, nor does config/accounts.yaml name it",
                field="account",
            )
        return balance

    async def account(self, account: Account) -> dict[str, Any]:
        """Money, profit and positions at the latest prices."""
        balance = await self.balance(account)
        positions = await self._store.positions(account)
        reserved = await self._valkey.hash(keys.reservation(account))
        reservations = [Reservation.decode(words) for words in reserved.values()]
        words = self._values.account(balance, positions, reservations)
        return {**words, "open_orders": len(await self._valkey.members(keys.open_orders(account)))}

    async def positions(self, account: Account, strategy: Name | None = None) -> dict[str, Position]:
        """By symbol, of the account or of one of its strategies; empty while there are none."""
        if strategy is not None:
            return {position.symbol: position for position in await self._shares(account, strategy)}
        return {position.symbol: position for position in await self._store.positions(account)}

    async def all_positions(self) -> dict[str, dict[str, Position]]:
        """Every account's, by symbol."""
        return {account: await self.positions(account) for account in await self._store.accounts()}

    async def strategies(self, account: Account) -> dict[str, Any]:
        """Each strategy's own positions, profit and fees; what no strategy claims is the account's alone."""
        currency = (await self.balance(account)).currency
        names = sorted(await self._valkey.members(keys.strategies(account)))
        standing = {name: self._values.positions(currency, await self._shares(account, name)) for name in names}
        return {"account": account, "currency": currency, "strategies": standing}

    async def _shares(self, account: str, strategy: str) -> list[Position]:
        symbols = sorted(await self._valkey.members(keys.strategy_positions(account, strategy)))
        wanted = [keys.strategy_position(account, strategy, symbol) for symbol in symbols]
        return [one for one in await self._valkey.get_many(wanted, Position) if one is not None]

    async def entries(self, account: Account, limit: Limit = 100, cursor: str | None = None) -> dict[str, Any]:
        """Double entries, newest first, and what all of them ever come to; a unit's `sums` are zero."""
        await self.balance(account)
        count, totals = await self._added_up(account)
        given = before(cursor)
        end = count if given is None else min(given, count)
        start = max(0, end - limit)
        page = await self._range(account, start, end) if end > start else []
        sums: dict[str, Decimal] = {}
        for by_unit in totals.values():
            for unit, amount in by_unit.items():
                sums[unit] = sums.get(unit, Decimal(0)) + amount
        return {
            "account": account,
            "count": count,
            "totals": {name: {unit: plain_text(one) for unit, one in units.items()} for name, units in totals.items()},
            "sums": {unit: plain_text(one) for unit, one in sums.items()},
            "entries": page[::-1],
            "next_cursor": str(start) if start else None,
        }

    async def _range(self, account: str, start: int, end: int) -> list[Entry]:
        """The entries from one place up to, not including, another."""
        return [Entry.decode(words) for words in await self._valkey.items(keys.entries(account), start, end - 1)]

    async def _added_up(self, account: str) -> tuple[int, Totals]:
        """How many entries there are and their totals. Entries are only ever added, so only new ones are read."""
        while True:
            count, _ = self._totals.get(account, (0, {}))
            page = await self._range(account, count, count + PAGE)
            known, totals = self._totals.get(account, (0, {}))
            if known != count:
                continue  # somebody else has added these up while we waited
            for posting in (posting for entry in page for posting in entry.postings):
                of_ledger = totals.setdefault(posting.ledger, {})
                of_ledger[posting.unit] = of_ledger.get(posting.unit, Decimal(0)) + posting.amount
            self._totals[account] = (count + len(page), totals)
            if len(page) < PAGE:
                return self._totals[account]

    async def standing(self, account: str) -> tuple[list[Order], list[Position], Balance]:
        """Open orders, positions with those of the strategies, money: read in this order, for the account feed."""
        ids = sorted(await self._valkey.members(keys.open_orders(account)))
        orders: list[Order] = []
        for start in range(0, len(ids), PAGE):
            orders += await self._store.orders(account, ids[start : start + PAGE])
        positions = await self._store.positions(account)
        for strategy in sorted(await self._valkey.members(keys.strategies(account))):
            positions += await self._shares(account, strategy)
        return orders, positions, await self.balance(account)
