"""What is kept besides accounts: switches, limits, releases, baselines and alerts, with one index of all their keys."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import orjson

from services.risk.settings import limit_scope
from shared.contract import keys
from shared.contract.base import Message
from shared.contract.risk import Kill, Release, RiskAlert
from shared.contract.subjects import RISK_ALERT, RISK_KILL, RISK_RELEASE
from shared.kit import Journal, Transaction, Valkey

OWNER = "risk"
ALERTS, KILLS = keys.alert(""), keys.kill("")

Write = tuple[str, Message | str | None]
"""A key and what to put there; None: drop it."""


class Decision(Protocol):
    """What is committed together: a switch and what goes with it, the alert that tells of it, and what is said."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> Message | str | None: ...
    @property
    def alert(self) -> RiskAlert: ...
    @property
    def also(self) -> tuple[Write, ...]: ...
    @property
    def history(self) -> tuple[str, Message] | None: ...
    @property
    def say(self) -> Kill | Release | None: ...


D = TypeVar("D", bound=Decision)


class Switches:
    def __init__(self, valkey: Valkey, journal: Journal) -> None:
        self._valkey = valkey
        self._journal = journal
        self._in_turn = asyncio.Lock()

    async def commit(self, decision: Decision) -> None:
        transaction = self._journal.transaction()
        alert = decision.alert
        switch = ((decision.key, decision.value),) if decision.key else ()
        _write(transaction, (*switch, *decision.also, (keys.alert(alert.alert_id), alert)))
        if decision.history is not None:
            transaction.push(*decision.history)
        transaction.say(RISK_ALERT, alert, account=alert.account, id=alert.alert_id)
        match decision.say:
            case Kill() as kill:
                transaction.say(RISK_KILL, kill, account=alert.account, id=f"kill-{alert.alert_id}")
            case Release() as release:
                transaction.say(RISK_RELEASE, release, account=alert.account, id=f"release-{alert.alert_id}")
            case None:
                pass
        await self._journal.commit(transaction)

    async def commit_all(self, decisions: list[D]) -> None:
        """Those that were decided on the way, oldest first; each is taken off the list as it is on disk."""
        if not decisions:
            return
        async with self._in_turn:
            while decisions:
                await self.commit(decisions[0])
                del decisions[0]

    def thrown(self, decide: Callable[..., Decision | None]) -> Callable[..., Awaitable[Message | None]]:
        """The door to a decision: it counts in memory from the moment it was made, and is on disk before the answer.

        That is the alert which tells of it, or, of what has versions, the new one.
        """

        @functools.wraps(decide)
        async def door(*args: Any, **words: Any) -> Message | None:
            decision = decide(*args, **words)
            if decision is None:
                return None
            await self.commit(decision)
            return decision.alert if decision.history is None else decision.history[1]

        return door

    async def put(self, writes: Sequence[Write]) -> None:
        """Keep, or drop, without a word."""
        if writes:
            transaction = self._journal.transaction()
            _write(transaction, writes)
            await self._journal.commit(transaction)

    async def kept(self) -> dict[str, bytes]:
        """Everything that is kept but the alerts, by key."""
        found: dict[str, bytes] = {}
        for key in sorted(await self._valkey.members(keys.kept(OWNER))):
            if not key.startswith(ALERTS) and (words := await self._valkey.raw(key)) is not None:
                found[key] = words
        return found

    async def alerts(self) -> list[RiskAlert]:
        index = await self._valkey.members(keys.kept(OWNER))
        found = await self._valkey.get_many([key for key in sorted(index) if key.startswith(ALERTS)], RiskAlert)
        return [alert for alert in found if alert is not None]

    async def limits_history(self, scope: str) -> list[dict[str, Any]]:
        """Every version of a scope's limits that was put by hand, oldest first."""
        return [orjson.loads(words) for words in await self._valkey.items(keys.limits_history(limit_scope(scope)))]


def _write(transaction: Transaction, writes: Iterable[Write]) -> None:
    index = keys.kept(OWNER)
    for key, value in writes:
        if value is None:
            transaction.drop(key)
            transaction.set_drop(index, key)
        else:
            transaction.put(key, value)
            transaction.set_add(index, key)
        if key.startswith(KILLS):
            note = transaction.set_drop if value is None else transaction.set_add
            note(keys.killed(), key.removeprefix(KILLS))
