"""The audit: what must hold whenever everything is there and nothing moves.

I1   no acknowledged order is lost, and it is the one that was sent
I3   the fills that were applied are the venue's executions, one for one
I10  our open orders are the venue's, and what is over for us is over there
U1   an order of which nobody knows is taken for over only on proof
I11  nothing stands at a venue in a killed scope      E1   nothing is open whose time is over
G2   when an exit or leg has filled its group, nothing else of it is open; exits end with an entry that filled nothing
and: what was committed was said, what is open is set aside, memory is what is on disk
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import chain
from typing import Any

from shared.contract import subjects
from shared.contract.dealing import order_behind
from shared.contract.orders import SubmitOrder
from shared.domain.identity import order_id as order_id_of
from tests.simulation.books import OVER, Books, Words
from tests.simulation.broker import Broker, Stored
from tests.simulation.clients import Client
from tests.simulation.exchange import LIVING, Exchange, Placed
from tests.simulation.process import Process
from tests.simulation.store import Store
from tests.simulation.venue import NAME
from tests.simulation.world import World
from tests.simulation.worst import ZERO, exposed, held, leaves

SETTLED = {"WORKING", "PARTIALLY_FILLED"}
ENDED = {*OVER, "DENIED"}
EXPIRED_WITHIN_NS = 2_500_000_000


class Audit:
    """One look at everything. `traded` is the account that trades at the exchange, if one does."""

    def __init__(
        self,
        world: World,
        store: Store,
        broker: Broker,
        books: Books,
        processes: Mapping[str, Process],
        exchange: Exchange,
        traded: str,
    ) -> None:
        self._world = world
        self._store = store
        self._broker = broker
        self._books = books
        self._processes = processes
        self._exchange = exchange
        self._traded = traded

    def unquiet(self) -> str | None:
        """What still moves, or None."""
        return next(chain(self._on_its_way(), self._undecided(), self._apart(), self._forgotten()), None)

    def _on_its_way(self) -> Iterator[str]:
        for process in self._processes.values():
            if not process.ready:
                yield f"{process.name} is not ready: {process.recovering}"
            if process.unsaid:
                yield f"{process.name} has {process.unsaid} commits unsaid"
        if count := self._broker.unfinished:
            yield f"{count} deliveries are not acknowledged"
        yield from (f"{key} is not empty" for key in self._store.twin.store if key.startswith("outbox:"))
        if self._exchange.busy:
            yield f"{self._exchange.busy} words are on their way to or from the exchange"

    def _undecided(self) -> Iterator[str]:
        for order in self._books.orders.values():
            if exposed(order) and not held(order) and (order["status"] not in SETTLED or order["replacing"]):
                yield f"{order['order_id']} is {order['status']}"
            if order["status"] not in ENDED and self._past(order):
                yield f"{order['order_id']} is {order['status']}, and its time is over"

    def look(self, clients: Iterable[Client]) -> None:
        """Everything that must hold."""
        for client in clients:
            self._answers(client)
        self._venue()
        for trouble in self._apart():
            self._world.violated(f"I10 {trouble}")
        self._executions()
        self._said()
        self._set_aside()
        self._groups()
        for parked in self._broker.parked:
            self._world.violated(f"PARKED {parked}")
        for trouble in self._world.loop.troubles:
            self._world.violated(f"LOOP {trouble}")

    def _past(self, order: Words) -> bool:
        return bool(order["expire_ns"]) and order["expire_ns"] + EXPIRED_WITHIN_NS < self._world.loop.now_ns()

    def _answers(self, client: Client) -> None:
        answers = client.answers
        for client_order_id, order in answers.acknowledged.items():
            if order.order_id != order_id_of(client.account, client_order_id):
                self._world.violated(f"I1 {client_order_id} was acknowledged as {order.order_id}")
            committed = self._books.first.get(order.order_id)
            if committed is None:
                self._world.violated(f"I1 {order.order_id} was acknowledged and is lost")
                continue
            sent = answers.sent.get(client_order_id)
            if sent is not None and (differs := _differs(sent, committed)):
                self._world.violated(f"I1 {order.order_id} was acknowledged with other words: {differs}")
        for client_order_id, code in answers.refused.items():
            committed = self._books.first.get(order_id_of(client.account, client_order_id))
            if committed is not None and committed["status"] != "DENIED":
                self._world.violated(f"I1 {client_order_id} was refused ({code}) and is {committed['status']}")

    def _venue(self) -> None:
        for order_id, order in self._books.orders.items():
            there = self._books.venue.get(order_id)
            known = there is not None and there["route"] is not None
            if exposed(order) and not held(order):
                if not known or there["report"]["status"] in OVER:
                    self._world.violated(f"I10 {order_id} is {order['status']} here and not open at the venue")
            elif known and there["report"]["status"] not in OVER:
                self._world.violated(f"I10 {order_id} is {order['status']} here and open at the venue")
            cumulative = Decimal(there["report"]["cumulative_quantity"]) if there else ZERO
            if cumulative != Decimal(order["filled_quantity"]) and not (there and there["deal"]):
                self._world.violated(f"I10 {order_id}: {order['filled_quantity']} filled here, {cumulative} there")
            if known and there["report"]["status"] not in OVER:
                self._books.allowed(there, self._world.now_s)
        for order_id in self._books.venue.keys() - self._books.orders.keys():
            self._world.violated(f"I10 the venue has {order_id}, which was never committed here")

    # The exchange.

    def _legs(self) -> dict[str, list[Placed]]:
        legs: dict[str, list[Placed]] = defaultdict(list)
        for one in self._exchange.placed.values():
            legs[self._order_of(one)].append(one)
        return legs

    def _apart(self) -> Iterator[str]:
        """How the books differ from what the exchange has."""
        legs = self._legs()
        for order_id, some in legs.items():
            order = self._books.orders.get(order_id)
            filled = sum((one.filled for one in some), ZERO)
            living = sum(one.status in LIVING for one in some)
            if order is None:
                yield f"the exchange has {order_id}, which was never committed here"
            elif filled != Decimal(order["filled_quantity"]):
                yield f"{order_id}: {order['filled_quantity']} filled here, {filled} at the exchange"
            elif living != (order["status"] not in ENDED):
                yield f"{order_id} is {order['status']} here, and has {living} legs open at the exchange"
        for order_id, there in self._books.venue.items():
            if there["deal"] is not None and there["report"]["status"] not in OVER and order_id not in legs:
                yield f"{order_id} is {there['report']['status']}, and the exchange has never seen it"

    def accepted(self, placed: Placed) -> None:
        """An order came to be there: no other leg of it is, and nobody has taken it for over."""
        order_id = self._order_of(placed)
        others = [one for one in self._legs()[order_id] if one is not placed]
        if open_ := [one.leg.client_id for one in others if one.status in LIVING]:
            self._world.violated(f"I2 {placed.leg.client_id} is at the exchange together with {open_}")
        if order_id in self._books.venue:
            self.ended(order_id)

    def ended(self, order_id: str) -> None:
        """An order is taken for over, or was: then nothing of it is there.

        FILLED needs no other proof than the fills; what a late one leaves standing is cancelled.
        """
        status = self._books.venue[order_id]["report"]["status"]
        if status in OVER and status != "FILLED" and any(one.status in LIVING for one in self._legs()[order_id]):
            self._world.violated(f"U1 {order_id} is taken for {status}, and stands at the exchange")

    def _order_of(self, placed: Placed) -> str:
        ours = order_behind(self._traded, placed.leg.client_id)
        assert ours is not None, "nobody else trades there"
        return ours[0]

    def _executions(self) -> None:
        theirs: dict[str, Counter[tuple[Any, ...]]] = defaultdict(Counter)
        ours: dict[str, Counter[tuple[Any, ...]]] = defaultdict(Counter)
        reports = (stored.message for stored in self._kept() if stored.subject is subjects.ORDER_REPORT)
        executions = {
            (one.order_id, one.fill.execution_id): one.fill
            for one in reports
            if one.fill is not None and one.venue != NAME
        }
        for order_id, some in self._legs().items():
            executions |= {(order_id, fill.execution_id): fill for one in some for fill in one.fills}
        for (order_id, name), one in executions.items():
            theirs[order_id][name, one.price, one.quantity, one.fee] += 1
        for fill_id, one in self._books.fills.items():
            name = fill_id.partition(":")[2]
            ours[one["order_id"]][name, Decimal(one["price"]), Decimal(one["quantity"]), Decimal(one["fee"])] += 1
        for order_id in theirs.keys() | ours.keys():
            if theirs[order_id] != ours[order_id]:
                self._world.violated(f"I3 {order_id}: fills {ours[order_id]}, executions {theirs[order_id]}")

    # What was said and is remembered.

    def _said(self) -> None:
        told: dict[str, set[int]] = defaultdict(set)
        for stored in self._kept():
            if stored.subject is subjects.ORDER_EVENT:
                told[stored.message.order.order_id].add(stored.message.order.version)
        for order_id, order in self._books.orders.items():
            versions = set(range(1, order["version"] + 1))
            if told[order_id] != versions:
                self._world.violated(f"SAID {order_id}: versions {sorted(told[order_id])} of {order['version']}")
            if self._books.events[order_id] != order["version"]:
                self._world.violated(f"I9 {order_id}: {self._books.events[order_id]} events of {order['version']}")

    def _kept(self) -> list[Stored]:
        return self._broker.streams.get(subjects.ORDERS.name, [])

    def _set_aside(self) -> None:
        due = {order_id: leaves(order) for order_id, order in self._books.orders.items() if exposed(order)}
        kept = {
            order_id: Decimal(words["quantity"])
            for reservations in self._books.reservations.values()
            for order_id, words in reservations.items()
        }
        for order_id in sorted(due.keys() | kept.keys()):
            if due.get(order_id) != kept.get(order_id):
                self._world.violated(f"R5 {order_id}: {due.get(order_id)} may fill, {kept.get(order_id)} is set aside")

    def _groups(self) -> None:
        for group, order_ids in self._books.groups.items():
            members = [self._books.orders[order_id] for order_id in order_ids]
            entry = next((order for order in members if order["role"] == "ENTRY"), None)
            peers = [order for order in members if order is not entry]
            filled = sum((Decimal(order["filled_quantity"]) for order in peers), ZERO)
            if entry is None:
                whole = max(Decimal(order["pair_quantity"] or 0) for order in peers)
            elif entry["status"] in ENDED:
                whole = Decimal(entry["filled_quantity"])
            else:
                continue
            left = [order["order_id"] for order in peers if order["status"] not in ENDED]
            if filled >= whole and left:
                self._world.violated(f"G2 {filled} of {whole} of the group {group} are filled, and {left} are open")

    def _forgotten(self) -> Iterator[str]:
        """How the oms's memory differs from what is on disk. What was decided and is not on disk yet is such a case."""
        oms = self._processes["oms"].service
        stats = dict(oms.stats()) if oms is not None else {}
        count = sum(order["status"] not in ENDED for order in self._books.orders.values())
        if stats and stats.get("orders_open", count) != count:
            yield f"the oms has {stats['orders_open']} orders open in memory, {count} on disk"


def _differs(sent: SubmitOrder, committed: Words) -> list[str]:
    """The fields in which an order is not what was sent."""
    words: dict[str, Any] = sent.model_dump(mode="json")
    fields = ["symbol", "side", "order_type", "quantity", "price", "trail", "time_in_force", "strategy", "venue"]
    fields += ["reduce_only", "post_only"]
    fields += [] if sent.trail else ["stop_price"]  # of a trailing stop it is where the market has carried it
    return [name for name in fields if str(words[name]) != str(committed[name])]
