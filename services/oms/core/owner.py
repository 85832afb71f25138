"""Whose affair a request is: the account that it speaks of, which belongs to one copy of the oms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.contract.groups import SubmitBracket, SubmitPair
from shared.contract.orders import SubmitOrder
from shared.domain.identity import account_of


def account_in(given: Mapping[str, Any]) -> str | None:
    """The account in what a handler is given; None when all accounts are meant."""
    if "order_id" in given:
        return account_of(given["order_id"])
    for one in given.values():
        match one:
            case SubmitOrder():
                return one.account
            case SubmitBracket():
                return one.entry.account
            case SubmitPair():
                return one.legs[0].account
            case _:
                pass
    return given.get("account")
