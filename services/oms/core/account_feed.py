"""The account feed: to each reader of an account a snapshot, then every committed change of it, without a gap.

While somebody reads an account, its picture is kept here: loaded from the store once, then carried forward by what the
oms tells. What the load may have seen already is known by its version, so nothing is missed and nothing goes back.
Nobody reads: nothing is kept, and telling costs a look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.contract.accounts import Balance, Position
from shared.contract.base import Account
from shared.contract.orders import Order, OrderEvent
from shared.domain.lifecycle import OPEN

ORDERS_IN_PART = 250
"""A snapshot comes in parts of so many orders, since readers bound what they take in one message (often 1 MiB)."""


class Reader(Protocol):
    """Somebody who reads an account."""

    def put(self, message: Any) -> None: ...

    def cut(self, reason: str) -> None: ...

    async def closed(self) -> None: ...


@dataclass
class Standing:
    """An account as it stands: its orders are its open ones, its positions those of its strategies too."""

    balance: Balance | None
    orders: dict[str, Order] = field(default_factory=dict[str, Order])
    positions: dict[tuple[str, str | None], Position] = field(default_factory=dict[tuple[str, str | None], Position])

    @classmethod
    def of(cls, orders: Sequence[Order], positions: Sequence[Position], balance: Balance | None) -> Standing:
        """From what the store holds."""
        standing = cls(balance)
        standing.orders = {order.order_id: order for order in orders if order.status in OPEN}
        standing.positions = {(one.symbol, one.strategy): one for one in positions}
        return standing

    def take(self, event: OrderEvent) -> OrderEvent | None:
        """Carry it forward; what of the event is news, None when nothing is."""
        order = event.order
        known = self.orders.get(order.order_id)
        if known is not None and order.version <= known.version:
            return None
        if order.status in OPEN:
            self.orders[order.order_id] = order
        else:
            self.orders.pop(order.order_id, None)
        old = [name for name in ("position", "strategy_position") if not self._take_position(getattr(event, name))]
        if event.balance is not None and self.balance is not None and event.balance.version < self.balance.version:
            old.append("balance")
        elif event.balance is not None:
            self.balance = event.balance
        return event.altered(**dict.fromkeys(old)) if old else event

    def _take_position(self, position: Position | None) -> bool:
        """Whether it is no older than what is known."""
        if position is None:
            return True
        key = (position.symbol, position.strategy)
        known = self.positions.get(key)
        if known is not None and position.version < known.version:
            return False
        self.positions[key] = position
        return True

    def snapshot(self, account: str, sequence: int) -> Iterator[dict[str, Any]]:
        """The words a reader begins with; money and positions are in the first part."""
        orders = sorted(self.orders.values(), key=lambda order: order.created_ns)
        parts = max(1, -(-len(orders) // ORDERS_IN_PART))
        for part in range(parts):
            head = {"type": "snapshot", "account": account, "sequence": sequence, "part": part + 1, "parts": parts}
            held = {} if part else {"balance": self.balance, "positions": list(self.positions.values())}
            yield {**head, **held, "orders": orders[part * ORDERS_IN_PART : (part + 1) * ORDERS_IN_PART]}


@dataclass
class _Channel:
    """The readers of one account. Until its standing is loaded, what is told waits in `before`."""

    readers: set[Reader] = field(default_factory=set[Reader])
    before: list[OrderEvent] = field(default_factory=list[OrderEvent])
    standing: Standing | None = None
    sequence: int = 0
    loading: int = 0


Load = Callable[[str], Awaitable[tuple[Sequence[Order], Sequence[Position], Balance | None]]]
"""Open orders, then positions, then the balance, and read in this order: a change that the orders show already is then
in the others too."""


class AccountFeed:
    """Everybody who reads an account."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._channels: dict[str, _Channel] = {}

    def told(self, event: OrderEvent) -> None:
        """A change was committed. To be called in the order of the commits, before anything else is awaited."""
        channel = self._channels.get(event.account)
        if channel is None:
            return
        if channel.standing is None:
            channel.before.append(event)
            return
        news = channel.standing.take(event)
        if news is None:
            return
        channel.sequence += 1
        delta = {"type": "event", "account": event.account, "sequence": channel.sequence, "event": news}
        for reader in list(channel.readers):
            reader.put(delta)

    def begin_anew(self) -> None:
        """What was committed is no longer certain to have been told: every reader must take a fresh snapshot."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            for reader in list(channel.readers):
                reader.cut("the oms has recovered; connect again for a fresh snapshot")

    def stats(self) -> dict[str, int]:
        """How many read."""
        return {"feed_readers": sum(len(channel.readers) for channel in self._channels.values())}

    async def read(self, stream: Reader, account: Account) -> None:
        """Serve one reader until it leaves."""
        channel = self._channels.setdefault(account, _Channel())
        try:
            standing = channel.standing or await self._loaded(channel, account)
            for part in standing.snapshot(account, channel.sequence):
                stream.put(part)
            channel.readers.add(stream)
            if self._channels.get(account) is not channel:
                stream.cut("the oms has recovered; connect again for a fresh snapshot")
            await stream.closed()
        finally:
            channel.readers.discard(stream)
            if not channel.readers and not channel.loading and self._channels.get(account) is channel:
                del self._channels[account]

    async def _loaded(self, channel: _Channel, account: str) -> Standing:
        channel.loading += 1
        try:
            standing = Standing.of(*await self._load(account))
        finally:
            channel.loading -= 1
        if channel.standing is None:
            # Another reader may have been faster; its picture has been carried forward since.
            for event in channel.before:
                standing.take(event)
            channel.before.clear()
            channel.standing = standing
        return channel.standing
