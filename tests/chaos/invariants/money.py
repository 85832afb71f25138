"""Money: each execution counts once (I3), a position is its fills (I4), cash is conserved to the last digit (I5)."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from tests.chaos.evidence import Evidence, Violation, Words
from tests.chaos.invariants.orders import found


def i3_each_execution_counts_once(evidence: Evidence) -> list[Violation]:
    """The fills here are the venue's executions: none missing, none invented, none twice, none altered."""
    executions = {one.execution_id: one for one in evidence.executions}
    ours = Counter(execution_id(fill) for fill in evidence.fills)
    ours_by_id = {execution_id(fill): fill for fill in evidence.fills}
    altered = [
        {"fill": fill, "execution": vars(one)}
        for id, fill in ours_by_id.items()
        if (one := executions.get(id)) and (one.order_id, one.price, one.quantity, one.fee) != _terms(fill)
    ]
    by_order: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fill in evidence.fills:
        by_order[fill["order_id"]] += Decimal(fill["quantity"])
    unsummed = [
        order for id, order in evidence.orders.items() if Decimal(order["filled_quantity"]) != by_order.get(id, 0)
    ]
    told = Counter(execution_id(e["fill"]) for events in evidence.events.values() for e in events if e.get("fill"))
    return [
        *found("I3", "an execution never became a fill", (vars(executions[id]) for id in executions.keys() - ours)),
        *found("I3", "a fill without an execution", (ours_by_id[id] for id in ours.keys() - executions)),
        *found("I3", "a fill not committed once", ({"id": i, "commits": told[i]} for i in ours if told[i] != 1)),
        *found("I3", "a fill that is not its execution", altered),
        *found("I3", "an order's filled quantity is not the sum of its fills", unsummed),
    ]


def execution_id(fill: Words) -> str:
    """The venue's own id, which stands behind the venue's name."""
    return fill["fill_id"].partition(":")[2]


def _terms(fill: Words) -> tuple[str, Decimal, Decimal, Decimal]:
    return fill["order_id"], Decimal(fill["price"]), Decimal(fill["quantity"]), Decimal(fill["fee"])


def i4_positions_are_fills(evidence: Evidence) -> list[Violation]:
    """Each position is the sum of the signed fills, ours and the venue's."""
    account_of = {order_id: order["account"] for order_id, order in evidence.orders.items()}
    ours: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    theirs: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for fill in evidence.fills:
        ours[fill["account"], fill["symbol"]] += signed(fill)
    for one in evidence.executions:
        theirs[account_of.get(one.order_id, "?"), one.symbol] += one.signed
    held = {(p["account"], p["symbol"]): Decimal(p["quantity"]) for p in evidence.positions}
    wrong = [
        {"of": pair, "position": held.get(pair, 0), "fills": ours.get(pair, 0), "executions": theirs.get(pair, 0)}
        for pair in held.keys() | ours.keys() | theirs.keys()
        if not held.get(pair, 0) == ours.get(pair, 0) == theirs.get(pair, 0)
    ]
    return found("I4", "a position is not the sum of its fills", wrong)


def signed(fill: Words) -> Decimal:
    """Positive when bought."""
    return Decimal(fill["quantity"]) * (1 if fill["side"] == "BUY" else -1)


def i5_cash_is_conserved(evidence: Evidence) -> list[Violation]:
    """Opening cash less what the fills cost is the cash; the entries say so too, and sum to nothing."""
    spent: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fill in evidence.fills:
        spent[fill["account"]] += signed(fill) * Decimal(fill["price"]) + Decimal(fill["fee"])
    wrong: list[Any] = []
    for account, balance in evidence.balances.items():
        expected = evidence.opening - spent.get(account, Decimal(0))
        if Decimal(balance["cash"]) != expected:
            wrong.append({"balance": balance, "expected": expected})
    penniless = [{"account": account} for account in spent.keys() - evidence.balances.keys()]
    return [
        *found("I5", "cash is not the opening less what the fills cost", wrong),
        *found("I5", "fills in an account without a balance", penniless),
        *found("I5", "the entries are not in balance", _entries(evidence, spent)),
    ]


def _entries(evidence: Evidence, spent: dict[str, Decimal]) -> list[Words]:
    wrong: list[Words] = []
    filled = Counter(fill["account"] for fill in evidence.fills)
    for account in filled.keys() | evidence.entries.keys():
        entries = evidence.entries.get(account, [])
        if len({entry["fill_id"] for entry in entries}) != len(entries) or len(entries) != filled[account]:
            wrong.append({"account": account, "entries": len(entries), "fills": filled[account]})
        sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for entry in entries:
            for posting in entry["postings"]:
                sums[entry["fill_id"], posting["unit"]] += Decimal(posting["amount"])
        wrong += [{"fill_id": id, "unit": unit, "sum": total} for (id, unit), total in sums.items() if total]
        cash = sum((Decimal(p["amount"]) for e in entries for p in e["postings"] if p["ledger"] == "cash"), Decimal(0))
        if cash != -spent.get(account, Decimal(0)):
            wrong.append({"account": account, "cash_postings": cash, "spent": spent.get(account)})
    return wrong
