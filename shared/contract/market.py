"""Ticks, quotes, bars, and how far a feed can be trusted."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, computed_field, field_serializer, model_validator

from shared.contract.base import Amount, Message, Nanos, Price, Quantity, Symbol, Venue, Word, rfc3339


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
    sequence: int = 0

    @model_validator(mode="before")
    @classmethod
    def _times(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        words: dict[str, Any] = dict(given)  # pyright: ignore[reportUnknownArgumentType]
        if (at_ms := words.pop("timestamp", None)) is not None and "event_ns" not in words:
            words["event_ns"] = int(at_ms) * 1_000_000
        words.setdefault("receive_ns", words.get("event_ns"))
        return words


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
    sequence: int = 0

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
    """Bar lengths the normalizer makes."""

    m1 = "1m"
    m5 = "5m"
    m15 = "15m"
    h1 = "1h"
    d1 = "1d"

    @property
    def length_ns(self) -> int:
        return _MINUTES[self.value] * 60_000_000_000


_MINUTES = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "1d": 1440}


class Bar(Message):
    """The trades of one symbol in [start_ns, end_ns). An interval without trades has no bar.

    `revision` counts corrections by late ticks (0 is the first saying). `empty_before` states how many intervals
    without a trade lie between this bar and the one before it. Floats: a bar is analytics, never money.
    """

    venue: Venue
    symbol: Symbol
    interval: Interval
    start_ns: Nanos
    end_ns: Nanos
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    count: int
    revision: int = 0
    empty_before: int = 0

    @model_validator(mode="before")
    @classmethod
    def _without_timestamp(cls, given: Any) -> Any:
        if isinstance(given, dict) and "timestamp" in given:
            return {k: v for k, v in given.items() if k != "timestamp"}  # pyright: ignore[reportUnknownVariableType]
        return given

    @computed_field
    @property
    def timestamp(self) -> str:
        """The start of the interval, for people."""
        return rfc3339(self.start_ns)

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
