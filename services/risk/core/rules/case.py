"""A case: everything that one judgement looks at."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from services.risk.core.exposure.account import Exposure
from services.risk.core.exposure.book import Book, Line
from services.risk.core.findings import Findings
from services.risk.core.limits.allowance import Allowance
from services.risk.core.market import Reference
from services.risk.core.rules.form import Form
from services.risk.settings import Settings
from shared.contract.risk import Reservation, RiskCheck


@dataclass(slots=True)
class Case:
    """One order before its judge. Books are fresh, and what the order itself held before is taken out of them.

    `leaves` is what of it may still fill, and `more` by how much that adds to what is open (of one group only the
    largest counts). `price` is the worst it may fill at; None: nobody knows. `sums` and `lines` are by level. `rates`
    turn the instrument's currency into the account's and into the firm's, `account_rate` the account's into the firm's.
    `wanted` is what is set aside if it passes, `reduces`: it can only shrink a position.
    """

    check: RiskCheck
    settings: Settings
    now_ns: int
    form: Form | None
    allowance: Allowance
    reference: Reference
    divergence: Decimal | None
    exposure: Exposure
    sums: tuple[Line | Book, ...]
    lines: tuple[Line, ...]
    rates: tuple[Decimal | None, Decimal | None]
    account_rate: Decimal | None
    firm: Book
    firm_equity: Decimal
    unwell: str
    leaves: Decimal
    price: Decimal | None
    wanted: Reservation
    findings: Findings
    reduces: bool = False
    collared: bool = False
    """Its price lies beyond a collar."""
    more: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    """What the order adds to what is open, at its worst price and in the instrument's currency."""

    @property
    def line(self) -> Line:
        """The account's own line of the symbol."""
        return self.lines[0]

    def weigh(self) -> None:
        """Work out what the order adds to what is open, and whether it only reduces."""
        self.more, self.notional = self.exposure.more(self.wanted)
        self.reduces = self.shrinks(self.line)

    def shrinks(self, line: Line) -> bool:
        """Whether the order can only shrink what a line holds, all that is open on its side having filled before it."""
        held = -line.quantity if self.check.side == "BUY" else line.quantity
        return self.leaves <= held and self.more <= line.room(self.check.side)
