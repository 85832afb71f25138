"""The desk's decisions: what each word from a client, a venue, the market or the clock changes in the book.

Decided changes stand in the book at once and are to be committed in the order in which they were decided: nothing may
be awaited between the two. Changes that come as one list are one commit. Where many orders change, they come in batches
of one account, each decided only when it is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice

from services.oms.core import order as core
from services.oms.core.book import Book, Change
from services.oms.core.due import owes
from services.oms.core.groups import AT_WORK, Group
from shared.contract.orders import Command, Order, OrderStatus, Report
from shared.contract.risk import Kill, Reservation, Verdict
from shared.domain.lifecycle import OPEN

BATCH = 50
"""Orders in one commit, where many change for one reason."""

FOLLOWED_MAX = 1_000
"""Trailing stops written down in one pass; where they stand in memory is always exact."""

REMINDED_MAX = 500
"""Orders a venue is reminded of in one pass."""


KILL_REACH_NS = 1_000_000_000
"""A kill ends orders that were on their way in when it was set; what began later, it was lifted for."""


class Desk:
    """Decides; knows no wire, no store and no clock."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.untended: dict[str, None] = {}
        """Groups with an exit that is to go live or to grow, which takes risk's leave; in the order of their turns."""

    def renew(self, book: Book) -> None:
        """Go on from a book as it was committed."""
        self.book = book
        self.untended = dict.fromkeys(book.groups)

    def recall(self, report: Report, stored: Sequence[tuple[Order, set[str]]]) -> None:
        """Take up an order that was let go, with its group; a bug when it was never here."""
        for order, fills in stored:
            if order.order_id not in self.book.orders:
                self.book.take(order, fills)
        if report.order_id not in self.book.orders:
            raise LookupError(f"the venue speaks of order {report.order_id}, which was never committed here")

    def price_of(self, symbol: str) -> Decimal | None:
        """Where the market was last."""
        return self.book.stops.price_of(symbol)

    def stats(self) -> dict[str, int]:
        """How much is in hand."""
        book = self.book
        standing = Counter(order.status for order in book.open_orders())
        return {
            "orders_open": standing.total(),
            "orders_unknown": standing[OrderStatus.PENDING_UNKNOWN],
            "orders_owed_a_word": len(book.owed),
            "stops_held": len(book.stops),
            "groups_untended": len(self.untended),
        }

    # New orders.

    def begun(self, drafts: list[Order], verdicts: list[Verdict | None], at_ns: int) -> list[Change]:
        """Orders of one request as they begin; none stands in the book yet. If one is denied, none is let through."""
        denied = next((v for v in verdicts if v is not None and not v.approved and not v.pending), None)
        changes: list[Change] = []
        for draft, verdict in zip(drafts, verdicts, strict=True):
            status, reason = core.outcome(verdict) if verdict else (draft.status, "")
            if denied is not None and status is not OrderStatus.DENIED:
                status, reason = OrderStatus.DENIED, f"its group was denied: {denied.code}"
            order = draft.altered(status=status, reason=reason, updated_ns=max(at_ns, draft.created_ns))
            live = status is OrderStatus.ACCEPTED and not order.held
            changes.append(self.book.opening(order, (core.route(order),) if live else (), verdict))
        return changes

    # The venue.

    def report(self, report: Report, now_ns: int) -> list[Change]:
        """What the venue says of an order becomes the order's state, and its fill the account's."""
        order = self.book.orders[report.order_id]
        fills = self.book.fills.setdefault(order.order_id, set())
        after, fill = core.apply(order, report, fills, at_ns=self.book.next_ns(now_ns))
        if after is order:
            return []
        changes = [self.book.note(after, fill=fill, report=report)]
        if after.leaving and after.status in AT_WORK:
            # Out of doubt, and still to end.
            changes.append(self._ended(after, after.leaving, now_ns))
        return self._with_group(changes, after.group, now_ns)

    def silent(self, now_ns: int, age_s: float) -> list[str]:
        """The orders a venue has owed a word of for so long; it is to be reminded of them now."""
        return list(islice(self.book.owed.longest(now_ns, age_s), REMINDED_MAX))

    def doubt(self, silent: list[str], now_ns: int, unknown_after_s: float) -> Iterator[list[Change]]:
        """After a while the fate of such orders is unknown."""

        def doubt(order: Order) -> list[Change]:
            if now_ns - order.updated_ns <= unknown_after_s * 1e9:
                return []
            doubted = core.doubt(order, at_ns=self.book.next_ns(now_ns))
            return [] if doubted is order else [self.book.note(doubted)]

        return self._batches(silent, doubt)

    def reminders(self, silent: list[str]) -> list[Command]:
        """What the venue is told again."""
        orders = (self.book.orders.get(order_id) for order_id in silent)
        return [word for order in orders if order is not None and owes(order) for word in core.owed_words(order)]

    # The end of orders.

    def cancel(self, order: Order, now_ns: int, why: str = core.ON_REQUEST) -> list[Change]:
        """The order's cancel, and what follows from it; nothing when it was asked for already."""
        asked = core.ask_to_cancel(order, at_ns=self.book.next_ns(now_ns), why=why)
        return [] if asked is order else self._with_group([self._noted(asked)], order.group, now_ns)

    def cancel_all(self, wanted: Callable[[Order], bool], now_ns: int, why: str) -> Iterator[list[Change]]:
        """Ask for the end of every open order that is wanted."""
        open_orders = (order for order in self.book.open_orders() if not order.leaving and not order.external)
        some = [order.order_id for order in open_orders if wanted(order)]
        return self._batches(some, lambda order: self.cancel(order, now_ns, why))

    def kill(self, kill: Kill, now_ns: int) -> Iterator[list[Change]]:
        """End what waits here in the scope of a kill; what a venue works is ended where it was sent from."""

        def wanted(order: Order) -> bool:
            later = kill.at_ns and order.created_ns > kill.at_ns + KILL_REACH_NS
            return core.untold(order) and in_scope(order, kill.scope) and not later

        return self.cancel_all(wanted, now_ns, f"kill {kill.scope}: {kill.reason}")

    def expire(self, now_ns: int) -> Iterator[list[Change]]:
        """End the orders whose time is over."""

        def end(order: Order) -> list[Change]:
            due_ns = self.book.deadlines.of(order)
            if due_ns is None or due_ns > now_ns:
                return []
            ended = core.out_of_time(order, at_ns=self.book.next_ns(now_ns))
            return self._with_group([self._noted(ended)], order.group, now_ns)

        return self._batches(self.book.deadlines.passed(now_ns), end)

    # The market.

    def seen(self, symbol: str, bid: Decimal | None, ask: Decimal | None, now_ns: int) -> Iterator[list[Change]]:
        """The stops that the market reaches go out."""
        return self.trigger(self.book.stops.seen(symbol, bid, ask), now_ns)

    def trigger(self, reached: list[tuple[str, Decimal]], now_ns: int) -> Iterator[list[Change]]:
        """Stops that were reached go out, each at its level."""
        if not reached:
            return iter(())
        levels = dict(reached)

        def out(order: Order) -> list[Change]:
            if order.status is not OrderStatus.ACCEPTED or not order.held:
                return []
            level, at_ns = levels[order.order_id], self.book.next_ns(now_ns)
            if order.group is not None and Group(self.book.members(order.group)).waits(order):
                change = self.book.note(core.queue(order, level, at_ns=at_ns))
            else:
                change = self._routed(core.triggered(order, level, self._reducible(order), at_ns=at_ns))
            return self._with_group([change], order.group, now_ns)

        return self._batches(levels, out)

    def follow_market(self, now_ns: int) -> Iterator[list[Change]]:
        """Write down where the market has carried trailing stops."""
        levels = {order_id: level for order_id, level in self.book.stops.moved(FOLLOWED_MAX) if level > 0}

        def follow(order: Order) -> list[Change]:
            level = levels[order.order_id]
            if order.status is not OrderStatus.ACCEPTED or not order.held or level == order.stop_price:
                return []
            return [self.book.note(core.followed(order, level, at_ns=self.book.next_ns(now_ns)))]

        return self._batches(levels, follow)

    # What risk has let through.

    def agreed(self, order: Order, wanted: Order, verdict: Verdict | None, now_ns: int) -> Change:
        """Let an order that waited go live as `wanted`, or give a live one those terms. Without a verdict, because it
        only shrinks or waits on, nothing more is set aside."""
        at_ns = self.book.next_ns(now_ns)
        reservation = verdict.reservation if verdict else None
        if verdict is None or order.status not in core.WAITING:
            return self._noted(core.with_terms(order, wanted, at_ns=at_ns), reservation)
        terms = {"quantity": wanted.quantity, "stop_price": self._stop_price(wanted), "reason": ""}
        live = core.moved(order, OrderStatus.ACCEPTED, at_ns=at_ns, **terms)
        return self.book.note(live, () if live.held else (core.route(live),), reservation=reservation)

    def refused(self, order: Order, verdict: Verdict, now_ns: int) -> list[Change]:
        """A second person's release did not help, so it is over."""
        status, reason = core.outcome(verdict)
        denied = core.moved(order, status, at_ns=self.book.next_ns(now_ns), reason=reason)
        return self._with_group([self.book.note(denied)], order.group, now_ns)

    def excused(self, order: Order, reason: str, now_ns: int) -> list[Change]:
        """An exit waits on, and says why."""
        return [self.book.note(core.moved(order, order.status, at_ns=self.book.next_ns(now_ns), reason=reason))]

    def grown(self, order: Order) -> Order | None:
        """An exit as large as it is to be by now; None when it need not change."""
        for peer, whole in Group(self.book.members(order.group or "")).growing():
            if peer.order_id == order.order_id:
                return order.altered(quantity=whole)
        return None

    def crowded(self, order: Order) -> bool:
        """Whether an order must not go live, because a venue may still fill its sibling."""
        group = Group(self.book.members(order.group)) if order.group else None
        return group is not None and group.netted and not order.held and group.occupied(order)

    def placed(self, draft: Order) -> Order:
        """The draft, with where a trailing stop begins."""
        stop_price = self._stop_price(draft)
        return draft if stop_price == draft.stop_price else draft.altered(stop_price=stop_price)

    # Together.

    def _with_group(self, changes: list[Change], group: str | None, now_ns: int) -> list[Change]:
        """The changes, and what follows from them for the others of the group."""
        while group is not None:
            together = Group(self.book.members(group))
            if ending := together.ending():
                changes += [self._ended(order, why, now_ns) for order, why in ending]
            elif shrinking := together.shrinking():
                changes += [
                    self.agreed(order, order.altered(quantity=whole), None, now_ns) for order, whole in shrinking
                ]
            elif (stop := together.going_out()) is not None:
                at_ns = self.book.next_ns(now_ns)
                changes.append(self._routed(core.out(stop, self._reducible(stop), at_ns=at_ns)))
            else:
                if together.growing():
                    self.untended[group] = None
                break
        return changes

    def _ended(self, order: Order, why: str, now_ns: int) -> Change:
        return self._noted(core.ask_to_cancel(order, at_ns=self.book.next_ns(now_ns), why=why))

    def _routed(self, stop: Order) -> Change:
        """Enter a stop that goes out, unless it was denied that."""
        return self.book.note(stop, () if stop.status is OrderStatus.DENIED else (core.route(stop),))

    def _reducible(self, order: Order) -> Decimal:
        """How much of the account's position the order could close."""
        return -self.book.holdings.quantity(order.account, order.symbol) * order.side.sign

    def _noted(self, order: Order, reservation: Reservation | None = None) -> Change:
        """Enter a change, with what the venue is to be told of it."""
        before = self.book.orders.get(order.order_id, order)
        commands: tuple[Command, ...] = ()
        if order.status in OPEN and not core.untold(order):
            if (order.leaving and not before.leaving) or order.status is not before.status:
                commands = (core.cancel_of(order),)
            elif order.replacing is not None and order.replacing is not before.replacing:
                commands = (core.replace_of(order),)
        return self.book.note(order, commands, reservation=reservation)

    def _stop_price(self, order: Order) -> Decimal | None:
        if not order.held or order.trail is None:
            return order.stop_price
        level = self.book.stops.begins_at(order)
        return level if level is not None and level > 0 else None

    def _batches(self, order_ids: Iterable[str], decide: Callable[[Order], list[Change]]) -> Iterator[list[Change]]:
        """Decide on each order that is still open, and yield the changes by account."""
        accounts: dict[str, list[str]] = {}
        for order_id in order_ids:
            if (order := self.book.orders.get(order_id)) is not None:
                accounts.setdefault(order.account, []).append(order_id)
        for some in accounts.values():
            left = iter(some)
            while batch := list(islice(left, BATCH)):
                open_now = (self.book.orders.get(order_id) for order_id in batch)
                changes = [c for order in open_now if order and order.status in OPEN for c in decide(order)]
                if changes:
                    yield changes


def in_scope(order: Order, scope: str) -> bool:
    """Whether a kill's scope reaches the order."""
    kind, _, name = scope.partition(".")
    return kind == "firm" or getattr(order, kind) == name


def belongs(account: str | None, strategy: str | None, symbol: str | None) -> Callable[[Order], bool]:
    """Whether an order belongs to all of these that are given."""
    given = {"account": account, "strategy": strategy, "symbol": symbol}
    wanted = {field: value for field, value in given.items() if value is not None}
    return lambda order: all(getattr(order, field) == value for field, value in wanted.items())
