"""Scene: one loop of one fault: load, strike, recover, come to rest, and compare the records."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from tests.chaos.client import Client
from tests.chaos.evidence import Asked, Evidence, Killed, Sweep, Violation, Words
from tests.chaos.invariants import violations
from tests.chaos.invariants.bounds import Recovery, i12_answers_are_orderly, i13_recovered_in_time
from tests.chaos.invariants.orders import OVER
from tests.chaos.mix import Asking, Mix
from tests.chaos.stage import Outside, Stage
from tests.chaos.waiting import Late, moment, until

FLOW = 20
REST_S = 30.0
AT_FRONT = 0.2
"""The share of the loops whose client comes in by the front door."""


@dataclass
class Scene:
    """What a fault is given. Everything that is left to chance is drawn from `rng`."""

    stage: Stage
    fault: str
    name: str
    """Of this loop; its accounts are named after it."""
    seed: str
    rng: Random
    strict: bool = False
    """Whether a kill has to be done within what was promised, or the machine is busy with others."""
    asked: list[Asked] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    killed: list[Killed] = field(default_factory=list)
    kills: list[tuple[str, float]] = field(default_factory=list)
    """In which way each was done, and after how many ms the last order was out."""
    found: list[Violation] = field(default_factory=list)
    tally: dict[str, int] = field(default_factory=dict)
    """What else was done, for the summary."""
    outside: Outside | None = None
    """The record of a venue that is not the suite's own."""

    @property
    def accounts(self) -> tuple[str, ...]:
        return self.stage.accounts or tuple(f"{self.name}-{letter}" for letter in "abc")

    @asynccontextmanager
    async def load(
        self, *, mix: Mix | None = None, hands: int | None = None, venue: str = "paper", most: float = math.inf
    ) -> AsyncGenerator[Client]:
        """Orders flow inside, `most` of them and some; afterwards each of them has been answered."""
        hands = hands or self.rng.randrange(3, 9)
        at_front = self.rng.random() < AT_FRONT
        await until(self.stage.quoted, "the market to be quoted")
        client = Client(
            self.stage.port("orchestrator" if at_front else "oms"),
            Asking(self.accounts, self.stage.trades, mix or Mix(), venue),
            self.seed,
            name=self.name,
            hands=hands,
            path="/api/oms" if at_front else "",
            most=most,
        )
        self.asked, self.sweeps = client.asked, client.sweeps
        async with client:
            await self.flowing(client)
            yield client

    async def flowing(self, client: Client, count: int = FLOW) -> None:
        """Until some more orders have been acknowledged."""
        start = client.acknowledged
        what, most_s = f"{count} more orders to be acknowledged", max(30.0, count / 10)
        await until(lambda: client.acknowledged >= start + count, what, most_s)

    async def moment(self, most_s: float = 0.3) -> None:
        """Any moment."""
        await moment(self.rng.uniform(0, most_s))

    async def recovered(
        self,
        client: Client,
        whom: str,
        since_s: float,
        allowed_s: float,
        well: Callable[[], object | Awaitable[object]],
    ) -> None:
        """Until `well()`, and until an order first sent after `since_s` has been acknowledged; noted as a recovery."""
        since_ns = time.time_ns() - int((time.monotonic() - since_s) * 1e9)
        await until(well, f"{whom} to be well", 60)
        await until(lambda: client.first_sent_ns > since_ns, "a new order to be acknowledged", 60)
        self.recoveries.append(Recovery(self.fault, whom, time.monotonic() - since_s, allowed_s))

    async def judged(self, *, tape: bool = False, apart: Collection[str] = ()) -> Evidence:
        """Come to rest, and note every violation save of the invariants that stand `apart`; the evidence."""
        evidence = await self._at_rest(tape=tape, apart=apart)
        self.found += [one for one in violations(evidence) if one.invariant not in apart]
        self.found += i12_answers_are_orderly(self.asked, self.sweeps)
        self.found += i13_recovered_in_time(self.recoveries)
        self.tally |= done(evidence) if self.name else {}
        return evidence

    async def _at_rest(self, *, tape: bool, apart: Collection[str]) -> Evidence:
        """The evidence once nothing is under way any more; after half a minute it is what it is."""
        evidence = Evidence()
        names = self.stage.accounts[0] if self.stage.accounts else self.name and f"{self.name}-"

        def look() -> bool:
            nonlocal evidence
            evidence = self.stage.records.read(names, tape=tape)
            evidence.asked, evidence.sweeps, evidence.bounds = self.asked, self.sweeps, dict(self.stage.bounds)
            evidence.killed = self.killed
            if outside := self.outside or self.stage.outside:
                evidence.venue, evidence.executions = outside()
                evidence.venue_forgets = True
            return not _under_way(evidence) and not any(one.invariant not in apart for one in violations(evidence))

        async def looked() -> bool:
            # In a thread, and with a rest: a venue that lives in this very process has to answer meanwhile.
            began_s = time.monotonic()
            if await asyncio.to_thread(look):
                return True
            await moment((time.monotonic() - began_s) / 2)
            return False

        try:
            await until(looked, "the records to agree", REST_S)
        except Late:
            self.found += [Violation("I10", f"{evidence.unsaid} words still unsaid")] * bool(evidence.unsaid)
        return evidence


def _under_way(evidence: Evidence) -> bool:
    """Whether words are unsaid, or an order that does not rest has not come to its end."""
    moving = (order for order in evidence.orders.values() if _takes(order))
    return bool(evidence.unsaid) or any(order["status"] not in OVER for order in moving)


def _takes(order: Words) -> bool:
    """Whether it is a market order by now."""
    return order["order_type"] == "MARKET" or (order["order_type"] in ("STOP", "TRAILING_STOP") and _out(order))


def _out(order: Words) -> bool:
    return bool(order.get("triggered_ns")) and order["status"] != "ACCEPTED"


def done(evidence: Evidence) -> dict[str, int]:
    """What else than plain orders was asked for and acknowledged, and what came of it."""
    groups = evidence.groups()
    pairs = sum(all(order["role"] == "LEG" for order in orders) for orders in groups.values())
    orders = evidence.orders.values()
    moves = (move for events in evidence.events.values() for move in pairwise(event["order"] for event in events))
    return {
        "pairs": pairs,
        "brackets": len(groups) - pairs,
        "stops that were reached": sum(bool(order.get("triggered_ns")) for order in orders),
        "cancels acknowledged": sum(len(one.cancelled) for one in evidence.asked),
        "replacements acknowledged": sum(it.answer is not None for one in evidence.asked for it in one.replaces),
        "cancel-alls acknowledged": sum(sweep.sent_ns > 0 for sweep in evidence.sweeps),
        "orders that came out of doubt, each by the venue's word": sum(
            before["status"] == "PENDING_UNKNOWN" != after["status"] for before, after in moves
        ),
    }
