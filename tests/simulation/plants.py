"""Plants: bugs put in on purpose, one at a time. A checker that does not find them proves nothing.

They are put into what the services stand on, so that they stay what they are whatever becomes of the services.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.contract.dealing import Absent, Answer, Leg, Outcome, Rejected, Unsure, VenueWord
from shared.contract.errors import Unavailable
from shared.contract.subjects import RISK_KILL
from shared.kit.journal import Journal
from shared.kit.outbox import parcels
from shared.kit.transaction import Transaction
from shared.kit.valkey import Change
from tests.simulation.process import SimulatedKit
from tests.simulation.store import Line
from tests.simulation.venue import SimulatedVenue

if TYPE_CHECKING:
    from tests.simulation.run import Run

Plant = Callable[["Run"], None]


class HastyJournal(Journal):
    """Answers before anything is on disk."""

    async def commit(self, transaction: Transaction) -> bool:
        if self.broken:
            raise Unavailable(self.broken)
        task = asyncio.ensure_future(super().commit(transaction))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return True


class TalkativeJournal(Journal):
    """Speaks before anything is on disk."""

    async def commit(self, transaction: Transaction) -> bool:
        _, words = transaction.sealed()
        await self._publish([letter for parcel in words for letter in parcel.letters])
        return await super().commit(transaction)


class ForgetfulJournal(Journal):
    """Leaves what was not said before a crash unsaid for ever."""

    async def recall(self, address: Callable[[], str] | None = None) -> None:
        self._said.extend(await parcels(self._valkey, self._shard))
        asyncio.get_running_loop().call_later(0.1, self._start_writer)


class OptimisticLine(Line):
    """Takes a commit that nobody knows anything of for made."""

    async def execute(self, changes: Sequence[Change]) -> list[bool]:
        try:
            return await super().execute(changes)
        except Unavailable:
            return [True] * len(changes)


class UnguardedLine(Line):
    """Makes a change whatever it expects to find."""

    async def execute(self, changes: Sequence[Change]) -> list[bool]:
        return await super().execute([Change(change.commands) for change in changes])


class TornLine(Line):
    """A commit's money moves in another commit than its order."""

    async def execute(self, changes: Sequence[Change]) -> list[bool]:
        torn: list[Change] = []
        for change in changes:
            money = [command for command in change.commands if str(command[1]).startswith("position:")]
            rest = [command for command in change.commands if command not in money]
            torn.append(Change(rest, change.expected))
            torn.append(Change(money))
        return (await super().execute(torn))[::2]


class RepeatingVenue(SimulatedVenue):
    """Gives an execution another name each time it tells of it."""

    def told(self, word: VenueWord) -> None:
        if word.fill is not None:
            name = f"{word.fill.execution_id}-{self._world.new_id()}"
            word = replace(word, fill=word.fill.model_copy(update={"execution_id": name}))
        super().told(word)


class SureVenue(SimulatedVenue):
    """Takes the silence of the exchange for its refusal."""

    async def submit(self, leg: Leg) -> Outcome:
        outcome = await super().submit(leg)
        return Rejected(outcome.why) if isinstance(outcome, Unsure) else outcome

    async def find(self, leg: Leg) -> Answer:
        answer = await super().find(leg)
        return Absent() if isinstance(answer, Unsure) else answer


class StubbornVenue(SimulatedVenue):
    """Sends an order again, under another name, when nobody has answered."""

    async def submit(self, leg: Leg) -> Outcome:
        outcome = await super().submit(leg)
        if isinstance(outcome, Unsure):
            outcome = await super().submit(replace(leg, client_id=f"{leg.client_id[:-1]}9"))
        return outcome


def _venue(kind: type[SimulatedVenue]) -> Plant:
    def plant(run: Run) -> None:
        run.venue_of = kind

    return plant


def _nothing(found: Any) -> Any:
    """As much of it as if nothing had ever been kept there."""
    return type(found)()


def _blind(prefix: str | tuple[str, ...], answer: Any) -> type[Line]:
    """A line on which whatever is kept under some keys looks as if it were not there."""

    class Blind(Line):
        def __getattr__(self, name: str) -> Callable[..., Any]:
            ask = super().__getattr__(name)

            async def asked(*words: Any, **named: Any) -> Any:
                found = await ask(*words, **named)
                if words and isinstance(words[0], str) and words[0].startswith(prefix):
                    return answer(found)
                return found

            setattr(self, name, asked)
            return asked

    return Blind


def _kit(service: str, **parts: Any) -> Plant:
    """One service's kit with another part in it."""

    def plant(run: Run) -> None:
        run.processes[service].kit_of = type("PlantedKit", (SimulatedKit,), parts)

    return plant


def _approvals_outlive_risk(run: Run) -> None:
    """In weather in which risk often ends between its answer and what rests on it."""
    _kit("oms", line_of=UnguardedLine)(run)
    run.world.rates.question_slow, run.world.rates.crash_at_answer = 0.4, 0.3
    for client in run.clients:
        client.races()


def _deaf_to_kills(run: Run) -> None:
    """The gateway neither hears of a kill nor finds it in the store."""
    blind = _blind("kill:", lambda _: None)
    run.processes["live-gateway"].kit_of = type("PlantedKit", (SimulatedKit,), {"line_of": blind})
    store = run.broker.store

    def hush(subject: Any, *words: Any) -> None:
        if subject is not RISK_KILL:
            store(subject, *words)

    run.broker.store = hush  # type: ignore[method-assign]


PLANTS: dict[str, tuple[str, Plant]] = {
    "an answer before its commit": ("I1", _kit("oms", journal_of=HastyJournal)),
    "words before their commit": ("R1", _kit("oms", journal_of=TalkativeJournal)),
    "words lost in a crash": ("SAID", _kit("oms", journal_of=ForgetfulJournal)),
    "a lost commit taken for made": ("I", _kit("oms", line_of=OptimisticLine)),
    "money that moves apart from its order": ("I4", _kit("oms", line_of=TornLine)),
    "an approval of an earlier life": ("I6", _approvals_outlive_risk),
    "open orders forgotten by risk": ("I6", _kit("risk", line_of=_blind(("open:", "reservation:"), _nothing))),
    "fills forgotten by the oms": ("I3", _kit("oms", line_of=_blind("order_fills:", _nothing))),
    "orders forgotten by the venue": ("I2", _kit("live-gateway", line_of=UnguardedLine)),
    "an execution told under two names": ("I", _venue(RepeatingVenue)),
    "a silence taken for a refusal": ("U1", _venue(SureVenue)),
    "an order sent twice": ("I", _venue(StubbornVenue)),
    "a kill that nobody hears": ("I11", _deaf_to_kills),
}
"""Each with the beginning of what must be found."""
