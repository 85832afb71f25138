"""What a venue's feed says, read and put into our words, before it becomes frames, quotes and books.

Plain values that stay inside one process, so they are dataclasses and, but for a subscription, not messages. Symbols
are ours (`BTCUSDT`). Prices and quantities that a book is made of stay as the venue wrote them, so that nothing is
rounded and a checksum over their digits can be worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from shared.contract.base import Message, Name, Nanos, Symbol, Venue, Word


class Channel(Word):
    """What can be subscribed to for a symbol."""

    TRADES = "TRADES"
    QUOTES = "QUOTES"
    BOOK = "BOOK"


Level = tuple[str, str]
"""Price and quantity as the venue wrote them. In a change, a quantity of zero takes the price out of the book."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One channel of one symbol: what is subscribed to, and confirmed or refused."""

    channel: Channel
    symbol: str


class Subscription(Message):
    """What is followed of a symbol at a venue. `created_ns` is 0 where the settings ask for it."""

    id: Name
    venue: Venue
    symbol: Symbol
    channels: tuple[Channel, ...]
    created_ns: Nanos


@dataclass(frozen=True, slots=True)
class Checksum:
    """How a venue proves its books: a sum over the digits of the best `levels` of either side, the best first."""

    levels: int
    of: Callable[[Sequence[Level], Sequence[Level]], int]


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a venue's listing. `word` is what the venue calls the symbol."""

    symbol: str
    word: str
    price_tick: Decimal
    lot: Decimal
    trading: bool = True


@dataclass(slots=True)
class Trade:
    """`number` counts this symbol's trades one by one where the venue does so, else it is 0. `place`: see `Batch`."""

    place: int
    symbol: str
    event_ns: int
    receive_ns: int
    price: float
    quantity: float
    side: int
    trade_id: str
    number: int = 0


@dataclass(slots=True)
class Top:
    """Best bid and ask. An absent side is two empty strings; an unknown quantity is an empty one."""

    place: int
    symbol: str
    event_ns: int
    receive_ns: int
    bid: str
    bid_quantity: str
    ask: str
    ask_quantity: str
    sequence: int = 0


@dataclass(slots=True)
class BookChange:
    """New quantities at some prices, taking the book from the state numbered `previous` to the one numbered `last`.

    Both are None where the venue does not number the states of its books. `checksum` is that of the book afterwards.
    """

    place: int
    symbol: str
    event_ns: int
    receive_ns: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    previous: int | None = None
    last: int | None = None
    checksum: int | None = None


@dataclass(slots=True)
class BookWhole:
    """A whole book in the state numbered `last`: a snapshot, asked for or sent by itself after subscribing."""

    place: int
    symbol: str
    event_ns: int
    receive_ns: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    last: int | None = None
    checksum: int | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The venue will not have this subscription. `topic` is None where it does not say which."""

    topic: Topic | None
    why: str


@dataclass(frozen=True, slots=True)
class Reached:
    """The venue says (in a heartbeat) that the newest trade of a symbol has this number."""

    symbol: str
    number: int


@dataclass(slots=True)
class Batch:
    """What some raw messages said, in their order within each list; `place` is a message's index among them.

    Messages that say nothing of interest count as `other`, unreadable ones as `garbage`, the last with a `reason`.
    """

    trades: list[Trade] = field(default_factory=list[Trade])
    tops: list[Top] = field(default_factory=list[Top])
    books: list[BookChange | BookWhole] = field(default_factory=list[BookChange | BookWhole])
    notes: list[Denied | Reached] = field(default_factory=list[Denied | Reached])
    other: int = 0
    garbage: int = 0
    reason: str = ""
