"""What the paper venue remembers: every order it ever saw, and which of them are open."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contract import keys
from shared.contract.subjects import ORDER_REPORT
from shared.contract.venue import VenueOrder
from shared.kit import Journal, Valkey


class VenueStore:
    def __init__(self, valkey: Valkey, journal: Journal) -> None:
        self._valkey = valkey
        self._journal = journal

    async def find(self, account: str, order_id: str) -> VenueOrder | None:
        return await self._valkey.get(keys.venue_order(account, order_id), VenueOrder)

    async def find_by_client(self, account: str, client_order_id: str) -> VenueOrder | None:
        """The order behind a client's own id, as the oms noted it."""
        order_id = await self._valkey.raw(keys.client(account, client_order_id))
        return await self.find(account, order_id.decode()) if order_id else None

    async def open_orders(self) -> list[VenueOrder]:
        found: list[VenueOrder | None] = []
        for key in await self._valkey.keys(keys.venue_open("*")):
            account = key[key.index("{") + 1 : key.index("}")]
            order_ids = sorted(await self._valkey.members(key))
            found += await self._valkey.get_many([keys.venue_order(account, o) for o in order_ids], VenueOrder)
        return [order for order in found if order is not None and order.is_open]

    async def keep(self, changes: Sequence[VenueOrder]) -> None:
        """Commit changes in the order in which they were decided, and every report with them.

        All in one transaction, also for several accounts: a second one, begun after the first, could put an order's
        older state over a newer one that was decided meanwhile.
        """
        transaction = self._journal.transaction()
        for order in {change.order_id: change for change in changes}.values():
            transaction.put(keys.venue_order(order.account, order.order_id), order)
            if order.is_open:
                transaction.set_add(keys.venue_open(order.account), order.order_id)
            else:
                transaction.set_drop(keys.venue_open(order.account), order.order_id)
        for change in changes:
            report = change.report
            transaction.say(ORDER_REPORT, report, account=report.account, id=f"{report.order_id}-{report.sequence}")
        await self._journal.commit(transaction)

    async def settled(self) -> None:
        """Return once everything decided so far is on disk."""
        await self._journal.commit(self._journal.transaction())

    async def keep_queues(self, orders: Sequence[VenueOrder]) -> None:
        """Commit places in the queue; there is nothing to say of them."""
        transaction = self._journal.transaction()
        for order in orders:
            transaction.put(keys.venue_order(order.account, order.order_id), order)
        await self._journal.commit(transaction)
