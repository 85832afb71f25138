"""Ids that follow from what they name, so that asking twice names the same thing."""

from __future__ import annotations

import hashlib


def order_id(account: str, client_order_id: str) -> str:
    """The one id that an account and a client's own id lead to, for ever. The account can be read off it."""
    digest = hashlib.sha256(f"{account}\n{client_order_id}".encode()).hexdigest()
    return f"{account}-{digest[:20]}"


def account_of(order_id: str) -> str:
    """The account an order id belongs to ("" when it is no order id)."""
    return order_id.rpartition("-")[0]
