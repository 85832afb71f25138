"""Records by hand: a few orders in full agreement, for planting into them what a check is to find."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.chaos.evidence import Asked, Attempt, Evidence, Words, digest
from tests.chaos.invariants import violations

D = Decimal
S = 1_000_000_000


def order(client: str, side: str, status: str, filled: str = "0", version: int = 1, **more: Any) -> Words:
    words = {"account": "a", "client_order_id": client, "symbol": "BTCUSDT", "side": side, "quantity": "0.3"}
    words |= {"order_type": "LIMIT", "price": "100", "time_in_force": "GTC", "strategy": "s", "reason": ""}
    words |= {"order_id": f"a-{client}", "status": status, "filled_quantity": filled, "version": version}
    return words | {"updated_ns": version * S} | more


def fill(client: str, side: str, price: str) -> Words:
    words = {"fill_id": f"paper:a-{client}-1", "account": "a", "order_id": f"a-{client}", "symbol": "BTCUSDT"}
    return words | {"side": side, "price": price, "quantity": "0.3", "fee": "0.01"}


def entry(client: str, cash: str, quantity: str) -> Words:
    lines = [("position", "BTCUSDT", quantity), ("market", "BTCUSDT", format(-D(quantity), "f"))]
    lines += [("cash", "USD", cash), ("conversion", "USD", format(-D(cash), "f"))]
    postings = [dict(zip(("ledger", "unit", "amount"), line, strict=True)) for line in lines]
    return {"account": "a", "fill_id": f"paper:a-{client}-1", "postings": postings}


def asked(client: str, side: str) -> Asked:
    body = {name: order(client, side, "")[name] for name in ("account", "client_order_id", "symbol", "side")}
    body |= {"order_type": "LIMIT", "quantity": "0.30", "price": "100", "strategy": "s"}
    attempts = [Attempt(0, S, None), Attempt(S, 2 * S, 200)]
    return Asked("a", client, body, digest(body), attempts, [{"order_id": f"a-{client}"}])


def moves(client: str, side: str, *statuses: str, filled: str = "0", first: int = 0) -> list[Words]:
    made: list[Words] = []
    for version, status in enumerate(statuses, 1):
        last = version == len(statuses)
        one = order(client, side, status, filled if last else "0", version, updated_ns=(first + version) * S)
        event: Words = {"account": "a", "order": one, "report": {"order_id": f"a-{client}"}}
        made.append(event | {"fill": fill(client, side, "100") if last and D(filled) else None})
    return made


def broken(evidence: Evidence) -> set[str]:
    return {violation.invariant for violation in violations(evidence)}
