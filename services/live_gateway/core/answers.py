"""What a venue's answers and words mean for an order: proof, refusal, doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed

from services.live_gateway.core.work import ENDED, UNHEARD, Work
from shared.contract.dealing import (
    Absent,
    Accepted,
    Answer,
    Ask,
    Errand,
    Found,
    Outcome,
    Rejected,
    Throttled,
    VenueWord,
)
from shared.contract.orders import OrderStatus

LOST = "the venue no longer has it, though it had it once"
NEVER_REACHED = "never reached the venue"


def _submitted(work: Work, outcome: Outcome | Answer, now_ns: int) -> None:
    match outcome:
        case Accepted(venue_order_id):
            work.prove(venue_order_id, now_ns)
            if work.order.report.status in UNHEARD:
                work.say(work.stands(), now_ns)
        case Rejected(reason) if not work.deal.proven:
            _not_taken(work, reason, now_ns)
        case Throttled(why, retry_after_s) if not work.deal.proven:
            if now_ns + retry_after_s * 1e9 > work.begun_ns + work.patience.crowded_ns or work.deal.ending:
                _not_taken(work, f"not let in: {why}", now_ns)
            else:
                work.unsent = True
                _hold(work, retry_after_s, now_ns)
        case _:
            _doubt(work, getattr(outcome, "why", "the answer makes no sense"), now_ns)


def _hold(work: Work, wait_s: float, now_ns: int) -> None:
    work.held_ns = now_ns + round(wait_s * 1e9)
    work.due_ns = min(work.due_ns or work.held_ns, work.held_ns)


def _not_taken(work: Work, reason: str, now_ns: int) -> None:
    """Proof that the venue does not have the current leg and never had."""
    if work.deal.number:
        work.refuse(OrderStatus.CANCELED, now_ns, f"cancelled to be replaced, and then: {reason}")
    else:
        work.say(OrderStatus.REJECTED, now_ns, reason)


def _doubt(work: Work, why: str, now_ns: int) -> None:
    if not work.deal.proven and work.order.report.status is not OrderStatus.PENDING_UNKNOWN:
        work.say(OrderStatus.PENDING_UNKNOWN, now_ns, why)
    work.ask_in(work.patience.ask_ns, now_ns)


def _cancelled(work: Work, outcome: Outcome | Answer, now_ns: int) -> None:
    """Its end is proven by the venue's word alone, so all that is left is when to ask for that."""
    match outcome:
        case Accepted():
            work.prove("", now_ns)
            work.cancel_told = True
            work.ask_in(work.patience.cancel_ns, now_ns)
        case Rejected():
            work.ask_in(0, now_ns)
        case Throttled(_, retry_after_s):
            work.cancel_told = False
            _hold(work, retry_after_s, now_ns)
        case _:
            work.ask_in(work.patience.ask_ns, now_ns)


def _changed(work: Work, outcome: Outcome | Answer, now_ns: int) -> None:
    if work.deal.replacing is None:
        return
    match outcome:
        case Accepted(venue_order_id):
            work.prove(venue_order_id, now_ns)
            work.replaced(now_ns)
        case Rejected(reason):
            work.refuse(work.order.report.status, now_ns, reason)
            work.ask_in(work.patience.ask_ns, now_ns)
        case Throttled(why):
            work.refuse(work.order.report.status, now_ns, f"not let in: {why}")
        case _:
            work.ask_in(work.patience.ask_ns, now_ns)


def _told(work: Work, outcome: Outcome | Answer, now_ns: int) -> None:
    match outcome:
        case Found(word, fills):
            work.absent = work.absent if work.deal.replacing and work.deal.in_place else 0
            work.prove(word.venue_order_id, now_ns)
            _take_terms(work, word, now_ns)
            for fill in fills:
                work.fill(work.deal.number, fill, now_ns)
            note(work, work.deal.number, changed(word, fill=None), now_ns)
            _compare_terms(work, word, now_ns)
            if work.wants_end and Errand.CANCEL not in work.flying:
                work.cancel_told = False
        case Absent():
            work.pause_ns = 0  # the venue answers again: what it is asked once more need not wait for longer
            _absent(work, now_ns)
        case _:
            work.ask_in(work.patience.ask_ns, now_ns)


