"""What the oms remembers: orders with their events, fills, positions, balances."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol, overload

from shared.contract import keys, subjects
from shared.contract.accounts import Balance, Entry, Position
from shared.contract.errors import Unavailable
from shared.contract.judgement import Shape
from shared.contract.orders import CancelOrder, Command, Fill, Order, OrderEvent, ReplaceOrder, RouteOrder
from shared.contract.risk import Release, Reservation, Verdict
from shared.contract.subjects import Subject
from shared.domain.lifecycle import TERMINAL
from shared.kit import Journal, Kept, Transaction, Valkey

BEGAN_ANEW = "risk began anew while what it had approved was changed again"

PAGE = 1_000
"""So many orders are read at once."""


class Change(Protocol):
    """One order's change: the event that tells of it, what a venue is told, and what it leaves of the reservation."""

    @property
    def event(self) -> OrderEvent: ...
    @property
    def commands(self) -> Sequence[Command]: ...
    @property
    def verdict(self) -> Verdict | None: ...
    @property
    def entry(self) -> Entry | None: ...
    @property
    def reservation(self) -> Reservation | None: ...
    @property
    def released(self) -> bool: ...


class Recalled(Protocol):
    """What an account is recalled into."""

    def restore(
        self, balance: Balance | None, positions: Iterable[Position], reservations: Iterable[Reservation]
    ) -> None: ...

    def take(self, order: Order, fills: set[str]) -> None: ...


def subject_of(command: Command) -> Subject[Any]:
    """Where a venue hears it."""
    return {"new": subjects.ORDER_NEW, "cancel": subjects.ORDER_CANCEL, "replace": subjects.ORDER_REPLACE}[
        _word(command)
    ]


def _word(command: Command) -> str:
    match command:
        case RouteOrder():
            return "new"
        case CancelOrder():
            return "cancel"
        case ReplaceOrder():
            return "replace"


