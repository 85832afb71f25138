"""An order event as it is read by who only keeps it: the tape's columns, in the words in which they came.

To read the whole event, with every amount made exact again, takes four times as long.
"""

from __future__ import annotations

from pydantic import ConfigDict

from shared.contract.base import Message, Nanos


class _Part(Message):
    """Of words that were checked when they were said; what is not wanted is passed over."""

    model_config = ConfigDict(extra="ignore")


class OrderRow(_Part):
    """What the tape keeps of an order."""

    account: str
    order_id: str
    version: int
    symbol: str
    side: str
    order_type: str
    status: str
    quantity: str
    price: str | None = None
    filled_quantity: str
    reason: str
    updated_ns: Nanos


class FillRow(_Part):
    """What the tape keeps of a fill."""

    account: str
    fill_id: str
    order_id: str
    symbol: str
    side: str
    price: str
    quantity: str
    fee: str
    venue: str
    event_ns: Nanos


class OrderRecord(_Part):
    """An order event, as far as the tape is concerned."""

    account: str
    order: OrderRow
    fill: FillRow | None = None
