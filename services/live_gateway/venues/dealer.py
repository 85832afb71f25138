"""The dealer carries out what the desk decides: writes it down, runs the errands, brings the answers back.

    decision → cancels at once → written down → whatever else is to be asked → answer → decision …

A cancel needs no writing down first, and so goes out with the store away. A new order does, and does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from services.live_gateway.settings import Settings
from services.live_gateway.venues.errands import Errands
from services.live_gateway.venues.venue import Venue
from shared.contract.dealing import Answer, Ask, Errand, Leg, Outcome, Rejected, VenueTrade, VenueWord, order_behind
from shared.contract.errors import Unavailable
from shared.contract.orders import ReplaceOrder, Report, RouteOrder
from shared.contract.venue import VenueOrder
from shared.kit import Kit


class Decision(Protocol):
    """What is to be written down, said with it, and asked after it."""

    @property
    def state(self) -> VenueOrder | None: ...
    @property
    def said(self) -> Sequence[VenueOrder]: ...
    @property
    def asks(self) -> Sequence[Ask]: ...


class Desk(Protocol):
    def restore(self, orders: Iterable[tuple[VenueOrder, set[str]]], now_ns: int) -> None: ...
    def take(self, order: VenueOrder, seen: set[str]) -> None: ...
    def known(self, order_id: str) -> VenueOrder | None: ...
    def leg(self, order_id: str) -> Leg | None: ...
    def orders(self, venue: str = "") -> list[VenueOrder]: ...
    def quiet_at(self, venue: str) -> set[str]: ...
    def ask_about(self, order_id: str, now_ns: int) -> Decision: ...
    def end(self, order_id: str, reason: str, now_ns: int) -> Decision: ...
    def join(self, order_id: str, *, made: bool) -> None: ...
    def leaves(self, ask: Ask, now_ns: int) -> None: ...
    def answered(self, ask: Ask, outcome: Outcome | Answer, now_ns: int) -> Decision: ...
    def heard(
        self, order_id: str, number: int, word: VenueWord, now_ns: int, *, listed: bool = False
    ) -> Decision | None: ...
    def due(self, now_ns: int) -> Iterable[Decision]: ...


class Gates(Protocol):
    def before(self, ask: Ask, order: VenueOrder | None, waited_ns: int, now_ns: int) -> int | Rejected: ...
    def after(self, ask: Ask, outcome: Outcome | Answer, now_ns: int) -> bool: ...


class Store(Protocol):
    @property
    def open(self) -> bool: ...
    async def find(self, account: str, order_id: str) -> VenueOrder | None: ...
    async def fills(self, order: VenueOrder) -> list[Report]: ...
    async def keep_deal(self, state: VenueOrder, said: Sequence[VenueOrder], *, new: bool = False) -> bool: ...


class Dealer:
    """Between the desk and the venues. `accounts` says whose orders a venue's account holds."""

    def __init__(
        self,
        venues: Mapping[str, Venue],
        accounts: Mapping[str, str],
        desk: Desk,
        gates: Gates,
        store: Store,
        errands: Errands,
        kit: Kit,
        settings: Settings,
    ) -> None:
        self.venues = venues
        self.accounts = accounts
        self._desk = desk
        self._gates = gates
        self._store = store
        self._errands = errands
        self._clock = kit.clock
        self._meter = kit.meter
        self._parted_max_ns = round(settings.disconnect_cancel_s * 1e9)
        self._errands_max = settings.errands_max
        self._connected = False
        self._parted_ns: dict[str, int] = {}

    async def recover(self, orders: Iterable[VenueOrder]) -> None:
        """Begin anew with what was written down; each order is then asked for."""
        known = [(order, await self._seen(order)) for order in orders]
        self._desk.restore(known, self._clock.now_ns())
        if not self._connected:
            self._connected = True
            for venue in self.venues.values():
                await venue.connect(self._hearer(venue))

    async def take_on(self, order_id: str, decision: Decision, arriving: set[str]) -> bool:
        """A new order; until it is certain that it is new, others wait. False: it was seen before, and nothing was
        written down nor sent."""
        arriving.add(order_id)
        made = await self.carry_out(decision, new=True)
        arriving.discard(order_id)
        self._desk.join(order_id, made=made)
        return made

    async def carry_out(self, decision: Decision, *, new: bool = False) -> bool:
        """False: the order was seen before, and nothing was written down nor sent."""
        later = [ask for ask in decision.asks if ask.errand is not Errand.CANCEL]
        for ask in decision.asks:
            if ask.errand is Errand.CANCEL:
                self._errands.start(self._run, ask)
        if decision.state is not None and not await self._store.keep_deal(decision.state, decision.said, new=new):
            return False
        self._meter.count("reports", len(decision.said))
        for ask in later:
            self._errands.start(self._run, ask)
        return True

    async def wonder(self, order_id: str) -> None:
        """Ask the venue about an order, unless that is being done."""
        await self.carry_out(self._desk.ask_about(order_id, self._clock.now_ns()))

    async def go_on(self) -> None:
        """Ask and send again what has waited long enough."""
        for decision in self._desk.due(self._clock.now_ns()):
            await self.carry_out(decision)

    async def reconcile(self) -> None:
        """Our orders at each venue against the venue's own listing; whatever differs is asked for by itself."""
        for venue in self.venues.values():
            expected = self._desk.quiet_at(venue.name)
            listed = await venue.open_orders()
            ours = [order_behind(self.accounts[venue.name], word.client_id) for word in listed]
            for word in listed:
                self._errands.start(self._hear, venue.name, word, True)
            self._meter.gauge("orders_external", sum(one is None for one in ours), venue=venue.name)
            for order_id in expected - {one[0] for one in ours if one}:
                await self.wonder(order_id)

    async def guard(self) -> None:
        """Cancel our orders at a venue whose reports have stayed away for too long; once for each outage."""
        now_ns = self._clock.now_ns()
        for venue in self.venues.values():
            since_ns = venue.down_since_ns
            parted = self._parted_max_ns and since_ns and now_ns - since_ns > self._parted_max_ns
            if not parted or venue.capabilities.cancel_on_disconnect or self._parted_ns.get(venue.name) == since_ns:
                continue
            self._parted_ns[venue.name] = since_ns
            self._meter.count("disconnect_cancels", venue=venue.name)
            for order in self._desk.orders(venue.name):
                if self._desk.leg(order.order_id) is not None:  # it may be over by the time that its turn comes
                    await self.carry_out(self._desk.end(order.order_id, "the venue's reports stay away", now_ns))

    def unfit(self, route: RouteOrder) -> str:
        """Why a venue cannot work an order, or nothing."""
        venue, account = self.venues[route.venue], self.accounts[route.venue]
        able = venue.capabilities
        if route.account != account:
            return f"only account {account} trades at {venue.name}, and not {route.account}"
        if route.order_type not in able.order_types or route.time_in_force not in able.times_in_force:
            return f"{venue.name} takes no {route.order_type} orders with time_in_force {route.time_in_force}"
        if route.post_only and not able.post_only:
            return f"{venue.name} has no post_only"
        if len(self._errands) >= self._errands_max:
            return f"{len(self._errands)} errands are under way at the venues already"
        return ""

    def replaces(self, order: VenueOrder, wanted: ReplaceOrder) -> bool:
        """Whether the venue can change the order in its place."""
        deal, venue, leg = order.deal, self.venues.get(order.report.venue), self._desk.leg(order.order_id)
        if deal is None or venue is None or leg is None:
            return False
        price = deal.price if wanted.price is None else wanted.price
        return venue.replaces(leg, price, wanted.quantity - deal.filled_before)

    def line(self, venue: str) -> dict[str, Any]:
        """How well a venue can be dealt with."""
        line = self.venues.get(venue)
        if line is None:
            return {"trouble": "not configured"}
        return {"trouble": line.trouble, "down_since_ns": line.down_since_ns, **line.details()}

    async def listings(
        self, venue: str, account: str, symbols: frozenset[str], since_ns: int
    ) -> tuple[list[VenueWord], list[VenueTrade], dict[str, Decimal]] | None:
        """What a venue itself has of an account of ours; None where that account does not trade."""
        if venue not in self.venues or self.accounts[venue] != account:
            return None
        line = self.venues[venue]
        return await line.open_orders(), await line.trades(symbols, since_ns), await line.holdings()

    async def _run(self, ask: Ask) -> None:
        outcome = await self._at_venue(ask)
        self._check_open()
        await self.carry_out(self._desk.answered(ask, outcome, self._clock.now_ns()))

    async def _at_venue(self, ask: Ask) -> Outcome | Answer:
        began_ns = self._clock.monotonic_ns()
        while leave := await self._may_leave(ask, began_ns):
            if isinstance(leave, Rejected):
                self._meter.count("orders_stopped", errand=ask.errand.value)
                return leave
            await self._clock.sleep(leave / 1e9)
        self._desk.leaves(ask, self._clock.now_ns())
        outcome = await self._errands.perform(ask)
        self._meter.count("errands", errand=ask.errand.value, outcome=type(outcome).__name__)
        if self._gates.after(ask, outcome, self._clock.monotonic_ns()):
            self._meter.count("circuits_opened", venue=ask.venue)
        return outcome

    async def _may_leave(self, ask: Ask, began_ns: int) -> int | Rejected:
        """Whether an errand may leave this very moment; see the gates."""
        if ask.errand in (Errand.SUBMIT, Errand.REPLACE) and (why := await self._errands.hindrance()):
            return Rejected(why)
        now_ns = self._clock.monotonic_ns()
        return self._gates.before(ask, self._desk.known(ask.order_id), now_ns - began_ns, now_ns)

    def _hearer(self, venue: Venue) -> Callable[[VenueWord], None]:
        return lambda word: self._errands.start(self._hear, venue.name, word)

    async def _hear(self, venue: str, word: VenueWord, listed: bool = False) -> None:
        self._check_open()
        account = self.accounts[venue]
        ours = order_behind(account, word.client_id)
        if ours is None:
            self._meter.count("words_external", venue=venue)
            return
        decision = self._desk.heard(*ours, word, self._clock.now_ns(), listed=listed)
        if decision is None:
            known = await self._store.find(account, ours[0])
            if known is None or known.deal is None:
                self._meter.count("words_external", venue=venue)
                return
            self._desk.take(known, await self._seen(known))
            decision = self._desk.heard(*ours, word, self._clock.now_ns(), listed=listed)
        if decision is not None:
            await self.carry_out(decision)

    def _check_open(self) -> None:
        """What a venue says while the orders are being recalled would be known in memory alone. They are all asked for
        after that."""
        if not self._store.open:
            raise Unavailable("the orders are being recalled")

    async def _seen(self, order: VenueOrder) -> set[str]:
        return {report.fill.execution_id for report in await self._store.fills(order) if report.fill is not None}
