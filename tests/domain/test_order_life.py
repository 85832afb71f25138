"""Any life of an order: whoever acts, and however late or out of order the venue's words come, every step is legal."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.contract.orders import OrderStatus as S
from shared.domain.lifecycle import MOVES, OPEN, TERMINAL, may

LOTS = 3
"""An order of three lots, filled one at a time."""


@dataclass(frozen=True)
class Step:
    """One commit: from which status to which, because of whom, and whether it brought a fill."""

    before: S
    after: S
    by: str
    fill: bool


@dataclass(frozen=True)
class Word:
    """What the venue says: where the order stands there, and the number of the fill that led to it."""

    status: S
    fill: int | None = None


class OrderLife(RuleBasedStateMachine):
    """Client, risk, market, clock and venue act on one order; the venue's words are delivered whenever."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(routed=False)

    @initialize(routed=st.booleans())
    def begin(self, routed: bool) -> None:
        """An order whose risk is still to be asked, or, to come further in as many steps, one on its way."""
        self.status = S.NEW
        self.version = 1
        self.steps: list[Step] = []
        self.held = False
        self.sent = False
        self.fills: set[int] = set()
        self.venue_fills = 0
        self.venue_took = False
        self.venue_over = False
        self.words: list[Word] = []
        if routed:
            self.risk_or_a_second_person_decides(S.ACCEPTED, held=False)
            self.it_is_sent()

    def move(self, target: S, by: str, *, fill: bool = False) -> None:
        assert may(self.status, target), f"{self.status} → {target} by {by}"
        self.steps.append(Step(self.status, target, by, fill))
        self.status = target
        self.version += 1

    def untouched(self) -> bool:
        return self.status in OPEN and not self.sent

    def out(self) -> bool:
        return self.sent and self.status in OPEN

    @precondition(lambda self: self.status in TERMINAL)
    @rule(routed=st.booleans())
    def the_next_order(self, routed: bool) -> None:
        self.settle()
        self.begin(routed)

    # Before the venue.

    @precondition(lambda self: self.status in (S.NEW, S.PENDING_RISK))
    @rule(verdict=st.sampled_from([S.ACCEPTED, S.ACCEPTED, S.PENDING_RISK, S.DENIED]), held=st.booleans())
    def risk_or_a_second_person_decides(self, verdict: S, held: bool) -> None:
        self.move(verdict, "risk")
        self.held = held

    @precondition(lambda self: self.untouched())
    @rule()
    def new_terms_while_it_waits(self) -> None:
        self.move(self.status, "client")

    @precondition(lambda self: self.untouched())
    @rule(end=st.sampled_from([S.CANCELED, S.EXPIRED]))
    def it_ends_here(self, end: S) -> None:
        self.move(end, "client")

    @precondition(lambda self: self.status is S.ACCEPTED and self.held)
    @rule(passes=st.booleans())
    def the_market_reaches_its_stop(self, passes: bool) -> None:
        self.move(S.ROUTED if passes else S.DENIED, "market")
        self.held, self.sent = False, passes

    @precondition(lambda self: self.status is S.ACCEPTED and not self.held and not self.sent)
    @rule()
    def it_is_sent(self) -> None:
        self.sent = True

    @precondition(lambda self: self.status is S.ACCEPTED and self.sent)
    @rule()
    def its_sending_is_noted(self) -> None:
        self.move(S.ROUTED, "oms")

    # With the venue.

    @precondition(lambda self: self.out())
    @rule()
    def a_cancel_is_asked_for(self) -> None:
        self.move(S.PENDING_UNKNOWN if self.status is S.PENDING_UNKNOWN else S.PENDING_CANCEL, "client")

    @precondition(lambda self: self.out())
    @rule()
    def the_venue_is_silent(self) -> None:
        self.move(S.PENDING_UNKNOWN, "clock")

    @precondition(lambda self: self.sent and not self.venue_over)
    @rule(word=st.sampled_from([S.WORKING, S.WORKING, S.CANCELED, S.EXPIRED, S.REJECTED]))
    def the_venue_speaks(self, word: S) -> None:
        if word is S.REJECTED and self.venue_took:
            word = S.CANCELED  # what was taken is not rejected afterwards
        self.words.append(Word(word))
        self.venue_took = True
        self.venue_over = word is not S.WORKING

    @precondition(lambda self: self.sent and self.venue_fills < LOTS)
    @rule()
    def the_venue_fills(self) -> None:
        # Also after its last word: a fill that crossed the cancel.
        self.venue_took = True
        self.venue_fills += 1
        whole = self.venue_fills == LOTS
        self.venue_over = self.venue_over or whole
        self.words.append(Word(S.FILLED if whole else S.PARTIALLY_FILLED, self.venue_fills))

    @precondition(lambda self: self.words)
    @rule(which=st.integers(0, 9), again=st.booleans())
    def a_word_arrives(self, which: int, again: bool) -> None:
        word = self.words[which % len(self.words)]
        if not again:
            self.words.remove(word)
        self.hear(word)

    def hear(self, word: Word) -> None:
        fill = word.fill is not None and word.fill not in self.fills
        if fill and word.fill is not None:
            self.fills.add(word.fill)
        claimed = self.claimed(word.status)
        if claimed is not self.status and may(self.status, claimed):
            self.move(claimed, "venue", fill=fill)
        elif fill:
            self.move(self.status, "venue", fill=True)

    def claimed(self, status: S) -> S:
        if len(self.fills) == LOTS:
            return S.FILLED
        if status in (S.FILLED, S.PARTIALLY_FILLED, S.WORKING):
            status = S.PARTIALLY_FILLED if self.fills else S.WORKING
            return S.PENDING_CANCEL if self.status is S.PENDING_CANCEL else status
        return status

    # What always holds.

    @invariant()
    def each_step_is_in_the_table_and_has_its_number(self) -> None:
        assert self.version == len(self.steps) + 1
        assert all(step.after in MOVES[step.before] for step in self.steps)

    @invariant()
    def what_is_over_moves_only_by_a_late_fill(self) -> None:
        late = [step for step in self.steps if step.before in TERMINAL and step.before is not step.after]
        for step in late:
            corrected = (step.before, step.after) == (S.REJECTED, S.CANCELED)
            assert step.fill or corrected, step

    @invariant()
    def doubt_ends_only_by_the_venues_word(self) -> None:
        left = [step for step in self.steps if step.before is S.PENDING_UNKNOWN is not step.after]
        assert {step.by for step in left} <= {"venue"}

    @invariant()
    def what_was_never_sent_is_never_filled_or_doubted(self) -> None:
        if not self.sent:
            assert self.status in {S.NEW, S.PENDING_RISK, S.ACCEPTED, S.DENIED, S.CANCELED, S.EXPIRED}

    def teardown(self) -> None:
        self.settle()

    def settle(self) -> None:
        """Once every word has come, the order is over exactly when it is at the venue, with every fill."""
        for word in self.words:
            self.hear(word)
        if self.sent:
            assert len(self.fills) == self.venue_fills
            assert (self.status in TERMINAL) == self.venue_over
            assert (self.status is S.FILLED) == (self.venue_fills == LOTS)


OrderLife.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
test_any_life_of_an_order_is_legal = OrderLife.TestCase
