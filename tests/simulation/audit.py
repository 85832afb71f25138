"""The audit: what must hold once everything is there again and nothing moves any more.

I1   no acknowledged order is lost, and it is the one that was sent
I3   the fills that were applied are the venue's executions, one for one
I10  our open orders are the venue's, and what is over for us is over there
and: what was committed was said, what is open is set aside, memory is what is on disk
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from shared.contract import subjects
from shared.contract.orders import SubmitOrder
from shared.domain.identity import order_id as order_id_of
from tests.simulation.books import Books, Words, exposed, held, leaves
from tests.simulation.broker import Broker, Stored
from tests.simulation.clients import Client
from tests.simulation.process import Process
from tests.simulation.store import Store
from tests.simulation.world import World

OVER_AT_VENUE = {"FILLED", "CANCELED", "REJECTED", "EXPIRED"}
SETTLED = {"WORKING", "PARTIALLY_FILLED"}


class Audit:
    """One look at everything, in the end."""

    def __init__(
        self, world: World, store: Store, broker: Broker, books: Books, processes: Mapping[str, Process]
    ) -> None:
        self._world = world
        self._store = store
        self._broker = broker
        self._books = books
        self._processes = processes

    def unquiet(self) -> str | None:
        """What still moves, or None."""
        for process in self._processes.values():
            if not process.ready:
                return f"{process.name} is not ready: {process.recovering}"
            if process.unsaid:
                return f"{process.name} has {process.unsaid} commits unsaid"
        if count := self._broker.unfinished:
            return f"{count} deliveries are not acknowledged"
        for order in self._books.orders.values():
            if exposed(order) and not held(order) and (order["status"] not in SETTLED or order.get("replacing")):
                return f"{order['order_id']} is {order['status']}"
        if boxes := sorted(key for key in self._store.twin.store if key.startswith("outbox:")):
            return f"{boxes[0]} is not empty"
        return None

    def look(self, clients: Iterable[Client]) -> None:
        """Everything that must hold."""
        for client in clients:
            self._answers(client)
        self._venue()
        self._executions()
        self._said()
        self._set_aside()
        self._memory()
        for parked in self._broker.parked:
            self._world.violated(f"PARKED {parked}")
        for trouble in self._world.loop.troubles:
            self._world.violated(f"LOOP {trouble}")

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
                if not known or there["report"]["status"] in OVER_AT_VENUE:
                    self._world.violated(f"I10 {order_id} is {order['status']} here and not open at the venue")
            elif known and there["report"]["status"] not in OVER_AT_VENUE:
                self._world.violated(f"I10 {order_id} is {order['status']} here and open at the venue")
            cumulative = Decimal(there["report"]["cumulative_quantity"]) if there else Decimal(0)
            if cumulative != Decimal(order["filled_quantity"]):
                self._world.violated(f"I10 {order_id}: {order['filled_quantity']} filled here, {cumulative} there")
        for order_id in self._books.venue.keys() - self._books.orders.keys():
            self._world.violated(f"I10 the venue has {order_id}, which was never committed here")

    def _executions(self) -> None:
        theirs: dict[str, Counter[tuple[Decimal, ...]]] = defaultdict(Counter)
        ours: dict[str, Counter[tuple[Decimal, ...]]] = defaultdict(Counter)
        reports = (stored.message for stored in self._kept() if stored.subject is subjects.ORDER_REPORT)
        executions = {(one.order_id, one.fill.execution_id): one.fill for one in reports if one.fill is not None}
        for (order_id, _), one in executions.items():
            theirs[order_id][one.price, one.quantity, one.fee] += 1
        for one in self._books.fills.values():
            ours[one["order_id"]][Decimal(one["price"]), Decimal(one["quantity"]), Decimal(one["fee"])] += 1
        for order_id in theirs.keys() | ours.keys():
            if theirs[order_id] != ours[order_id]:
                self._world.violated(f"I3 {order_id}: fills {ours[order_id]}, executions {theirs[order_id]}")

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

    def _memory(self) -> None:
        oms = self._processes["oms"].service
        stats = dict(oms.stats()) if oms is not None else {}
        over = {*OVER_AT_VENUE, "DENIED"}
        count = sum(order["status"] not in over for order in self._books.orders.values())
        if stats and stats.get("orders_open", count) != count:
            self._world.violated(f"MEMORY the oms has {stats['orders_open']} orders open in memory, {count} on disk")


def _differs(sent: SubmitOrder, committed: Words) -> list[str]:
    """The fields in which an order is not what was sent."""
    words: dict[str, Any] = sent.model_dump(mode="json")
    fields = ["symbol", "side", "order_type", "quantity", "price", "trail", "time_in_force", "strategy"]
    fields += [] if sent.trail else ["stop_price"]  # of a trailing stop it is where the market has carried it
    return [name for name in fields if str(words[name]) != str(committed[name])]
