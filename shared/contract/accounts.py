"""What an account holds."""

from __future__ import annotations

from decimal import Decimal

from shared.contract.base import Account, Amount, Message, Nanos, Symbol


class Position(Message):
    """Net holding of one symbol: signed quantity, average entry price, profit realised so far (before fees).

    With a `strategy` it is that strategy's own share, which nets into the account's. Money is in the instrument's
    currency. `cost` is what the quantity was taken on for, exactly, and signed like it (None: never stated, and taken
    for the quantity at its average price); `average_price` is their quotient, rounded.
    """

    account: Account
    symbol: Symbol
    strategy: str | None = None
    quantity: Amount = Decimal(0)
    average_price: Amount = Decimal(0)
    cost: Amount | None = None
    realized_pnl: Amount = Decimal(0)
    fees: Amount = Decimal(0)
    last_price: Amount = Decimal(0)
    updated_ns: Nanos = 0
    version: int = 0


class Balance(Message):
    """An account's money in its currency. `version` counts every committed change of cash."""

    account: Account
    currency: str
    cash: Amount
    fees: Amount = Decimal(0)
    version: int = 0
    updated_ns: Nanos = 0


class Posting(Message):
    """One line of an entry: an amount of `unit` (a currency, or a symbol) into one of the account's ledgers.

    What the account has is positive in `cash`, `position` (at cost in its currency, and as quantity of its symbol) and
    `fees`; profit is negative in `realized`. `market` and `conversion` are the other sides of what is exchanged.
    """

    ledger: str
    unit: str
    amount: Amount


class Entry(Message):
    """What one fill did to the books. Its postings sum to zero in every unit."""

    account: Account
    fill_id: str
    postings: tuple[Posting, ...]
    at_ns: Nanos
