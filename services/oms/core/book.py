"""The book: every open order and every account as decided so far, ahead of the disk by the commits in flight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from shared.contract.accounts import Balance, Position
from shared.contract.orders import Fill, Order, OrderEvent
from shared.domain.ledger import hold, pay
from shared.domain.lifecycle import OPEN


class Book:
    """Open orders by id, with their fills; positions and balances by account."""

    def __init__(self, accounts: Mapping[str, Any], opening_cash: Decimal) -> None:
        self._listed = accounts
        self._opening_cash = opening_cash
        self._newest_ns = 0
        self.orders: dict[str, Order] = {}
        self.fills: dict[str, set[str]] = {}
        self.positions: dict[tuple[str, str], Position] = {}
        self.balances: dict[str, Balance] = {}

    def blank(self) -> Book:
        """An empty book of the same terms, to be filled from the store."""
        other = Book(self._listed, self._opening_cash)
        other._newest_ns = self._newest_ns
        return other

    def restore(self, balance: Balance | None, positions: Iterable[Position]) -> None:
        """Take up an account as it was committed."""
        if balance is not None:
            self.balances[balance.account] = balance
        for position in positions:
            self.positions[position.account, position.symbol] = position

    def take(self, order: Order, fills: set[str]) -> None:
        """Take up an order as it was committed."""
        self.orders[order.order_id] = order
        self.fills[order.order_id] = fills
        self._newest_ns = max(self._newest_ns, order.created_ns, order.updated_ns)

    def next_ns(self, now_ns: int) -> int:
        """A time that no other order or fill has, so that it can serve as a cursor: now, in whole microseconds."""
        self._newest_ns = max(now_ns // 1000 * 1000, self._newest_ns + 1000)
        return self._newest_ns

    def balance(self, account: str) -> Balance:
        """The account's money; a new account opens with the cash that config/accounts.yaml gives it."""
        if account not in self.balances:
            listed = self._listed.get(account) or self._listed.get("*") or {}
            self.balances[account] = Balance(
                account=account,
                currency=str(listed.get("currency", "USD")),
                cash=Decimal(str(listed.get("opening_cash", self._opening_cash))),
            )
        return self.balances[account]

    def note(self, order: Order, fill: Fill | None = None) -> OrderEvent:
        """Enter a decided change; the event that says what it did to the account."""
        self.orders[order.order_id] = order
        if fill is None:
            opening = self.balance(order.account) if order.version == 1 else None
            return OrderEvent(account=order.account, order=order, balance=opening)
        key = (order.account, order.symbol)
        before = self.positions.get(key) or Position(account=order.account, symbol=order.symbol)
        self.positions[key] = hold(before, fill)
        self.balances[order.account] = pay(self.balance(order.account), fill)
        self.fills.setdefault(order.order_id, set()).add(fill.fill_id)
        return OrderEvent(
            account=order.account,
            order=order,
            fill=fill,
            position=self.positions[key],
            balance=self.balances[order.account],
        )

    def let_go(self, order_id: str) -> None:
        """Drop an order that is over and committed; the store still knows it."""
        order = self.orders.get(order_id)
        if order is not None and order.status not in OPEN:
            del self.orders[order_id]
            self.fills.pop(order_id, None)
