"""Approvals: what takes risk's leave is asked for, decided, and committed only while risk still stands by its word.

A commit that rests on an approval states the life of risk it was given in; when risk has begun anew meanwhile, nothing
is written, and risk is asked again. Memory is asked first whether an order exists, the commit itself has the last word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from services.oms.core.book import Change
from services.oms.core.desk import Desk
from services.oms.core.groups import Group
from services.oms.core.intent import answer, denial, in_time, renewed, same_intent, to_check
from services.oms.core.order import WAITING
from shared.contract.errors import Conflict, Refused, Unavailable
from shared.contract.groups import GroupOrders
from shared.contract.market import Instrument
from shared.contract.orders import Order, OrderStatus, ReplaceRequest, Role
from shared.contract.risk import Release, RiskCheck, Verdict
from shared.domain.lifecycle import OPEN

TRIES = 3
PATIENCE_NS = 1_000_000_000
"""An exit that risk refuses says so only after a while: at first risk may not have heard of the entry's fill."""

Propose = Callable[[Order], Order | None]
"""The order by the terms to be judged; None when there is nothing to ask any more."""


class Keep(Protocol):
    """Commits changes; False when the orders exist already or risk's life is over, and nothing was written."""

    def __call__(self, changes: Sequence[Change], epoch: str | None = None) -> Awaitable[bool]: ...


class Committed(Protocol):
    """What is on disk."""

    async def known(self, order: Order) -> bool:
        """Whether there is such an order."""
        ...

    async def group(self, account: str, group: str) -> Sequence[Order]:
        """The orders of a group."""
        ...

    async def note_release(self, release: Release) -> None:
        """Keep who let an order through."""
        ...

    async def beginning(self, order: Order) -> tuple[Order | None, Verdict | None]:
        """An order as it was first answered, with what risk said of it then."""
        ...


