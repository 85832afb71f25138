"""What an account holds."""

from __future__ import annotations

from decimal import Decimal

from shared.contract.base import Account, Amount, Message, Nanos, Symbol


class Position(Message):
    """Net holding of one symbol: signed quantity, average entry price, profit realised so far (before fees)."""

    account: Account
    symbol: Symbol
    quantity: Amount = Decimal(0)
    average_price: Amount = Decimal(0)
    realized_pnl: Amount = Decimal(0)
    fees: Amount = Decimal(0)
    last_price: Amount = Decimal(0)
    updated_ns: Nanos = 0
    version: int = 0


class Balance(Message):
    """An account's money. `version` counts every committed change of cash."""

    account: Account
    currency: str
    cash: Amount
    fees: Amount = Decimal(0)
    version: int = 0
    updated_ns: Nanos = 0
