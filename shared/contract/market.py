"""Ticks, quotes, bars, and how far a feed can be trusted."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Any, Self

from pydantic import AliasChoices, BeforeValidator, Field, computed_field, field_serializer, model_validator

from shared.contract.base import Amount, Int64, Message, Nanos, Price, Quantity, Symbol, Venue, Word, rfc3339


class Aggressor(IntEnum):
    """Which side took liquidity."""

    SELLER = -1
    UNKNOWN = 0
    BUYER = 1


def _aggressor(value: Any) -> Any:
    if isinstance(value, str):
        named = {"buy": 1, "buyer": 1, "b": 1, "sell": -1, "seller": -1, "s": -1, "": 0, "unknown": 0}
        return named.get(value.strip().lower(), value)
    return value


def _milliseconds(at_ms: Any) -> int:
    try:
        return int(at_ms)
    except (TypeError, OverflowError):
        raise ValueError("timestamp: must be a number of milliseconds") from None


class Tick(Message):
    """One trade at a venue. `timestamp` (ms) stands in for `event_ns`; a missing receive time is the event's."""

    venue: Venue = Field(validation_alias=AliasChoices("venue", "exchange"))
    symbol: Symbol
    event_ns: Nanos
    receive_ns: Nanos
    price: Price = Field(validation_alias=AliasChoices("price", "last"))
    quantity: Quantity = Field(validation_alias=AliasChoices("quantity", "qty", "size"))
    side: Annotated[Aggressor, BeforeValidator(_aggressor)] = Aggressor.UNKNOWN
    trade_id: str = Field(default="", max_length=64)
    sequence: Int64 = 0

    @model_validator(mode="before")
    @classmethod
    def _times(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        words: dict[str, Any] = dict(given)  # pyright: ignore[reportUnknownArgumentType]
        if (at_ms := words.pop("timestamp", None)) is not None and "event_ns" not in words:
            words["event_ns"] = _milliseconds(at_ms) * 1_000_000
        words.setdefault("receive_ns", words.get("event_ns"))
        return words


class TickWords(Message):
    """A tick as it came, for who reads many of them at once."""

    venue: Venue
    symbol: Symbol
    payload: bytes

    def encode(self) -> bytes:
        return self.payload


class Change(Word):
    """What became of a trade: it was otherwise than first said, or it is void."""

    CORRECT = "CORRECT"
    CANCEL = "CANCEL"


class Amendment(Message):
    """A venue's word on a trade it has reported: `trade_id` and `event_ns` are those of the trade's own tick.

    A correction says the whole trade anew; of a cancelled one price and quantity are nothing.
    """

    venue: Venue
    symbol: Symbol
    trade_id: str = Field(min_length=1, max_length=64)
    event_ns: Nanos
    receive_ns: Nanos
    change: Change
    price: Price | None = None
    quantity: Quantity | None = None
    side: Annotated[Aggressor, BeforeValidator(_aggressor)] = Aggressor.UNKNOWN
    sequence: Int64 = 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        stated = (self.price is not None, self.quantity is not None)
        if stated != (self.change is Change.CORRECT,) * 2:
            raise ValueError("a correction states price and quantity, a cancel neither")
        return self


class Frame(Message):
    """Many ticks of one venue as an Arrow IPC stream of one record batch; see `shared.kit.frames` for its columns."""

    venue: Venue
    payload: bytes

    def encode(self) -> bytes:
        return self.payload


class Quote(Message):
    """Best bid and ask. A side that is absent is None; a crossed quote is stated, never repaired."""

    venue: Venue
    symbol: Symbol
    event_ns: Nanos
    receive_ns: Nanos
    bid: Price | None
    bid_quantity: Quantity | None
    ask: Price | None
    ask_quantity: Quantity | None
    sequence: Int64 = 0

    @property
    def crossed(self) -> bool:
        return self.bid is not None and self.ask is not None and self.bid >= self.ask


class FeedStatus(Word):
    """How far a symbol's data can be trusted; only LIVE may carry new risk."""

    LIVE = "LIVE"
    STALE = "STALE"
    GAP = "GAP"
    RESYNC = "RESYNC"
    CROSSED = "CROSSED"
    DOWN = "DOWN"


class Feed(Message):
    """The integrity of one symbol's data, since when and why."""

    venue: Venue
    symbol: Symbol
    status: FeedStatus
    since_ns: Nanos
    why: str = ""


class Interval(Word):
    """Lengths of bars in time, counted from midnight UTC or from a session's open; see docs/bars.md."""

    s1 = "1s"
    m1 = "1m"
    m5 = "5m"
    m15 = "15m"
    m30 = "30m"
    h1 = "1h"
    h4 = "4h"
    d1 = "1d"

    @property
    def length_ns(self) -> int:
        return _SECONDS[self.value] * 1_000_000_000


_SECONDS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14_400, "1d": 86_400}

_MEASURE = r"^(tick|volume|dollar|imbalance)-([1-9]\d{0,14}(_\d{1,8})?|0_0{0,7}[1-9]\d{0,7})$"
Measure = Annotated[str, Field(pattern=_MEASURE)]
"""A bar that ends by what was traded, not by the clock: its kind and how much, above 0 (`tick-1000`, `volume-0_5` for
half a unit: a dot would divide the words of a subject). What each means is in docs/bars.md."""


class Bar(Message):
    """Trades of one symbol: of a length of time those in [start_ns, end_ns), of a measure those from the first to the
    last. Where there is no trade, there is no bar.

    `revision` counts corrections (0 is the first saying). `empty_before` states how many intervals without a trade lie
    between this bar and the one before it. `number` counts the bars of a measure, several of which may begin in the
    same nanosecond; 0 for lengths of time. Floats: a bar is analytics, never money.
    """

    venue: Venue
    symbol: Symbol
    interval: Interval | Measure
    start_ns: Nanos
    end_ns: Nanos
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    taker_buy_volume: float = 0
    count: Int64
    revision: Int64 = 0
    empty_before: Int64 = 0
    number: Int64 = 0

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_computed(cls, given: Any) -> Any:
        if isinstance(given, dict) and ("timestamp" in given or "session" in given):
            words: dict[str, Any] = dict(given)  # pyright: ignore[reportUnknownArgumentType]
            words.pop("timestamp", None)
            words.pop("session", None)
            return words
        return given

    @computed_field
    @property
    def timestamp(self) -> str:
        """The start of the interval, for people."""
        return rfc3339(self.start_ns)

    @computed_field
    @property
    def session(self) -> str:
        """The date of a day's bar: of its last moment, since some sessions begin on the evening before."""
        return rfc3339(self.end_ns - 1)[:10] if self.interval == Interval.d1 else ""

    @field_serializer("start_ns", "end_ns", when_used="json")
    def _exact_in_javascript(self, value: int) -> str:
        return str(value)


class Instrument(Message):
    """What may be traded and in which steps. `price_tick` and `lot` divide every price and quantity exactly.

    `multiplier` is how many units of `currency` one unit of quantity is worth at a price of 1. `calendar` is `24/7` or
    the market's code (ISO 10383, `XNYS`). `average_daily_volume` in units of quantity; None when nobody stated it.
    """

    symbol: Symbol
    price_tick: Price
    lot: Quantity
    quantity_min: Quantity
    quantity_max: Quantity
    notional_min: Amount = Decimal(0)
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3,5}$")
    multiplier: Price = Decimal(1)
    calendar: str = Field(default="24/7", pattern=r"^(24/7|[A-Z0-9_]{2,12})$")
    average_daily_volume: Quantity | None = None