class Approvals:
    """Asks risk for the desk."""

    def __init__(
        self,
        desk: Desk,
        ask: Callable[[RiskCheck], Awaitable[Verdict]],
        keep: Keep,
        store: Committed,
        landed: Callable[[str], Awaitable[Order]],
        now_ns: Callable[[], int],
        doubt: Callable[[str], Unavailable],
    ) -> None:
        self._desk = desk
        self._ask = ask
        self._keep = keep
        self._store = store
        self._landed = landed
        self._now_ns = now_ns
        self._doubt = doubt

    async def submit(self, drafts: list[Order]) -> tuple[Order | GroupOrders, bool]:
        """The answer to new orders, and whether it was given before. Stops that the market has reached go out."""
        changes = await self._admit(drafts)
        if changes is None:
            return answer(await self._first_answer(drafts)), True
        for symbol in {change.order.symbol for change in changes if change.order.held}:
            for out in self._desk.trigger(self._desk.book.stops.reached(symbol), self._now_ns()):
                await self._keep(out)
        return answer([(change.order, change.verdict) for change in changes]), False

    async def _first_answer(self, drafts: list[Order]) -> list[tuple[Order, Verdict | None]]:
        begun = [await self._store.beginning(draft) for draft in drafts]
        first = [(same_intent(draft, order), verdict) for draft, (order, verdict) in zip(drafts, begun, strict=True)]
        if (group := drafts[0].group) and len(await self._store.group(drafts[0].account, group)) != len(drafts):
            same_intent(drafts[0], None)
        return first

    async def _admit(self, drafts: list[Order]) -> list[Change] | None:
        """Commit new orders as risk judges them, all or none; None when they exist already."""
        if any(self._desk.book.knows(draft.order_id) for draft in drafts):
            return None
        for draft in drafts:
            if draft.expire_ns is not None and draft.expire_ns <= self._now_ns():
                if await self._store.known(drafts[0]):
                    return None
                in_time(draft, self._now_ns())
        drafts = [self._desk.placed(draft) for draft in drafts]
        for _ in range(TRIES):
            verdicts = [None if one.role is Role.EXIT else await self._ask(to_check(one, drafts)) for one in drafts]
            now_ns = self._now_ns()
            changes = self._desk.begun(drafts, verdicts, now_ns)
            epochs = {self._valid(verdict, now_ns) for verdict in verdicts if verdict and verdict.approved}
            if len(epochs) <= 1 and await self._keep(changes, *epochs):
                for change in changes:
                    self._desk.book.enter(change)
                return changes
            for draft in drafts:
                if await self._store.known(draft):
                    return None
        raise Unavailable("risk began anew, again and again, while it was asked; send the order again")

    async def release(self, release: Release) -> None:
        """Ask risk again of an order that waits for a second person; who that was stays on record."""
        order_id = release.order_id
        if order_id in self._desk.book.orders:
            await self._store.note_release(release)

        def waiting(order: Order) -> Order | None:
            if order.status is not OrderStatus.PENDING_RISK:
                return None
            if self._desk.crowded(order):
                raise Unavailable(f"order {order_id} waits for the end of its sibling, which the venue may still fill")
            return order

        verdict = await self._agree(order_id, waiting)
        order = self._desk.book.orders.get(order_id)
        if verdict is None or verdict.approved or verdict.pending or order is None or waiting(order) is None:
            return
        await self._keep(self._desk.refused(order, verdict, self._now_ns()))

    async def replace(self, order: Order, request: ReplaceRequest, instrument: Instrument) -> Order:
        """New terms for an open order: at once where only this desk knows of it, else on their way to the venue."""

        def proposed(order: Order) -> Order | None:
            wanted = renewed(order, request, instrument)
            return None if wanted == order else self._desk.placed(wanted)

        order_id = order.order_id
        if order.status in OPEN and (wanted := proposed(order)) is not None:
            if order.status is OrderStatus.NEW:
                await self._keep([self._desk.agreed(order, wanted, None, self._now_ns())])
            else:
                verdict = await self._agree(order_id, proposed)
                if verdict is not None and not verdict.approved:
                    raise denial(order_id, verdict)
            order = await self._landed(order_id)
        if order.status not in OPEN:
            raise Conflict("ORDER_IS_OVER", f"order {order_id} is {order.status}; nothing is left to replace")
        return order

    async def tend(self) -> None:
        """Have the exits of brackets go live and grow with what their entries have filled.

        What goes wrong with one keeps no other waiting: that one has its turn again the next time.
        """
        trouble: Unavailable | None = None
        for group in tuple(self._desk.untended):
            for order, _ in Group(self._desk.book.members(group)).growing():
                try:
                    await self._tend(order.order_id)
                except Unavailable as error:
                    trouble = error
            if not Group(self._desk.book.members(group)).growing():
                self._desk.untended.pop(group, None)
        if trouble is not None:
            raise trouble

    async def _tend(self, order_id: str) -> None:
        try:
            verdict = await self._agree(order_id, self._desk.grown)
        except Refused as refused:
            await self._tell(order_id, refused.code, refused.detail)
        else:
            if verdict is not None and not verdict.approved:
                await self._tell(order_id, verdict.code, verdict.reason)

    async def _tell(self, order_id: str, code: str, why: str) -> None:
        """Say on an exit that it still waits, and why: once, and not at once."""
        now_ns, order = self._now_ns(), self._desk.book.orders.get(order_id)
        if order is None or self._desk.grown(order) is None or code in order.reason:
            return
        if now_ns - max(one.updated_ns for one in self._desk.book.members(order.group or "")) > PATIENCE_NS:
            await self._keep(self._desk.excused(order, f"{code}: {why}", now_ns))

    async def _agree(self, order_id: str, propose: Propose) -> Verdict | None:
        """Ask risk of the terms proposed for an order, and commit them if it approves; None: nothing to ask."""
        for _ in range(TRIES):
            asked, check = self._check(order_id, propose)
            if asked is None or check is None:
                return None
            verdict = await self._ask(check)
            wanted, again = self._check(order_id, propose)
            if wanted is None or again != check:
                continue  # it changed meanwhile: other terms, or nothing to ask any more
            if not verdict.approved or await self._committed(order_id, wanted, verdict):
                return verdict
        raise Unavailable(f"order {order_id} changes faster than risk can be asked; try again")

    def _check(self, order_id: str, propose: Propose) -> tuple[Order | None, RiskCheck | None]:
        order = self._desk.book.orders.get(order_id)
        wanted = propose(order) if order is not None and order.status in OPEN else None
        if order is None or wanted is None:
            return None, None
        together = self._desk.book.members(order.group) if order.group else ()
        return wanted, to_check(wanted, together, replaces=order.status not in WAITING)

    async def _committed(self, order_id: str, wanted: Order, verdict: Verdict) -> bool:
        desk, now_ns = self._desk, self._now_ns()
        before, reservation = desk.book.orders[order_id], desk.book.reservations.get(order_id)
        epoch = self._valid(verdict, now_ns)
        change = desk.agreed(before, wanted, verdict, now_ns)
        with desk.book.resting(before, epoch):
            kept = await self._keep([change], epoch)
        if not kept and not desk.book.undo(change, before, reservation):
            raise self._doubt(f"risk began anew while order {order_id} was changed again")
        return kept

    def _valid(self, verdict: Verdict, now_ns: int) -> str:
        if now_ns > verdict.valid_until_ns:
            raise Unavailable("risk's approval lapsed before the order could be committed; send it again")
        return verdict.epoch
