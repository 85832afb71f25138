"""The client: orders without end from several hands, each kept in a journal and asked again until it is answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from tests.chaos.evidence import Asked, Attempt, Words, digest
from tests.chaos.line import Answer, Line, Unanswered

TICK = Decimal("0.01")
AGAIN_S = 0.01
STRATEGIES = (None, "alpha", "beta")


@dataclass(frozen=True)
class Trade:
    """How orders in one symbol are made: a price nearby, the smallest quantity, and the lot."""

    symbol: str
    price: Decimal
    smallest: Decimal
    lot: Decimal

    def quantity(self, rng: Random, n: int) -> Decimal:
        """Small, and another one for each of a few hundred orders on end: the same again is refused as a repetition."""
        return self.smallest * rng.randrange(1, 6) + self.lot * (n % 499)

    def limit(self, away: float) -> Decimal:
        return (self.price * Decimal(str(1 + away))).quantize(TICK)


@dataclass(frozen=True)
class Mix:
    """What share of the orders rests far from the market, near it, and what share of those is cancelled later."""

    far: float = 0.1
    near: float = 0.15
    cancelled: float = 0.7


class Client:
    """`async with Client(...)`: orders flow; at the end every one of them has been answered.

    In the last of the `trades` orders rest near the market, in the others they take or rest far away.
    """

    def __init__(
        self,
        port: int,
        accounts: Sequence[str],
        trades: Sequence[Trade],
        seed: str,
        *,
        name: str = "",
        hands: int = 6,
        mix: Mix | None = None,
        venue: str = "paper",
        path: str = "",
    ) -> None:
        self.asked: list[Asked] = []
        self.acknowledged = 0
        self.first_sent_ns = 0
        """When the latest acknowledged order was first sent."""
        self._port = port
        self._accounts = accounts
        self._trades = trades
        self._mix = mix or Mix()
        self._name = name
        self._venue = venue
        self._path = path
        self._clock: Callable[[], int] = time.time_ns
        self._stopping = False
        self._hands = [asyncio.create_task(self._trade(Random(f"{seed}/{hand}"), hand)) for hand in range(hands)]

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self, timeout_s: float = 60.0) -> None:
        """No new orders; returns once each one is answered. AssertionError when one never is."""
        self._stopping = True
        _, hanging = await asyncio.wait(self._hands, timeout=timeout_s)
        for hand in hanging:
            hand.cancel()
        await asyncio.gather(*self._hands, return_exceptions=not hanging)
        assert not hanging, f"{len(hanging)} of {len(self._hands)} hands wait for an answer after {timeout_s} s"

    async def _trade(self, rng: Random, hand: int) -> None:
        line = Line(self._port)
        resting: list[Asked] = []
        n = 0
        try:
            while not self._stopping:
                n += 1
                asked = self.next(rng, f"{self._name}h{hand}-{n}", n * 7 + hand)
                await self.insist(line, asked)
                if asked.acknowledged and asked.body["order_type"] == "LIMIT" and rng.random() < self._mix.cancelled:
                    resting.append(asked)
                if resting and (len(resting) > 3 or rng.random() < 0.3):
                    await self.cancel(line, resting.pop(0))
            for asked in resting:
                await self.cancel(line, asked)
        finally:
            line.close()

    def next(self, rng: Random, client_order_id: str, n: int) -> Asked:
        """An order to be sent, entered in the journal."""
        account, drawn = rng.choice(self._accounts), rng.random()
        rests = drawn < self._mix.far + self._mix.near
        near = rests and drawn >= self._mix.far
        # An account that rests near the market on both sides, or takes there as well, would trade with itself.
        trade = self._trades[-1] if near else rng.choice(self._trades[:-1])
        side = ("BUY", "SELL")[self._accounts.index(account) % 2] if near else rng.choice(("BUY", "SELL"))
        words: Words = {"account": account, "client_order_id": client_order_id, "symbol": trade.symbol, "side": side}
        words |= {"order_type": "MARKET", "quantity": str(trade.quantity(rng, n))}
        if strategy := rng.choice(STRATEGIES):
            words["strategy"] = strategy
        if self._venue != "paper":
            words["venue"] = self._venue
        if rests:
            away = rng.uniform(0, 0.0005) if near else rng.uniform(0.03, 0.05)
            price = trade.limit(-away if side == "BUY" else away)
            words |= {"order_type": "LIMIT", "price": str(price), "time_in_force": rng.choice(("GTC", "DAY"))}
        self.asked.append(Asked(account, client_order_id, words, digest(words)))
        return self.asked[-1]

    async def insist(self, line: Line, asked: Asked) -> None:
        """The same order under the same id until the answer is an answer."""
        while not await self.once(line, asked):
            await asyncio.sleep(AGAIN_S)

    async def once(self, line: Line, asked: Asked) -> bool:
        """Ask for the order; whether the answer is one, and not that it may be asked for later."""
        body = json.dumps(asked.body).encode()
        answer = await self._attempt(line, asked.attempts, "POST", f"{self._path}/orders", body)
        if answer is None or answer.status in (429, 503):
            return False
        if answer.status == 200:
            asked.answers.append(answer.words)
            self.acknowledged += 1
            self.first_sent_ns = max(self.first_sent_ns, asked.attempts[0].sent_ns)
        elif answer.status == 422 and "order_id" in answer.words:
            # Denied, which is committed as well. Anything else I12 will say.
            asked.denial = answer.words
        return True

    async def cancel(self, line: Line, asked: Asked) -> None:
        """Ask for the end of an order until that is answered."""
        path = f"{self._path}/orders/{asked.answers[0]['order_id']}"
        while True:
            answer = await self._attempt(line, asked.cancel, "DELETE", path)
            if answer is not None and answer.status not in (429, 503):
                return
            await asyncio.sleep(AGAIN_S)

    async def _attempt(
        self, line: Line, journal: list[Attempt], method: str, path: str, body: bytes = b""
    ) -> Answer | None:
        sent_ns = self._clock()
        try:
            answer = await line.ask(method, path, body)
        except Unanswered:
            journal.append(Attempt(sent_ns, self._clock(), None))
            return None
        journal.append(Attempt(sent_ns, self._clock(), answer.status, answer.orderly))
        return answer