def _absent(work: Work, now_ns: int) -> None:
    """One absence proves little, for what was sent may still arrive; two of them some time apart do."""
    if not _twice(work, now_ns):
        work.ask_in(work.patience.absent_ns, now_ns)
    elif work.deal.proven:
        work.say(OrderStatus.CANCELED, now_ns, LOST)
    else:
        _not_taken(work, NEVER_REACHED, now_ns)


def _twice(work: Work, now_ns: int) -> bool:
    if not work.absent:
        work.absent, work.absent_ns = 1, now_ns
        return False
    return now_ns - work.absent_ns >= work.patience.absent_ns


def _compare_terms(work: Work, word: VenueWord, now_ns: int) -> None:
    """Whether terms of which nobody knows took effect: those at the venue are the old ones twice, so no."""
    deal = work.deal
    if deal.replacing is None or not deal.in_place or work.is_over or Errand.REPLACE in work.flying:
        return
    if _twice(work, now_ns):
        work.refuse(work.order.report.status, now_ns, "it never took effect at the venue")
    else:
        work.ask_in(work.patience.absent_ns, now_ns)


def note(work: Work, number: int, word: VenueWord, now_ns: int) -> None:
    if number == work.deal.number:
        work.prove(word.venue_order_id, now_ns)
        _take_terms(work, word, now_ns)
    if word.fill is not None:
        work.fill(number, word.fill, now_ns)
    if number != work.deal.number:
        # A late fill of the leg before may leave nothing for the one that stands now.
        work.stray |= work.is_over and not work.unsent and work.leg_filled < work.deal.quantity
        return
    missing = word.cumulative_quantity > work.leg_filled
    if missing:
        work.ask_in(0, now_ns)
    ended = word.status in ENDED or word.status is OrderStatus.FILLED
    if work.is_over:
        _contradict(work, ended=ended)
    elif ended and not missing:  # not believed before every fill of it is here
        _leg_over(work, word, now_ns)
    elif work.order.report.status in UNHEARD:
        work.say(work.stands(), now_ns)


def _take_terms(work: Work, word: VenueWord, now_ns: int) -> None:
    deal = work.deal
    if deal.replacing is None or not deal.in_place or work.is_over:
        return
    if (word.price, word.quantity) == (deal.replacing.price, deal.replacing.quantity - deal.filled_before):
        work.replaced(now_ns)


def _leg_over(work: Work, word: VenueWord, now_ns: int) -> None:
    new, filled = work.deal.replacing, work.order.report.cumulative_quantity
    follows = new is not None and not work.deal.in_place and not work.deal.ending and new.number > work.deal.number
    if follows and new is not None and new.quantity > filled:
        work.next_leg(now_ns)
        return
    reason = work.deal.ending or word.reason
    status = OrderStatus.CANCELED if word.status is OrderStatus.FILLED else word.status
    if new is not None:
        work.refuse(status, now_ns, reason)
    else:
        work.say(status, now_ns, reason)


def _contradict(work: Work, *, ended: bool) -> None:
    """The venue has what was believed never to have reached it: it is ended there, since it is over here."""
    work.stray |= not ended and work.order.report.status is OrderStatus.REJECTED


def late(work: Work, ask: Ask, outcome: Outcome | Answer) -> None:
    """An answer about what is over here: whatever stands at the venue all the same is cancelled there.

    A cancel that did nothing may have come before the order it is for, so that it is sent again once the venue says
    that it has that order.
    """
    if ask.errand is Errand.SUBMIT and isinstance(outcome, Accepted):
        work.stray, work.cancel_told = True, False
    elif ask.errand is Errand.CANCEL and not isinstance(outcome, Accepted):
        work.stray = work.cancel_told = False


MEANINGS: dict[Errand, Callable[[Work, Outcome | Answer, int], None]] = {
    Errand.SUBMIT: _submitted,
    Errand.CANCEL: _cancelled,
    Errand.REPLACE: _changed,
    Errand.FIND: _told,
}
