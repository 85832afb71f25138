"""The client: requests without end from several hands, each kept in a journal and made again until it is answered."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from random import Random
from urllib.parse import urlencode

from tests.chaos.evidence import Asked, Attempt, Replace, Sweep
from tests.chaos.line import Answer, Line, Unanswered
from tests.chaos.mix import STRATEGIES, Asking

AGAIN_S = 0.01
RESTING_MAX = 3
"""A hand that has more than so many orders that may rest cancels the oldest."""


class Client:
    """`async with Client(...)`: requests flow; at the end every one of them has been answered.

    With `most` orders acknowledged, no hand begins another.
    """

    def __init__(
        self,
        port: int,
        asking: Asking,
        seed: str,
        *,
        name: str = "",
        hands: int = 6,
        path: str = "",
        most: float = math.inf,
    ) -> None:
        self.asked: list[Asked] = []
        self.sweeps: list[Sweep] = []
        self.acknowledged = 0
        self.first_sent_ns = 0
        """When the latest acknowledged order was first sent."""
        self.asking = asking
        self._port = port
        self._name = name
        self._path = path
        self._most = most
        self._clock: Callable[[], int] = time.time_ns
        self._stopping = False
        self._hands = [asyncio.create_task(self._trade(Random(f"{seed}/{hand}"), hand)) for hand in range(hands)]

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self, timeout_s: float = 60.0) -> None:
        """No new requests; returns once each one is answered. AssertionError when one never is."""
        self._stopping = True
        if not self._hands:
            return
        _, hanging = await asyncio.wait(self._hands, timeout=timeout_s)
        for hand in hanging:
            hand.cancel()
        await asyncio.gather(*self._hands, return_exceptions=bool(hanging))
        assert not hanging, f"{len(hanging)} of {len(self._hands)} hands wait for an answer after {timeout_s} s"

    async def _trade(self, rng: Random, hand: int) -> None:
        line, mix = Line(self._port), self.asking.mix
        resting: list[Asked] = []
        n = 0
        try:
            while not self._stopping and self.acknowledged < self._most:
                n += 1
                asked = self.next(rng, f"{self._name}h{hand}-{n}", n * 7 + hand)
                await self.insist(line, asked)
                if asked.acknowledged and asked.body.get("order_type") != "MARKET":
                    if rng.random() < mix.replaced:
                        await self.replace(line, asked, rng, n * 7 + hand)
                    if rng.random() < mix.cancelled:
                        resting.append(asked)
                if resting and (len(resting) > RESTING_MAX or rng.random() < 0.3):
                    await self.cancel(line, resting.pop(0), rng)
                if rng.random() < mix.swept:
                    await self.sweep(line, self._scope(rng))
            for asked in resting:
                await self.cancel(line, asked, rng)
        finally:
            line.close()

    def next(self, rng: Random, client_order_id: str, n: int) -> Asked:
        """An order, or a group of them, to be sent, entered in the journal."""
        self.asked.append(self.asking.next(rng, client_order_id, n))
        return self.asked[-1]

    async def insist(self, line: Line, asked: Asked) -> None:
        """The same order under the same id until the answer is an answer."""
        while not await self.once(line, asked):
            await asyncio.sleep(AGAIN_S)

    async def once(self, line: Line, asked: Asked) -> bool:
        """Ask for the order; whether the answer is one, and not that it may be asked for later."""
        body = json.dumps(asked.body).encode()
        answer = await self._attempt(line, asked.attempts, "POST", asked.path, body)
        if answer is None:
            return False
        if answer.status == 200:
            asked.answers.append(answer.words)
            self.acknowledged += 1
            self.first_sent_ns = max(self.first_sent_ns, asked.attempts[0].sent_ns)
        elif answer.status == 422 and "order_id" in answer.words:
            # Denied, which is committed as well. Anything else I12 will say.
            asked.denial = answer.words
        return True

    async def cancel(self, line: Line, asked: Asked, rng: Random) -> None:
        """Ask for the end of an order, of a group that of any one, until that is answered."""
        asked.cancels = rng.choice(asked.orders)["order_id"]
        await self._settle(line, asked.cancel, "DELETE", f"/orders/{asked.cancels}")

    async def replace(self, line: Line, asked: Asked, rng: Random, n: int) -> None:
        """Ask for new terms of an order, of a group those of any one, until that is answered."""
        order = rng.choice(asked.orders)
        asked.replaces.append(Replace(order["order_id"], self.asking.change(rng, order, n)))
        wanted = asked.replaces[-1]
        body = json.dumps(wanted.body).encode()
        answer = await self._settle(line, wanted.attempts, "PATCH", f"/orders/{wanted.order_id}", body)
        if answer.status == 200:
            wanted.answer = answer.words

    async def sweep(self, line: Line, scope: dict[str, str]) -> None:
        """Ask for the end of all that belongs to an account, and to a strategy or a symbol of it."""
        self.sweeps.append(Sweep(scope))
        sweep = self.sweeps[-1]
        answer = await self._settle(line, sweep.attempts, "POST", f"/orders/cancel-all?{urlencode(scope)}")
        if answer.status == 200:
            sweep.told = set(answer.words["cancelled"])

    async def sweep_all(self) -> None:
        """Ask for the end of everything."""
        line = Line(self._port)
        try:
            for account in self.asking.accounts:
                await self.sweep(line, {"account": account})
        finally:
            line.close()

    def _scope(self, rng: Random) -> dict[str, str]:
        strategy = rng.choice([name for name in STRATEGIES if name])
        symbol = rng.choice(self.asking.trades).symbol
        narrower = rng.choice(({}, {"strategy": strategy}, {"symbol": symbol}))
        return {"account": rng.choice(self.asking.accounts), **narrower}

    async def _settle(self, line: Line, journal: list[Attempt], method: str, path: str, body: bytes = b"") -> Answer:
        """Ask until it is answered."""
        while (answer := await self._attempt(line, journal, method, path, body)) is None:
            await asyncio.sleep(AGAIN_S)
        return answer

    async def _attempt(
        self, line: Line, journal: list[Attempt], method: str, path: str, body: bytes = b""
    ) -> Answer | None:
        """The answer; None when there was none, or one that puts off."""
        sent_ns = self._clock()
        try:
            answer = await line.ask(method, f"{self._path}{path}", body)
        except Unanswered:
            journal.append(Attempt(sent_ns, self._clock(), None))
            return None
        journal.append(Attempt(sent_ns, self._clock(), answer.status, answer.orderly))
        return None if answer.status in (429, 503) else answer
