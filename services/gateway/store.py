"""What the gateway remembers: what people have asked it to follow."""

from __future__ import annotations

from shared.contract import keys
from shared.contract.feeds import Subscription
from shared.kit import Journal, Valkey

KEEPS = (keys.subscriptions,)


class SubscriptionStore:
    """Subscriptions asked for at runtime, for good: they outlive the process."""

    def __init__(self, valkey: Valkey, journal: Journal) -> None:
        self._valkey = valkey
        self._journal = journal

    async def all(self) -> list[Subscription]:
        """Every one of them, the oldest first."""
        kept = await self._valkey.hash(keys.subscriptions())
        return sorted(map(Subscription.decode, kept.values()), key=lambda one: (one.created_ns, one.id))

    async def keep(self, subscription: Subscription) -> None:
        await self._reached()
        transaction = self._journal.transaction()
        transaction.hash_put(keys.subscriptions(), subscription.id, subscription)
        await self._journal.commit(transaction)

    async def drop(self, id: str) -> None:
        await self._reached()
        transaction = self._journal.transaction()
        transaction.hash_drop(keys.subscriptions(), id)
        await self._journal.commit(transaction)

    async def _reached(self) -> None:
        """Unavailable while the store is away. Found out by a commit it would hold up the whole service till recovered,
        and with it the feeds, which do without the store."""
        await self._valkey.hash(keys.subscriptions())
