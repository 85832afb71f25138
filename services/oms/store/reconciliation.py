"""What reconciling looks up, remembers and says: the fills on record, how far it has come, and its words."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from services.oms.store.orders import OrderStore
from shared.contract import keys, subjects
from shared.contract.accounts import Position
from shared.contract.base import Message
from shared.contract.ops import Alert
from shared.contract.orders import CancelOrder, Fill, Order, Report, RouteOrder
from shared.contract.venue import Statement, StatementRequest
from shared.kit import Journal, Kit, Valkey

M = TypeVar("M", bound=Message)

CHUNK = 200
"""So many are read at once: others have a word in between."""


class ReconciliationStore:
    def __init__(self, orders: OrderStore, valkey: Valkey, journal: Journal) -> None:
        self.accounts = orders.own_accounts
        self._valkey = valkey
        self._journal = journal

    async def orders(self, account: str, order_ids: Collection[str]) -> list[Order]:
        return await self._many([keys.order(account, one) for one in order_ids], Order)

    async def positions(self, account: str) -> list[Position]:
        symbols = sorted(await self._valkey.members(keys.positions(account)))
        return await self._many([keys.position(account, symbol) for symbol in symbols], Position)

    async def entered(self, account: str, fill_ids: Collection[str]) -> set[str]:
        """Those of these fills that were ever entered."""
        return {fill.fill_id for fill in await self._many([keys.fill(account, one) for one in fill_ids], Fill)}

    async def fills_after(self, account: str, cursor_us: int, count: int) -> list[Fill]:
        """The fills committed after a moment, oldest first."""
        ids = await self._valkey.oldest(keys.fill_index(account), count, after=cursor_us)
        return await self._many([keys.fill(account, one) for one in ids], Fill)

    async def venues(self, account: str) -> set[str]:
        """Those that the account's orders were for."""
        return await self._valkey.members(keys.dealt(account))

    async def records(self, account: str) -> dict[str, bytes]:
        """How far the account was reconciled, by venue."""
        return await self._valkey.hash(keys.reconciled(account))

    async def tally(self, account: str, kind: type[M]) -> M | None:
        return await self._valkey.get(keys.tally(account), kind)

    async def keep(self, account: str, venue: str, record: Message, tally: Message) -> None:
        """Commit how far it has come."""
        transaction = self._journal.transaction()
        transaction.hash_put(keys.reconciled(account), venue, record)
        transaction.put(keys.tally(account), tally)
        await self._journal.commit(transaction)

    async def _many(self, places: Iterable[str], kind: type[M]) -> list[M]:
        wanted = list(places)
        found: list[M] = []
        for at in range(0, len(wanted), CHUNK):
            found += [one for one in await self._valkey.get_many(wanted[at : at + CHUNK], kind) if one is not None]
        return found


class VenueLine:
    """How venues are asked for statements, and where what mends a difference is said."""

    def __init__(self, kit: Kit, timeout_s: float) -> None:
        self._bus = kit.bus
        self._timeout_s = timeout_s
        self.now_ns = kit.clock.now_ns

    async def ask(self, request: StatementRequest) -> Statement:
        return await self._bus.ask(subjects.VENUE_STATEMENT, request, timeout_s=self._timeout_s)

    async def tell(self, words: RouteOrder | CancelOrder | Report) -> None:
        """A report is said to ourselves, so that it keeps its place among the venue's own about the order."""
        match words:
            case RouteOrder():
                await self._bus.say(subjects.ORDER_NEW, words)
            case CancelOrder():
                await self._bus.say(subjects.ORDER_CANCEL, words)
            case Report():
                await self._bus.say(subjects.ORDER_REPORT, words)

    async def alert(self, alert: Alert) -> None:
        await self._bus.say(subjects.ALERT, alert)
