"""Scene: one loop of one fault: load, strike, recover, come to rest, and compare the records."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from tests.chaos.client import Client, Mix
from tests.chaos.evidence import Asked, Evidence, Killed, Violation
from tests.chaos.invariants import violations
from tests.chaos.invariants.bounds import Recovery, i12_answers_are_orderly, i13_recovered_in_time
from tests.chaos.invariants.orders import OVER
from tests.chaos.stage import BOUNDS, Outside, Stage
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
    asked: list[Asked] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    killed: list[Killed] = field(default_factory=list)
    found: list[Violation] = field(default_factory=list)
    tally: dict[str, int] = field(default_factory=dict)
    """What else was done, for the summary."""
    outside: Outside | None = None
    """The record of a venue that is not the suite's own."""

    @property
    def accounts(self) -> tuple[str, ...]:
        return self.stage.accounts or (f"{self.name}-a", f"{self.name}-b")

    @asynccontextmanager
    async def load(
        self, *, mix: Mix | None = None, hands: int | None = None, venue: str = "paper"
    ) -> AsyncGenerator[Client]:
        """Orders flow inside; afterwards each of them has been answered."""
        hands = hands or self.rng.randrange(3, 9)
        at_front = self.rng.random() < AT_FRONT
        client = Client(
            self.stage.port("orchestrator" if at_front else "oms"),
            self.accounts,
            self.stage.trades,
            self.seed,
            name=self.name,
            hands=hands,
            mix=mix,
            venue=venue,
            path="/api/oms" if at_front else "",
        )
        self.asked = client.asked
        async with client:
            await self.flowing(client)
            yield client

    async def flowing(self, client: Client, count: int = FLOW) -> None:
        """Until some more orders have been acknowledged."""
        start = client.acknowledged
        await until(lambda: client.acknowledged >= start + count, f"{count} more orders to be acknowledged")

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
        self.found += i12_answers_are_orderly(self.asked)
        self.found += i13_recovered_in_time(self.recoveries)
        return evidence

    async def _at_rest(self, *, tape: bool, apart: Collection[str]) -> Evidence:
        """The evidence once nothing is under way any more; after half a minute it is what it is."""
        evidence = Evidence()

        def look() -> bool:
            nonlocal evidence
            names = self.stage.accounts[0] if self.stage.accounts else self.name and f"{self.name}-"
            evidence = self.stage.records.read(names, tape=tape)
            evidence.asked, evidence.bounds, evidence.killed = self.asked, BOUNDS, self.killed
            if outside := self.outside or self.stage.outside:
                evidence.venue, evidence.executions = outside()
                evidence.venue_forgets = True
            return not _under_way(evidence) and not any(one.invariant not in apart for one in violations(evidence))

        try:
            await until(look, "the records to agree", REST_S)
        except Late:
            self.found += [Violation("I10", f"{evidence.unsaid} words still unsaid")] * bool(evidence.unsaid)
        return evidence


def _under_way(evidence: Evidence) -> bool:
    """Whether words are unsaid, or an order that does not rest has not come to its end."""
    moving = (order for order in evidence.orders.values() if order["order_type"] == "MARKET")
    return bool(evidence.unsaid) or any(order["status"] not in OVER for order in moving)
