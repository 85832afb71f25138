"""A difference between our books and a venue's statement: what it is, how it is named, and the steps that mend it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from services.oms.core.order import untold
from shared.contract.base import Message, Nanos, Word
from shared.contract.orders import CancelOrder, Order, Report, RouteOrder
from shared.contract.venue import StatedOrder, StatedTrade, Statement
from shared.domain import identity
from shared.domain.lifecycle import TERMINAL


class Kind(Word):
    """What differs."""

    MISSING = "MISSING"
    REVIVED = "REVIVED"
    EXTERNAL = "EXTERNAL"
    ENDED = "ENDED"
    FILL = "FILL"
    FILLED = "FILLED"
    TERMS = "TERMS"
    HOLDINGS = "HOLDINGS"
    POSITION = "POSITION"


class Difference(Message):
    """One difference, for people. `about` is an order, a fill, a symbol or an asset; `mark` tells this difference from
    an earlier one about the same. `rounds` are the statements on end that showed it, the first at `since_ns`; `told`:
    there was an alert.
    """

    kind: Kind
    about: str
    mark: str = ""
    ours: str
    theirs: str
    since_ns: Nanos = 0
    rounds: int = 1
    told: bool = False
    mending: str = ""


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take an order into the books as it stands there."""

    order: Order


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the venue, or with a report ourselves."""

    words: RouteOrder | CancelOrder | Report


Step = Adopt | Tell


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference, and the steps that mend it; none: people must."""

    difference: Difference
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Ours:
    """Our side of a statement, read after it was made: the orders open at the venue and all others that it names,
    those of its fills that are entered, and what is listed. It was asked for at `asked_ns`. Fills of other hands from
    before `began_ns` are history.
    """

    orders: Mapping[str, Order]
    fills: Collection[str]
    symbols: Collection[str]
    asked_ns: int
    began_ns: int


# Names.


def external_name(venue: str, symbol: str, venue_order_id: str) -> str:
    """What stands for the client's own id. Venues number their orders by symbol."""
    return f"venue:{venue}:{symbol}:{venue_order_id}"


def id_of(statement: Statement, stated: StatedOrder | StatedTrade) -> str:
    """Our id of the order behind a line of a statement, whoever sent it."""
    if stated.order_id is not None:
        return stated.order_id
    return identity.order_id(statement.account, external_name(statement.venue, stated.symbol, stated.venue_order_id))


def fill_id_of(statement: Statement, trade: StatedTrade) -> str:
    """The id under which the trade is entered, or will be."""
    return f"{trade.venue or statement.venue}:{trade.fill.execution_id}"


def unentered(ours: Ours, statement: Statement) -> dict[str, list[StatedTrade]]:
    """The statement's trades that are not entered here, by order."""
    found: dict[str, list[StatedTrade]] = {}
    for trade in statement.trades:
        history = trade.order_id is None and trade.fill.event_ns < ours.began_ns
        if not history and fill_id_of(statement, trade) not in ours.fills:
            found.setdefault(id_of(statement, trade), []).append(trade)
    return found


def is_there(order: Order) -> bool:
    """Whether by our books the venue has it open."""
    return order.status not in TERMINAL and not untold(order)


def together(parts: Sequence[Statement], until_ns: int | None) -> Statement:
    """A statement that came in parts; they overlap in their trades. Holdings and time are the first one's."""
    if len(parts) == 1:
        return parts[0]
    orders = tuple(stated for part in parts for stated in part.orders)
    trades = tuple(dict.fromkeys(trade for part in parts for trade in part.trades))
    return parts[0].altered(orders=orders, trades=trades, trades_until_ns=until_ns)
