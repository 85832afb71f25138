"""Intake: what a client sends, drawn up as orders that nobody has judged yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.oms.core.desk import Desk
from services.oms.core.intent import TERMS, check_trail, named, on_tick
from shared.contract.groups import SubmitBracket, SubmitPair
from shared.contract.market import Instrument
from shared.contract.orders import Order, OrderStatus, OrderType, Role, Side, SubmitOrder, TimeInForce
from shared.contract.sessions import Sessions
from shared.contract.venue import known_venue
from shared.domain.identity import order_id

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Intake:
    """Draws up orders of status NEW. `listed` refuses a symbol that may not be traded."""

    desk: Desk
    listed: Callable[[str], Instrument]
    sessions: Callable[[str], Sessions]
    now_ns: Callable[[], int]
    new_id: Callable[[], str]

    def single(self, command: SubmitOrder, key: str | None) -> list[Order]:
        """One order, under the client's own id or the key."""
        self._bookable(command)
        return [self._draft(named(command, key, new_id=self.new_id))]

    def bracket(self, bracket: SubmitBracket, key: str | None) -> list[Order]:
        """The entry, then its exits, which close what it fills."""
        instrument = self._bookable(bracket.entry)
        entry = named(bracket.entry, key, new_id=self.new_id)
        group, profit, loss = _group_of(entry), bracket.take_profit, bracket.stop_loss
        drafts = [self._draft(entry, group=group, role=Role.ENTRY)]
        exits: list[tuple[str, dict[str, Any]]] = []
        if profit is not None:
            exits.append(("take-profit", {"order_type": OrderType.LIMIT, "price": profit.price}))
        if loss is not None:
            kind = OrderType.STOP_LIMIT if loss.price else OrderType.TRAILING_STOP if loss.trail else OrderType.STOP
            exits.append(("stop-loss", {"order_type": kind, **loss.model_dump()}))
        for name, terms in exits:
            # Risk judges an exit when there is something to exit from, which is late for what can be seen now.
            for field in ("price", "stop_price"):
                on_tick(instrument, terms.get(field), name.replace("-", "_"))
            drafts.append(self._draft(_exit(entry, name, terms), group=group, role=Role.EXIT))
        return drafts

    def pair(self, pair: SubmitPair, key: str | None) -> list[Order]:
        """Two legs."""
        self._bookable(pair.legs[0])
        one = named(pair.legs[0], key, new_id=self.new_id)
        other = pair.legs[1].altered(client_order_id=f"{one.client_order_id}.other")
        words = {"group": _group_of(one), "role": Role.LEG, "pair_quantity": one.quantity}
        return [self._draft(one, **words), self._draft(other, **words)]

    def _bookable(self, command: SubmitOrder) -> Instrument:
        instrument = self.listed(command.symbol)
        known_venue(command.venue)
        self.desk.book.holdings.check_currency(command.account, command.symbol)
        return instrument

    def _draft(self, command: SubmitOrder, **words: Any) -> Order:
        assert command.client_order_id is not None, "it is named by now"
        if command.trail is not None:
            check_trail(command.trail)
        at_ns = self.desk.book.next_ns(self.now_ns())
        return Order.made(
            order_id=order_id(command.account, command.client_order_id),
            account=command.account,
            client_order_id=command.client_order_id,
            expire_ns=self._expire_ns(command, at_ns),
            status=OrderStatus.NEW,
            created_ns=at_ns,
            updated_ns=at_ns,
            **{field: getattr(command, field) for field in TERMS},
            **words,
        )

    def _expire_ns(self, command: SubmitOrder, at_ns: int) -> int | None:
        if command.expire_at is not None:
            return (command.expire_at - EPOCH) // timedelta(microseconds=1) * 1000
        if command.time_in_force is TimeInForce.DAY:
            return self.sessions(command.symbol).session_end(at_ns)
        return None


def _group_of(command: SubmitOrder) -> str:
    assert command.client_order_id is not None, "it is named by now"
    return order_id(command.account, command.client_order_id)


def _exit(entry: SubmitOrder, name: str, terms: dict[str, Any]) -> SubmitOrder:
    """It goes the other way, rests until cancelled, and only reduces. No client can give its id."""
    command = SubmitOrder(
        account=entry.account,
        symbol=entry.symbol,
        side=Side.SELL if entry.side is Side.BUY else Side.BUY,
        quantity=entry.quantity,
        reduce_only=True,
        venue=entry.venue,
        strategy=entry.strategy,
        metadata=entry.metadata,
        **terms,
    )
    return command.altered(client_order_id=f"{entry.client_order_id}.{name}")
