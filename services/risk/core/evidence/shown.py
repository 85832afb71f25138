"""The evidence: for every rule the codes it speaks in, the clauses it answers to, the tests that prove it."""

from __future__ import annotations

from collections.abc import Mapping

from services.risk.core.evidence.clauses import CLAUSES
from services.risk.core.evidence.conduct import CONDUCT
from services.risk.core.evidence.orders import ORDERS
from services.risk.core.evidence.proof import Proof
from shared.contract.base import Message

PROOFS: tuple[Proof, ...] = tuple(sorted((*ORDERS, *CONDUCT), key=lambda proof: (proof.rule[0] != "R", proof.rule)))
"""By rule; what is no rule comes last."""


class Shown(Message):
    """One rule as it is shown."""

    rule: str
    does: str
    codes: tuple[str, ...]
    clauses: dict[str, str]
    tests: tuple[str, ...]
    limits: dict[str, str]


def evidence(limits: Mapping[str, Mapping[str, str]]) -> list[Shown]:
    """Every rule with its clauses and tests. `limits`: what is set now, as scope → limit or setting → value.

    A rule shows those of its own `governed_by` names, as `scope.name`.
    """
    return [
        Shown(
            rule=proof.rule,
            does=proof.does,
            codes=proof.codes,
            clauses={name: CLAUSES[name].asks for name in proof.clauses},
            tests=proof.tests,
            limits={
                f"{scope}.{name}": value
                for scope, entries in limits.items()
                for name, value in entries.items()
                if name in proof.governed_by
            },
        )
        for proof in PROOFS
    ]
