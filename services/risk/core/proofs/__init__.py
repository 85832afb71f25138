"""Every control that there is, with its proof."""

from __future__ import annotations

from services.risk.core.proofs.conduct import CONDUCT
from services.risk.core.proofs.orders import ORDERS
from services.risk.core.proofs.proof import Proof

PROOFS: tuple[Proof, ...] = tuple(sorted((*ORDERS, *CONDUCT), key=lambda proof: (proof.rule[0] != "R", proof.rule)))
"""By rule; what is no rule comes last."""

__all__ = ["PROOFS", "Proof"]
