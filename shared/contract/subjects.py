"""Every NATS subject and its one message, and the streams that keep them.

A subject's blanks are filled from the message itself, so a message cannot be sent to the wrong address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

from shared.contract.accounts import Position
from shared.contract.base import Message, assembled
from shared.contract.documents import Document
from shared.contract.market import Amendment, Bar, Feed, Frame, Quote, Tick, TickWords
from shared.contract.ops import Alert, Parked
from shared.contract.orders import CancelOrder, Fill, OrderEvent, ReplaceOrder, Report, RouteOrder
from shared.contract.records import OrderRecord
from shared.contract.risk import Kill, Release, RiskAlert, RiskCheck, Verdict
from shared.contract.venue import Statement, StatementRequest

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Stream:
    """A JetStream stream: what it keeps, how much, for how long, and what gives way when it is full.

    `discard` is "old" (the oldest message goes) or "new" (the publisher is refused and must wait).
    """

    name: str
    subjects: tuple[str, ...]
    bytes_max: int
    age_max_s: int
    discard: str


GIB = 1 << 30
DAY_S = 86_400

TICKS = Stream("TICKS", ("ticks.>", "frames.>", "amends.>", "quotes.>"), 4 * GIB, 6 * 3600, "old")
BARS = Stream("BARS", ("ohlcv.>",), 1 * GIB, 7 * DAY_S, "old")
ORDERS = Stream("ORDERS", ("orders.>", "fills.>", "positions.>"), 4 * GIB, 7 * DAY_S, "new")
ALT = Stream("ALT", ("alt.>",), 2 * GIB, 7 * DAY_S, "old")
OPS = Stream(
    "OPS", ("risk.alert", "risk.kill", "risk.release", "alerts.>", "audit.>", "ops.>"), 256 << 20, 30 * DAY_S, "old"
)

STREAMS = (TICKS, BARS, ORDERS, ALT, OPS)


@dataclass(frozen=True)
class Subject(Generic[M]):
    """Where one kind of message is said. `stream` keeps it; without one it is heard live or not at all."""

    pattern: str
    message: type[M]
    stream: Stream | None = None

    def __post_init__(self) -> None:
        assert set(self.blanks) <= set(self.message.model_fields), f"{self.pattern}: a blank without a field"

    @cached_property
    def blanks(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.pattern))

    @property
    def wildcard(self) -> str:
        """What hearers subscribe to."""
        return re.sub(r"{\w+}", "*", self.pattern)

    def address(self, message: M) -> str:
        """The subject on which this very message is said."""
        return self.pattern.format_map({blank: getattr(message, blank) for blank in self.blanks})

    def decode(self, payload: bytes, address: str) -> M:
        """The message that came in on `address`; `ValueError` when it is not one, or not of that address."""
        if self.message is Frame or self.message is TickWords:
            words = {**_named(self.blanks, address), "payload": payload}
            return assembled(self.message, words, set(words))
        message = self.message.decode(payload)
        if self.blanks and self.address(message) != address:
            raise ValueError(f"the message belongs on {self.address(message)}, not on {address}")
        return message


@lru_cache(1 << 14)
def _named(blanks: tuple[str, ...], address: str) -> dict[str, Any]:
    """What the words of an address say. Many ticks come to the same few."""
    return dict(zip(blanks, address.split(".")[1:], strict=True))


@dataclass(frozen=True)
class Question(Generic[M]):
    """A subject that is answered: request and reply."""

    pattern: str
    message: type[M]
    answer: type[Message]


TICK = Subject("ticks.{venue}.{symbol}", Tick, TICKS)
TICK_WORDS = Subject(TICK.pattern, TickWords, TICKS)
"""The same, for who reads many of them at once."""
AMENDMENT = Subject("amends.{venue}.{symbol}", Amendment, TICKS)
FRAME = Subject("frames.{venue}", Frame, TICKS)
QUOTE = Subject("quotes.{venue}.{symbol}", Quote, TICKS)
FEED = Subject("feed.{venue}.{symbol}", Feed)
BAR = Subject("ohlcv.{interval}.{symbol}", Bar, BARS)

DOCUMENT = Subject("alt.norm.{category}", Document, ALT)

ORDER_NEW = Subject("orders.{account}.new", RouteOrder, ORDERS)
ORDER_CANCEL = Subject("orders.{account}.cancel", CancelOrder, ORDERS)
ORDER_REPLACE = Subject("orders.{account}.replace", ReplaceOrder, ORDERS)
ORDER_REPORT = Subject("orders.{account}.report", Report, ORDERS)
ORDER_EVENT = Subject("orders.{account}.event", OrderEvent, ORDERS)
ORDER_RECORD = Subject(ORDER_EVENT.pattern, OrderRecord, ORDERS)
"""The same, for who only keeps it."""
FILL = Subject("fills.{account}", Fill, ORDERS)
POSITION = Subject("positions.{account}", Position, ORDERS)

RISK_ALERT = Subject("risk.alert", RiskAlert, OPS)
RISK_KILL = Subject("risk.kill", Kill, OPS)
RISK_RELEASE = Subject("risk.release", Release, OPS)
PARKED = Subject("ops.parked.{service}", Parked, OPS)
ALERT = Subject("alerts.{service}", Alert, OPS)

HEARD_OUTSIDE = (RISK_ALERT, ALERT, PARKED, FILL, POSITION)
"""Said for people and for services outside this roster."""


RISK_CHECK = Question("risk.check", RiskCheck, Verdict)
VENUE_STATEMENT = Question("venue.statement", StatementRequest, Statement)
