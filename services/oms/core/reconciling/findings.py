"""What a round of reconciling found, for people: what stands, for how long, and what was healed."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from services.oms.core.reconciling.differences import Difference, Finding, Kind
from shared.contract.base import Account, Message, Nanos, Venue
from shared.contract.ops import Alert

SETTLED_NS = 1_000_000_000
"""Two statements that show a difference must lie so far apart."""

SURE = 2
"""So many statements on end must show a difference before anything is done about it."""

PATIENCE = {Kind.MISSING: 4, Kind.FILLED: 4, Kind.ENDED: 0}
"""After how many statements people are told; 0: never. Of everything else they are told as soon as it is sure."""


class Reconciliation(Message):
    """What one round found. `differences` are those that still stand, `healed` those of the round before that do not.

    `sums` are the positions, each with what its fills on record come to. Trades up to `trades_until_ns` are entered.
    `trouble` says why there was no round; everything else is then of the one before.
    """

    account: Account
    venue: Venue
    at_ns: Nanos
    agrees: bool
    orders_here: int = 0
    orders_there: int = 0
    trades: int = 0
    trades_until_ns: Nanos = 0
    differences: tuple[Difference, ...] = ()
    healed: tuple[Difference, ...] = ()
    sums: dict[str, dict[str, str]] = Field(default_factory=dict)
    trouble: str = ""


def standing(before: Reconciliation | None, findings: Iterable[Finding], at_ns: int) -> list[Finding]:
    """The findings of a statement, each with how many on end have shown it by now."""
    known = {_name(one): one for one in before.differences} if before else {}
    found: list[Finding] = []
    for finding in findings:
        last = known.get(_name(finding.difference))
        since_ns, rounds = (last.since_ns, last.rounds + 1) if last else (at_ns, 1)
        if at_ns - since_ns < SETTLED_NS:
            rounds = 1
        told = last is not None and last.told
        seen = finding.difference.altered(since_ns=since_ns, rounds=rounds, told=told)
        found.append(Finding(seen, finding.steps))
    return found


def healed(before: Reconciliation | None, findings: Iterable[Finding]) -> tuple[Difference, ...]:
    """What the round before found, and this one did not."""
    names = {_name(finding.difference) for finding in findings}
    return tuple(one for one in before.differences if _name(one) not in names) if before else ()


def is_news(difference: Difference) -> bool:
    """Whether people are to be told of it now: once for as long as it stands."""
    patience = PATIENCE.get(difference.kind, SURE)
    return bool(patience) and difference.rounds >= patience and not difference.told


def alert_of(account: str, venue: str, difference: Difference, at_ns: int) -> Alert:
    mending = difference.mending or "people must look at it"
    words = f"{venue}: {difference.about}: ours {difference.ours}, theirs {difference.theirs}; {mending}"
    return Alert(
        service="oms",
        code=f"RECONCILIATION_{difference.kind}",
        account=account,
        about=difference.about,
        message=words,
        at_ns=at_ns,
    )


def _name(difference: Difference) -> tuple[str, str, str]:
    """What makes two differences one."""
    return difference.kind, difference.about, difference.mark
