"""The rounds: each account with each of its venues, again and again: ask, compare, mend, report.

In a round a venue is asked once (a few times when it has many trades to tell): what is left is looked at in the next
one. What it lists is compared with what is open here, its trades with the fills on record, the sum of those with the
positions, and its holdings with all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from services.oms.core.reconciling.comparing import compare
from services.oms.core.reconciling.differences import (
    Adopt,
    Finding,
    Ours,
    Step,
    Tell,
    fill_id_of,
    id_of,
    is_there,
    together,
    unentered,
)
from services.oms.core.reconciling.findings import SURE, Reconciliation, alert_of, healed, is_news, standing
from services.oms.core.reconciling.outside import Desk, Line, Store
from services.oms.core.reconciling.tally import (
    Reconciled,
    Tally,
    added,
    beyond,
    check_holdings,
    check_positions,
    filled,
    moved,
)
from shared.contract.base import Account, Venue
from shared.contract.errors import Refused, Unavailable
from shared.contract.market import Instrument
from shared.contract.venue import StatedTrade, Statement, StatementRequest, known_venue

SECOND_NS = 1_000_000_000
OVERLAP_NS = 10 * SECOND_NS
"""Trades are asked for anew from so long before the last statement: one may be listed late."""

LOOK_BACK_NS = 86_400 * SECOND_NS
"""How far back our own trades are looked for when a venue is reconciled for the first time."""

STATEMENTS = 3
"""So many that tell of trades are asked for in one round."""

PAGE = 500
FILLS_MAX = 5_000
"""Fills added up in one round."""

MENDED_MAX = 500
"""Differences mended in one round."""

AGAIN_NS = 5 * SECOND_NS
"""So soon it is tried again when a venue did not answer."""


class Reconciler:
    """One round at a time: `turn` is held during each."""

    def __init__(
        self,
        desk: Desk,
        store: Store,
        line: Line,
        instruments: Mapping[str, Instrument],
        turn: AbstractAsyncContextManager[Any],
        every_s: float,
    ) -> None:
        self._desk = desk
        self._store = store
        self._line = line
        self._instruments = instruments
        self._turn = turn
        self._every_ns = round(every_s * SECOND_NS)
        self._due_ns = 0
        self._last: dict[tuple[str, str], Reconciliation] = {}
        self._records: dict[str, dict[str, Reconciled]] = {}
        self._tallies: dict[str, Tally] = {}

    def begin_anew(self) -> None:
        """Everything was recalled from the store: all of it is reconciled now."""
        self._records.clear()
        self._tallies.clear()
        self._due_ns = 0

    async def go_round(self) -> None:
        """When it is time, every account with every venue it has dealt with."""
        if self._line.now_ns() < self._due_ns:
            return
        self._due_ns = self._line.now_ns() + self._every_ns
        open_at: dict[str, dict[str, list[str]]] = {}
        for order in self._desk.open_orders():
            open_at.setdefault(order.account, {}).setdefault(order.venue, []).append(order.order_id)
        away: set[str] = set()
        for account in await self._store.accounts():
            async with self._turn:
                venues = {*await self._store.venues(account), *await self._recorded(account)}
            for venue in sorted(venues - away):
                found = await self._round(account, venue, open_at.get(account, {}).get(venue, []))
                if found.trouble:
                    away.add(venue)
                    self._due_ns = self._line.now_ns() + min(self._every_ns, AGAIN_NS)

    async def reconcile(self, account: Account, venue: Venue, accept_holdings: bool = False) -> Reconciliation:
        """One round now. With `accept_holdings` a person takes what the venue holds for right."""
        known_venue(venue)
        some = [o.order_id for o in self._desk.open_orders() if (o.account, o.venue) == (account, venue)]
        return await self._round(account, venue, some, accept=accept_holdings)

    async def latest(self, account: Account | None = None, venue: Venue | None = None) -> list[Reconciliation]:
        """What the latest round of each account with each venue found."""
        return [one for one in self._last.values() if account in (None, one.account) and venue in (None, one.venue)]

    def stats(self) -> dict[str, int]:
        """How many pairs of account and venue agree, and the differences of the others."""
        return {
            "reconciled": sum(one.agrees for one in self._last.values()),
            "differences": sum(len(one.differences) for one in self._last.values()),
        }

    # A round.

    async def _round(
        self, account: str, venue: str, open_ids: Iterable[str], *, accept: bool = False
    ) -> Reconciliation:
        async with self._turn:
            before = self._last.get((account, venue))
            try:
                found = await self._found(account, venue, open_ids, accept)
            except (Unavailable, Refused) as error:
                blank = Reconciliation(account=account, venue=venue, at_ns=0, agrees=False)
                trouble = {"agrees": False, "trouble": error.detail, "at_ns": self._line.now_ns(), "healed": ()}
                found = (before or blank).altered(**trouble)
            self._last[account, venue] = found
            return found

    async def _found(self, account: str, venue: str, open_ids: Iterable[str], accept: bool) -> Reconciliation:
        record = await self._record(account, venue)
        tally, _ = await self._added_up(account)
        asked_ns = self._line.now_ns()
        statement = await self._statement(record)
        ours = await self._ours(record, statement, open_ids, asked_ns)
        findings = compare(ours, statement)
        loose = [trade for some in unentered(ours, statement).values() for trade in some]
        positions = await self._store.positions(account)
        after, complete = await self._added_up(account)
        if complete:
            findings += check_positions(after, positions)
        if complete and not loose and after.cursor_us == tally.cursor_us:
            record, some = self._held(record, after, statement, accept)
            findings += some
        before = self._last.get((account, venue))
        findings = standing(before, findings, statement.at_ns)
        findings = await self._mend(account, venue, findings)
        record = await self._keep(_told(record, statement, loose), statement, after)
        return Reconciliation(
            account=account,
            venue=venue,
            at_ns=self._line.now_ns(),
            agrees=not findings,
            orders_here=sum(is_there(order) for order in ours.orders.values()),
            orders_there=len(statement.orders),
            trades=len(statement.trades),
            trades_until_ns=record.since_ns,
            differences=tuple(finding.difference for finding in findings),
            healed=healed(before, findings),
            sums={
                p.symbol: {"position": f"{p.quantity:f}", "fills": f"{filled(after, p.symbol):f}"} for p in positions
            },
        )

    async def _mend(self, account: str, venue: str, findings: Iterable[Finding]) -> list[Finding]:
        """Do what mends the differences that are sure, so many in one round; people are told before anything is done.
        The findings, with what was told."""
        mended = 0
        seen: list[Finding] = []
        for finding in findings:
            difference, sure = finding.difference, finding.difference.rounds >= SURE
            if sure and (mended := mended + 1) <= MENDED_MAX:
                if is_news(difference):
                    await self._line.alert(alert_of(account, venue, difference, self._line.now_ns()))
                    difference = difference.altered(told=True)
                for step in finding.steps:
                    await self._take(step)
            seen.append(Finding(difference, finding.steps))
        return seen

    async def _take(self, step: Step) -> None:
        match step:
            case Adopt(order):
                await self._desk.adopt(order)
            case Tell(words):
                await self._line.tell(words)

    # Both sides.

    async def _statement(self, record: Reconciled) -> Statement:
        """The venue's word; where it comes in several answers, all of them together. Of trades only so much at once."""
        since_ns: int | None = record.since_ns
        until_ns: int | None = None
        after: str | None = ""
        parts: list[Statement] = []
        while since_ns is not None or after is not None:
            asked = StatementRequest(account=record.account, venue=record.venue, since_ns=since_ns, orders_after=after)
            parts.append(await self._line.ask(asked))
            after = parts[-1].orders_after
            if since_ns is not None:
                until_ns = parts[-1].trades_until_ns
                on = until_ns is not None and until_ns > since_ns and len(parts) < STATEMENTS
                since_ns = until_ns if on else None
        return together(parts, until_ns)

    async def _ours(self, record: Reconciled, statement: Statement, open_ids: Iterable[str], asked_ns: int) -> Ours:
        """What was open here before the statement was asked for, and whatever else it speaks of, as it is now."""
        orders_of = {fill_id_of(statement, trade): id_of(statement, trade) for trade in statement.trades}
        fills = {fill_id for fill_id, order_id in orders_of.items() if fill_id in self._desk.entered(order_id)}
        fills |= await self._store.entered(record.account, sorted(orders_of.keys() - fills))
        named = {id_of(statement, stated) for stated in statement.orders}
        named |= {order_id for fill_id, order_id in orders_of.items() if fill_id not in fills}
        unknown = sorted(order_id for order_id in named if self._desk.order(order_id) is None)
        orders = {order.order_id: order for order in await self._store.orders(record.account, unknown)}
        # From here on nothing is awaited: what moved on meanwhile is compared as it stands now.
        orders |= {one: order for one in (*open_ids, *named) if (order := self._desk.order(one)) is not None}
        return Ours(orders, fills, self._instruments.keys(), asked_ns, record.began_ns)

    def _held(
        self, record: Reconciled, tally: Tally, statement: Statement, accept: bool
    ) -> tuple[Reconciled, list[Finding]]:
        """The venue's holdings against ours; the first time, and when a person says so, they are taken for right."""
        if statement.holdings is None:
            return record, []
        ours = moved(tally, record.venue, self._instruments)
        now = beyond(statement.holdings, ours)
        baseline = now if accept else now | (record.baseline or {})
        return record.altered(baseline=baseline), check_holdings(baseline, statement.holdings, ours)

    # What is remembered.

    async def _recorded(self, account: str) -> dict[str, Reconciled]:
        known = self._records.get(account)
        if known is None:
            records = await self._store.records(account)
            known = self._records[account] = {venue: Reconciled.decode(words) for venue, words in records.items()}
        return known

    async def _record(self, account: str, venue: str) -> Reconciled:
        known = (await self._recorded(account)).get(venue)
        now_ns = self._line.now_ns()
        since_ns = max(0, now_ns - LOOK_BACK_NS)
        return known or Reconciled(account=account, venue=venue, began_ns=now_ns, since_ns=since_ns)

    async def _added_up(self, account: str) -> tuple[Tally, bool]:
        """The fills on record, added up, and whether it is all of them."""
        tally = self._tallies.get(account) or await self._store.tally(account, Tally) or Tally(account=account)
        for _ in range(0, FILLS_MAX, PAGE):
            fills = await self._store.fills_after(account, tally.cursor_us, PAGE)
            tally = self._tallies[account] = added(tally, fills)
            if len(fills) < PAGE:
                return tally, True
        return tally, False

    async def _keep(self, record: Reconciled, statement: Statement, tally: Tally) -> Reconciled:
        """Write down how far it has come; where nothing was traded, the older word is as good."""
        known = await self._recorded(record.account)
        last = known.get(record.venue)
        if last is None or statement.trades or last.baseline != record.baseline:
            await self._store.keep(record.account, record.venue, record, tally)
        known[record.venue] = record
        return record


def _told(record: Reconciled, statement: Statement, loose: Iterable[StatedTrade]) -> Reconciled:
    """Trades were told up to where the statement ends, less what may be listed late, and before what is not entered."""
    until_ns = statement.trades_until_ns
    reached_ns = statement.at_ns - OVERLAP_NS if until_ns is None else min(until_ns, statement.at_ns - OVERLAP_NS)
    since_ns = min([reached_ns, *(trade.fill.event_ns for trade in loose)])
    return record.altered(since_ns=max(record.since_ns, since_ns))
