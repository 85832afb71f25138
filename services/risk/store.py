"""What risk remembers: reservations, switches and alerts. Orders, positions and balances it only reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.risk.settings import AccountLimits
from shared.contract import keys
from shared.contract.accounts import Balance, Position
from shared.contract.base import Message
from shared.contract.orders import Order, OrderEvent
from shared.contract.risk import Kill, Reservation, RiskAlert, TradingState
from shared.contract.subjects import RISK_ALERT
from shared.kit import Journal, Valkey

OF_ACCOUNTS = ("reservation:{*}", "open:{*}", "position:{*}:*", "account:{*}")


@dataclass(frozen=True)
class Held:
    """An account as committed. Read in this order, so that no position is older than the orders that led to it."""

    account: str
    reservations: dict[str, Reservation] = field(default_factory=dict[str, Reservation])
    orders: dict[str, Order] = field(default_factory=dict[str, Order])
    positions: list[Position] = field(default_factory=list[Position])
    balance: Balance | None = None


class RiskStore:
    def __init__(self, valkey: Valkey, journal: Journal) -> None:
        self._valkey = valkey
        self._journal = journal

    async def reserve(self, reservation: Reservation) -> None:
        transaction = self._journal.transaction()
        transaction.hash_put(keys.reservation(reservation.account), reservation.order_id, reservation)
        await self._journal.commit(transaction)

    async def release(self, account: str, *order_ids: str) -> None:
        transaction = self._journal.transaction()
        transaction.hash_drop(keys.reservation(account), *order_ids)
        await self._journal.commit(transaction)

    async def change(self, key: str, value: Message | str | None, alert: RiskAlert) -> None:
        """Commit a switch thrown by a person, together with the alert that tells of it."""
        transaction = self._journal.transaction()
        if value is None:
            transaction.drop(key)
        else:
            transaction.put(key, value)
        transaction.put(keys.alert(alert.alert_id), alert)
        transaction.say(RISK_ALERT, alert, account=alert.account, id=alert.alert_id)
        await self._journal.commit(transaction)

    async def acknowledge(self, alert: RiskAlert) -> None:
        transaction = self._journal.transaction()
        transaction.put(keys.alert(alert.alert_id), alert)
        await self._journal.commit(transaction)

    async def standing(self, account: str, order_id: str) -> OrderEvent | None:
        """An order as last committed, with the account as it stood then or later; None when it never was."""
        order = await self._valkey.get(keys.order(account, order_id), Order)
        if order is None:
            return None
        position = await self._valkey.get(keys.position(account, order.symbol), Position)
        balance = await self._valkey.get(keys.account(account), Balance)
        return OrderEvent(account=account, order=order, position=position, balance=balance)

    async def accounts(self) -> list[str]:
        found = [key for pattern in OF_ACCOUNTS for key in await self._valkey.keys(pattern)]
        return sorted({key[key.index("{") + 1 : key.index("}")] for key in found})

    async def held(self, account: str) -> Held:
        entries = await self._valkey.hash(keys.reservation(account))
        reservations = {order_id: Reservation.decode(entry) for order_id, entry in entries.items()}
        order_ids = sorted({*reservations, *await self._valkey.members(keys.open_orders(account))})
        orders = await self._valkey.get_many([keys.order(account, order_id) for order_id in order_ids], Order)
        position_keys = await self._valkey.keys(keys.position(account, "*"))
        positions = await self._valkey.get_many(position_keys, Position)
        return Held(
            account,
            reservations,
            {order.order_id: order for order in orders if order is not None},
            [position for position in positions if position is not None],
            await self._valkey.get(keys.account(account), Balance),
        )

    async def kills(self) -> list[Kill]:
        found = await self._valkey.get_many(await self._valkey.keys(keys.kill("*")), Kill)
        return [kill for kill in found if kill is not None]

    async def states(self) -> dict[str, TradingState]:
        texts = await self._texts(keys.trading_state("*"), "trading_state:")
        return {name.strip("{}"): TradingState(state) for name, state in texts.items()}

    async def blocked(self) -> dict[str, str]:
        return await self._texts(keys.blocked("*"), "blocked:")

    async def limits(self) -> dict[str, AccountLimits]:
        texts = await self._texts(keys.limits("*"), "limits:")
        return {name.strip("{}"): AccountLimits.decode(words.encode()) for name, words in texts.items()}

    async def alerts(self) -> list[RiskAlert]:
        found = await self._valkey.get_many(await self._valkey.keys(keys.alert("*")), RiskAlert)
        return [alert for alert in found if alert is not None]

    async def _texts(self, pattern: str, prefix: str) -> dict[str, str]:
        found = [(key, await self._valkey.raw(key)) for key in await self._valkey.keys(pattern)]
        return {key.removeprefix(prefix): words.decode() for key, words in found if words is not None}