class OrderStore:
    """Orders by id and by account; every change of one is a single transaction with all it entails."""

    def __init__(self, valkey: Valkey, journal: Journal, owns: Callable[[str], bool] = lambda _: True) -> None:
        self._valkey = valkey
        self._journal = journal
        self._owns = owns
        self._dealt: set[tuple[str, str]] = set()

    async def keep(
        self, changes: Sequence[Change], epoch: str | None = None, built_on: Collection[str] = frozenset()
    ) -> bool:
        """Commit changes of one account's orders with all they entail, and what is to be said of them.

        False, and nothing was written: an order that begins exists already, or the life of risk whose approval they
        rest on is over. Without an `epoch` they rest on none. Unavailable: one of the lives is over that the changes
        rest on which they are `built_on`, so that what was decided is to be recalled.
        """
        if not changes:
            return True
        lives = {*built_on} if epoch is None else {epoch, *built_on}
        if len(lives) > 1:
            raise self._journal.doubt(BEGAN_ANEW)
        transaction = self._journal.transaction()
        for life in lives:
            transaction.expect(keys.epoch(changes[0].event.account), life or None)
        for change in changes:
            if change.event.order.version == 1:
                transaction.expect(keys.order(change.event.account, change.event.order.order_id), None)
            self._change(transaction, change)
        unheard_of = {(one.event.account, one.event.order.venue) for one in changes} - self._dealt
        for account, venue in unheard_of:
            transaction.set_add(keys.dealt(account), venue)
        kept = await self._journal.commit(transaction)
        if kept:
            self._dealt |= unheard_of
        elif lives - {epoch}:
            raise self._journal.doubt(BEGAN_ANEW)
        return kept

    async def flushed(self) -> None:
        """Return once all that was to be committed before is on disk: commits are written in their order."""
        await self._journal.commit(self._journal.transaction())

    def _change(self, transaction: Transaction, change: Change) -> None:
        event = change.event
        account, order_id = event.account, event.order.order_id
        self._note(transaction, event)
        if change.verdict is not None:
            transaction.put(keys.verdict(account, order_id), change.verdict)
        if event.fill is not None:
            self._book(transaction, event, event.fill)
        if change.entry is not None:
            transaction.push(keys.entries(account), change.entry)
        if change.released:
            transaction.hash_drop(keys.reservation(account), order_id)
        elif change.reservation is not None:
            transaction.hash_put(keys.reservation(account), order_id, change.reservation)
        for command in change.commands:
            # Named for the version, so that what is asked for again later is said again.
            word = _word(command)
            id = f"{order_id}-new" if word == "new" else f"{order_id}-{word}-{event.order.version}"
            transaction.say(subject_of(command), command, account=account, id=id)

    def _note(self, transaction: Transaction, event: OrderEvent) -> None:
        order = event.order
        account, order_id = order.account, order.order_id
        transaction.put(keys.order(account, order_id), order)
        kept = Kept(keys.events(account, order_id), str(order.version))
        transaction.hash_put(*kept, event)
        if order.version == 1:
            self._begin(transaction, event)
        elif order.status in TERMINAL:
            transaction.set_drop(keys.open_orders(account), order_id)
        transaction.say(subjects.ORDER_EVENT, event, account=account, id=f"{order_id}-{order.version}", kept=kept)

    def _begin(self, transaction: Transaction, event: OrderEvent) -> None:
        order = event.order
        account, order_id = order.account, order.order_id
        transaction.put(keys.client(account, order.client_order_id), order_id)
        transaction.sorted_add(keys.order_index(account), order_id, _score(order.created_ns))
        if order.status not in TERMINAL:
            transaction.set_add(keys.open_orders(account), order_id)
        if order.group is not None:
            transaction.set_add(keys.group(account, order.group), order_id)
        if event.balance is not None:
            transaction.set_add(keys.accounts(), account)
            transaction.put(keys.account(account), event.balance)

    def _book(self, transaction: Transaction, event: OrderEvent, fill: Fill) -> None:
        assert event.position is not None, "a fill moves a position"
        assert event.balance is not None, "a fill moves cash"
        account, position, share = fill.account, event.position, event.strategy_position
        kept = Kept(keys.fill(account, fill.fill_id))
        transaction.put(kept.key, fill)
        transaction.sorted_add(keys.fill_index(account), fill.fill_id, _score(fill.committed_ns))
        transaction.set_add(keys.order_fills(account, fill.order_id), fill.fill_id)
        transaction.put(keys.position(account, fill.symbol), position)
        if position.version == 1:
            transaction.set_add(keys.positions(account), fill.symbol)
        if share is not None and share.strategy is not None:
            transaction.put(keys.strategy_position(account, share.strategy, fill.symbol), share)
            if share.version == 1:
                transaction.set_add(keys.strategies(account), share.strategy)
                transaction.set_add(keys.strategy_positions(account, share.strategy), fill.symbol)
        transaction.put(keys.account(account), event.balance)
        transaction.say(subjects.FILL, fill, account=account, id=fill.fill_id, kept=kept)
        transaction.say(subjects.POSITION, position, account=account, id=f"{account}-{fill.symbol}-{position.version}")

    async def note_release(self, release: Release) -> None:
        """Keep who let an order through, for good."""
        transaction = self._journal.transaction()
        transaction.put(keys.released(release.account, release.order_id), release)
        await self._journal.commit(transaction)

    async def order(self, account: str, order_id: str) -> Order | None:
        return await self._valkey.get(keys.order(account, order_id), Order)

    async def orders(self, account: str, order_ids: Collection[str]) -> list[Order]:
        found = await self._valkey.get_many([keys.order(account, order_id) for order_id in order_ids], Order)
        return [order for order in found if order is not None]

    async def newest(self, account: str, count: int, before_ns: int | None) -> list[Order]:
        """Orders by time of creation, newest first."""
        ids = await self._valkey.newest(keys.order_index(account), count, before=_score(before_ns))
        return await self.orders(account, ids)

    async def open_orders(self, account: str) -> list[Order]:
        return await self._many(account, await self._valkey.members(keys.open_orders(account)))

    async def group(self, account: str, group: str) -> list[Order]:
        """All orders of a group, those that are over included."""
        return await self._many(account, await self._valkey.members(keys.group(account, group)))

    async def _many(self, account: str, order_ids: Collection[str]) -> list[Order]:
        ids = sorted(order_ids)
        return [order for at in range(0, len(ids), PAGE) for order in await self.orders(account, ids[at : at + PAGE])]

    async def standing(self, account: str) -> list[tuple[Order, set[str]]]:
        """Every open order, with the others of its group and the ids of all their fills."""
        orders = {order.order_id: order for order in await self.open_orders(account)}
        for group in sorted({order.group for order in orders.values() if order.group}):
            orders |= {order.order_id: order for order in await self.group(account, group)}
        return [(order, await self._fills_known(order)) for order in orders.values()]

    async def recall(self, book: Recalled) -> None:
        """Fill a book with every account of ours as it was committed, and the orders that may still change it."""
        for account in await self.own_accounts():
            positions = await self.positions(account) + await self.shares(account)
            book.restore(await self.balance(account), positions, await self.reservations(account))
            for order, fills in await self.standing(account):
                book.take(order, fills)

    async def together(self, account: str, order_id: str) -> list[tuple[Order, set[str]]]:
        """An order with the others of its group and the ids of all their fills; nothing when there is none."""
        order = await self.order(account, order_id)
        if order is None:
            return []
        orders = await self.group(account, order.group) if order.group else [order]
        return [(one, await self._fills_known(one)) for one in orders]

    async def _fills_known(self, order: Order) -> set[str]:
        return await self.fills_of(order.account, order.order_id) if order.filled_quantity else set()

    async def known(self, order: Order) -> bool:
        """Whether the order was committed."""
        return await self._valkey.raw(keys.order(order.account, order.order_id)) is not None

    async def beginning(self, order: Order) -> tuple[Order | None, Verdict | None]:
        """An order as it was first answered, with what risk said of it then."""
        events = await self.events(order.account, order.order_id)
        verdict = await self.verdict(order.account, order.order_id)
        return (events[0].order if events else None), verdict

    async def events(self, account: str, order_id: str) -> list[OrderEvent]:
        """Oldest first."""
        kept = await self._valkey.hash(keys.events(account, order_id))
        return [OrderEvent.decode(kept[version]) for version in sorted(kept, key=int)]

    async def verdict(self, account: str, order_id: str) -> Verdict | None:
        """What risk said of an order before it was first committed, with every rule that was looked at."""
        verdict = await self._valkey.get(keys.verdict(account, order_id), Verdict)
        if verdict is None or not verdict.shape:
            return verdict
        shape = await self._valkey.get(keys.shape(verdict.shape), Shape)
        if shape is None:
            missing = keys.shape(verdict.shape)
            raise Unavailable(f"what risk found of {order_id} cannot be told: {missing} is gone from the store")
        return shape.fill(verdict)

    async def fills_of(self, account: str, order_id: str) -> set[str]:
        return await self._valkey.members(keys.order_fills(account, order_id))

    async def fills(self, account: str, fill_ids: Collection[str]) -> list[Fill]:
        found = await self._valkey.get_many([keys.fill(account, fill_id) for fill_id in fill_ids], Fill)
        return [fill for fill in found if fill is not None]

    async def newest_fills(self, account: str, count: int, before_ns: int | None) -> list[Fill]:
        ids = await self._valkey.newest(keys.fill_index(account), count, before=_score(before_ns))
        return await self.fills(account, ids)

    async def accounts(self) -> list[str]:
        return sorted(await self._valkey.members(keys.accounts()))

    async def own_accounts(self) -> list[str]:
        """Those that belong to this copy of the oms."""
        return [account for account in await self.accounts() if self._owns(account)]

    async def balance(self, account: str) -> Balance | None:
        return await self._valkey.get(keys.account(account), Balance)

    async def positions(self, account: str) -> list[Position]:
        symbols = sorted(await self._valkey.members(keys.positions(account)))
        found = await self._valkey.get_many([keys.position(account, symbol) for symbol in symbols], Position)
        return [position for position in found if position is not None]

    async def shares(self, account: str) -> list[Position]:
        """Every strategy's own positions."""
        places: list[str] = []
        for strategy in sorted(await self._valkey.members(keys.strategies(account))):
            symbols = sorted(await self._valkey.members(keys.strategy_positions(account, strategy)))
            places += [keys.strategy_position(account, strategy, symbol) for symbol in symbols]
        found = await self._valkey.get_many(places, Position)
        return [position for position in found if position is not None]

    async def reservations(self, account: str) -> list[Reservation]:
        """What is set aside for the account's open orders."""
        held = await self._valkey.hash(keys.reservation(account))
        return [Reservation.decode(words) for words in held.values()]


@overload
def _score(at_ns: int) -> int: ...
@overload
def _score(at_ns: int | None) -> int | None: ...
def _score(at_ns: int | None) -> int | None:
    """Microseconds: scores are doubles, which hold these exactly until the year 2255, but no nanoseconds."""
    return None if at_ns is None else at_ns // 1000
