"""Every order ever sent to a venue, which of them are open, and what filled them."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contract import keys
from shared.contract.orders import OrderStatus, Report
from shared.contract.risk import scopes_of
from shared.contract.subjects import ORDER_REPORT
from shared.contract.venue import VenueOrder
from shared.kit import Journal, Transaction, Valkey

FILLED_MAX = 1_000
"""So many orders that were filled are told of at once."""

CHUNK = 100
"""So many are read at once: others have a word in between."""
OWNER = "live-gateway"
"""Under this name it is kept which accounts ever had an order open, so that a restart need not search for them."""


class OrderStore:
    def __init__(self, valkey: Valkey, journal: Journal) -> None:
        self._valkey = valkey
        self._journal = journal
        self._listed: set[str] = set()

    @property
    def open(self) -> bool:
        """Whether anything can be committed now."""
        return self._journal.broken is None

    # Reading.

    async def find(self, account: str, order_id: str) -> VenueOrder | None:
        return await self._valkey.get(keys.venue_order(account, order_id), VenueOrder)

    async def find_by_client(self, account: str, client_order_id: str) -> VenueOrder | None:
        """The order behind a client's own id, as the oms noted it."""
        order_id = await self._valkey.raw(keys.client(account, client_order_id))
        return await self.find(account, order_id.decode()) if order_id else None

    async def open_orders(self) -> list[VenueOrder]:
        found: list[VenueOrder | None] = []
        self._listed = await self._valkey.members(keys.kept(OWNER))
        for key in sorted(self._listed):
            account = key[key.index("{") + 1 : key.index("}")]
            order_ids = sorted(await self._valkey.members(key))
            found += await self._valkey.get_many([keys.venue_order(account, o) for o in order_ids], VenueOrder)
        return [order for order in found if order is not None and order.is_open]

    async def fills(self, order: VenueOrder) -> list[Report]:
        """The reports that brought the order's fills, oldest first."""
        latest = [order.report] if order.report.fill is not None else []
        if order.fills <= len(latest) and order.deal is None:
            return latest
        kept = await self._valkey.items(keys.venue_fills(order.account, order.order_id))
        found = {report.sequence: report for report in map(Report.decode, kept)}
        return [*found.values(), *(report for report in latest if report.sequence not in found)]

    async def reports(self, order: VenueOrder) -> list[Report]:
        """Everything that must be said again to somebody who may have missed it: each fill, then the latest."""
        fills = await self.fills(order)
        return fills if fills and fills[-1].sequence == order.report.sequence else [*fills, order.report]

    async def filled_since(self, account: str, since_ns: int) -> tuple[list[VenueOrder], int | None]:
        """An account's orders with a fill at or after a moment, by the latest of them; of many the first ones, and from
        which moment on to ask for the others."""
        order_ids = await self._valkey.oldest(keys.venue_trades(account), FILLED_MAX, after=since_ns // 1000 - 1)
        found: list[VenueOrder] = []
        for at in range(0, len(order_ids), CHUNK):
            some = [keys.venue_order(account, order_id) for order_id in order_ids[at : at + CHUNK]]
            found += [order for order in await self._valkey.get_many(some, VenueOrder) if order is not None]
        # One of the last may have been filled again meanwhile, and now lies ahead of others that were not read.
        until_ns = min(order.since_ns for order in found[-CHUNK:]) if len(order_ids) == FILLED_MAX else None
        return [order for order in found if order.since_ns >= since_ns], until_ns

    # Writing.

    async def keep(self, changes: Sequence[VenueOrder], *, new: bool = False) -> bool:
        """Commit changes in the order in which they were decided, and every report with them.

        All in one transaction, also for several accounts: a second one, begun after the first, could put an order's
        older state over a newer one that was decided meanwhile. `new`: only if the order was never seen before; False
        when it was, or when a kill in its scope was committed before it, and then nothing is written.
        """
        return await self._keep(list({change.order_id: change for change in changes}.values()), changes, new=new)

    async def keep_deal(self, state: VenueOrder, said: Sequence[VenueOrder], *, new: bool = False) -> bool:
        """Commit how an order stands with a real venue, and what is to be said of it."""
        return await self._keep([state], said, new=new)

    async def _keep(self, states: Sequence[VenueOrder], said: Sequence[VenueOrder], *, new: bool) -> bool:
        transaction = self._journal.transaction()
        unlisted: set[str] = set()
        for order in states:
            key, index = keys.venue_order(order.account, order.order_id), keys.venue_open(order.account)
            if new:
                transaction.expect(key, None)
                _unless_killed(transaction, order)
            transaction.put(key, order)
            if order.is_open:
                transaction.set_add(index, order.order_id)
                if index not in self._listed:
                    unlisted.add(index)
            elif not new:
                transaction.set_drop(index, order.order_id)
        if unlisted:
            transaction.set_add(keys.kept(OWNER), *unlisted)
        for change in said:
            _say(transaction, change)
        made = await self._journal.commit(transaction)
        if made:
            self._listed |= unlisted
        return made

    async def settled(self) -> None:
        """Return once everything decided so far is on disk."""
        await self._journal.commit(self._journal.transaction())

    async def keep_queues(self, orders: Sequence[VenueOrder]) -> None:
        """Commit places in the queue; there is nothing to say of them."""
        transaction = self._journal.transaction()
        for order in orders:
            transaction.put(keys.venue_order(order.account, order.order_id), order)
        await self._journal.commit(transaction)


def _unless_killed(transaction: Transaction, order: VenueOrder) -> None:
    """A kill that was acknowledged holds from then on, whatever of it has reached this process."""
    route = order.route
    if route is not None and order.report.status is not OrderStatus.REJECTED:
        for scope in scopes_of(route.account, route.strategy, route.venue, route.symbol):
            transaction.expect(keys.kill(scope), None)


def _say(transaction: Transaction, change: VenueOrder) -> None:
    report = change.report
    transaction.say(ORDER_REPORT, report, account=report.account, id=f"{report.order_id}-{report.sequence}")
    if report.fill is not None:
        transaction.sorted_add(keys.venue_trades(change.account), change.order_id, change.since_ns // 1000)
        # One filled at once, and whole, has its only fill in its own record.
        if change.fills > 1 or change.is_open or change.deal is not None:
            transaction.push(keys.venue_fills(change.account, change.order_id), report)
