"""The desk: every order at a real venue, and what to do about it next.

An order is written down as on its way before anything leaves. From then on it is asked for and never sent again, unless
it is proven that nothing was done. What nobody knows stays PENDING_UNKNOWN until the venue's own word, or two answers
some time apart that there is no such order.

    event → what is to be written down and said, and what is to be asked of the venue
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as changed

from services.live_gateway.core.answers import MEANINGS, late, note
from services.live_gateway.core.orders import arrive
from services.live_gateway.core.paper import beyond, trouble
from services.live_gateway.core.work import Patience, Work
from shared.contract.dealing import Answer, Ask, Errand, Leg, Outcome, VenueWord
from shared.contract.market import Instrument
from shared.contract.orders import OrderStatus, Replacement, ReplaceOrder, RouteOrder
from shared.contract.venue import Deal, VenueOrder

OVER_KEPT = 2_000
"""How many orders that are over are kept at hand for a late word; the store knows the others."""


@dataclass(slots=True)
class Decision:
    """What one event leads to. `state` is to be written down, `said` to be said with it, `asks` to be asked after."""

    state: VenueOrder | None = None
    said: list[VenueOrder] = field(default_factory=list[VenueOrder])
    asks: list[Ask] = field(default_factory=list[Ask])


class Desk:
    """Every method takes an event and the time, and returns the decision."""

    def __init__(self, instruments: Mapping[str, Instrument], patience: Patience) -> None:
        self._instruments = instruments
        self._patience = patience
        self._works: dict[str, Work] = {}
        self._arriving: dict[str, Work] = {}
        self._over: OrderedDict[str, Work] = OrderedDict()
        self._due: dict[str, int] = {}

    # What it knows.

    def restore(self, orders: Iterable[tuple[VenueOrder, set[str]]], now_ns: int) -> None:
        """Begin anew with what was written down: orders and the ids of their fills. Each of them may have moved on
        meanwhile, so each is asked for."""
        self._works.clear()
        self._arriving.clear()
        self._over.clear()
        self._due.clear()
        for order, seen in orders:
            self.take(order, seen)
            self._works[order.order_id].due_ns = self._due[order.order_id] = now_ns

    def take(self, order: VenueOrder, seen: set[str]) -> None:
        """Know an order again that was let go; what is known already stands."""
        if order.order_id not in self._works and order.order_id not in self._over:
            work = Work(order, self._patience, order, seen)
            work.leg_filled = order.report.cumulative_quantity - work.deal.filled_before
            (self._over if work.is_over else self._works)[order.order_id] = work

    def known(self, order_id: str) -> VenueOrder | None:
        work = self._works.get(order_id) or self._over.get(order_id)
        return work.order if work else None

    def leg(self, order_id: str) -> Leg | None:
        """An open order as the venue has it."""
        work = self._works.get(order_id)
        return work.leg() if work else None

    def orders(self, venue: str = "") -> list[VenueOrder]:
        """Every open order, at one venue or at all."""
        return [w.order for w in self._works.values() if not venue or w.order.report.venue == venue]

    def quiet_at(self, venue: str) -> set[str]:
        """The orders whose leg stands at a venue by its own word, with nothing on its way."""
        works = self._works.items()
        return {i for i, w in works if w.order.report.venue == venue and w.deal.proven and not w.flying}

    @property
    def unknown_count(self) -> int:
        return sum(work.order.report.status is OrderStatus.PENDING_UNKNOWN for work in self._works.values())

    # From us.

    def accept(self, route: RouteOrder, why: str, arrival: int, now_ns: int, received_ns: int) -> Decision:
        """An order that passed every gate: write it down as on its way, then send it. `why` the venue cannot work it,
        or nothing. It stands nowhere before `join`: it may turn out to be known."""
        order = arrive(route, arrival, now_ns, venue=route.venue, received_ns=received_ns)
        assert route.order_id not in self._works, "an order is taken on once"
        order = order.altered(deal=Deal(price=route.price, quantity=route.quantity))
        work = self._arriving[route.order_id] = Work(order, self._patience, begun_ns=now_ns, unsent=True)
        why = why or trouble(self._instruments.get(route.symbol), route.symbol, route.quantity, route.price)
        if why:
            work.say(OrderStatus.REJECTED, now_ns, why)
        said, work.said, work.kept = work.said, [], work.order
        return Decision(work.order, said, self._at_once(work, now_ns))

    def join(self, order_id: str, *, made: bool) -> None:
        """The order was written down. Or it could not be because it is known already: then none of this happened."""
        work = self._arriving.pop(order_id)
        if made:
            (self._over if work.is_over else self._works)[order_id] = work

    def ask_about(self, order_id: str, now_ns: int) -> Decision:
        """Somebody wonders: ask the venue, unless that is being done."""
        work = self._works.get(order_id)
        if work is None or work.flying:
            return Decision()
        return Decision(asks=[self._fly(work, Errand.FIND)])

    def end(self, order_id: str, reason: str, now_ns: int) -> Decision:
        """Cancel what is left. One cancel is out at a time, and another only once the venue still has the order: who
        asks again while that is in doubt has the venue asked."""
        work = self._works[order_id]
        if not work.deal.ending:
            work.amend(ending=reason)
            return self._decide(work, now_ns)
        return (
            self.ask_about(order_id, now_ns) if work.order.report.status is OrderStatus.PENDING_UNKNOWN else Decision()
        )

    def stop(self, killed: Callable[[RouteOrder], str], now_ns: int) -> Iterator[Decision]:
        """Cancel every order in a killed scope. Each is decided when it is asked for, to be written down at once: what
        is decided meanwhile must not be written down before it."""
        for order_id, why in [(order.order_id, why) for order in self.orders() if (why := killed(order.order))]:
            if order_id in self._works:
                yield self.end(order_id, why, now_ns)

    def replace(self, wanted: ReplaceOrder, now_ns: int, *, in_place: bool, why: str) -> Decision:
        """New terms, answered once for each number; `why` they are refused already, or nothing."""
        work = self._works[wanted.order_id]
        order, deal = work.order, work.deal
        if wanted.number <= max(order.report.replaced, order.report.refused):
            return Decision()
        if deal.replacing is not None and deal.replacing.number == wanted.number:
            return Decision()
        route = order.order
        price = route.price if wanted.price is None else wanted.price
        why = why or self._hindrance(work) or beyond(order, wanted)
        why = why or trouble(self._instruments.get(route.symbol), route.symbol, wanted.quantity, wanted.price)
        if why:
            work.say(order.report.status, now_ns, why, refused=wanted.number)
            return self._decide(work, now_ns)
        new = Replacement(number=wanted.number, price=price, quantity=wanted.quantity)
        work.amend(replacing=new, in_place=in_place)
        work.absent = 0
        if not in_place:
            return self._decide(work, now_ns)
        decision = self._decide(work, now_ns)
        ask = self._fly(work, Errand.REPLACE)
        decision.asks.append(changed(ask, price=price, quantity=wanted.quantity - deal.filled_before))
        return decision

    def leaves(self, ask: Ask, now_ns: int) -> None:
        """An errand is on its way this very moment."""
        if ask.errand is Errand.SUBMIT and (work := self._works.get(ask.order_id)):
            work.sent_ns = now_ns

    # From the venue.

    def answered(self, ask: Ask, outcome: Outcome | Answer, now_ns: int) -> Decision:
        """What became of an errand."""
        work = self._works.get(ask.order_id) or self._over.get(ask.order_id)
        if work is None:
            return Decision()
        work.flying.discard(ask.errand)
        if ask.number == work.deal.number and work.is_over:
            late(work, ask, outcome)
        elif ask.number == work.deal.number:
            MEANINGS[ask.errand](work, outcome, now_ns)
        return self._decide(work, now_ns)

    def heard(
        self, order_id: str, number: int, word: VenueWord, now_ns: int, *, listed: bool = False
    ) -> Decision | None:
        """The venue's own word about a leg; `listed`: it is open there now. None: the order has to be taken in again
        first."""
        work = self._works.get(order_id) or self._over.get(order_id)
        if work is None:
            return None
        work.pause_ns = 0
        note(work, number, word, now_ns)
        work.stray |= listed and work.is_over and number == work.deal.number
        return self._decide(work, now_ns)

    def due(self, now_ns: int) -> Iterator[Decision]:
        """What has waited long enough, each decided when it is asked for."""
        for order_id in [order_id for order_id, at_ns in self._due.items() if at_ns <= now_ns]:
            if order_id in self._works:
                yield self._go_on(order_id, now_ns)

    # How.

    def _hindrance(self, work: Work) -> str:
        if not work.deal.proven or work.order.report.status is OrderStatus.PENDING_UNKNOWN:
            return "the venue has not confirmed the order yet"
        if work.deal.ending:
            return "it is being cancelled"
        return "another replacement is on its way" if work.deal.replacing else ""

    def _decide(self, work: Work, now_ns: int) -> Decision:
        """Close the step: what to write down, what to say, and what to ask at once."""
        said, work.said = work.said, []
        if work.is_over:
            self._let_go(work)
        elif work.due_ns:
            self._due[work.order.order_id] = work.due_ns
        else:
            self._due.pop(work.order.order_id, None)
        changed_to = None if work.order is work.kept else work.order
        work.kept = work.order
        return Decision(changed_to, said, self._at_once(work, now_ns))

    def _at_once(self, work: Work, now_ns: int) -> list[Ask]:
        if work.is_over:
            return [self._fly(work, Errand.CANCEL)] if work.stray and not work.cancel_told else []
        if now_ns < work.held_ns:
            return []
        if work.unsent:
            return [self._fly(work, Errand.SUBMIT)]
        if work.wants_end and not work.cancel_told and not work.flying:
            return [self._fly(work, Errand.CANCEL)]
        return []

    def _go_on(self, order_id: str, now_ns: int) -> Decision:
        work = self._works[order_id]
        work.due_ns = 0
        if not work.deal.proven and work.order.report.status is OrderStatus.NEW and not work.begun_ns:
            work.say(OrderStatus.PENDING_UNKNOWN, now_ns, "it was on its way when the gateway ended")
        decision = self._decide(work, now_ns)
        if not decision.asks and not work.flying:
            decision.asks.append(self._fly(work, Errand.FIND))
        return decision

    def _fly(self, work: Work, errand: Errand) -> Ask:
        work.flying.add(errand)
        if errand is Errand.CANCEL:
            work.cancel_told = True
        elif errand is Errand.SUBMIT:
            work.unsent = False
        order = work.order
        return Ask(errand, order.report.venue, order.order_id, work.deal.number, work.leg())

    def _let_go(self, work: Work) -> None:
        order_id = work.order.order_id
        self._works.pop(order_id, None)
        self._due.pop(order_id, None)
        self._over[order_id] = work
        if len(self._over) > OVER_KEPT:
            self._over.popitem(last=False)
