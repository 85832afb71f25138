"""The gateway's knobs."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from shared.contract.base import Symbol, Venue
from shared.contract.feeds import Channel
from shared.kit import Settings as ServiceSettings


def _symbols() -> dict[Symbol, Decimal]:
    return {
        "BTCUSDT": Decimal(60_000),
        "ETHUSDT": Decimal(2_500),
        "SOLUSDT": Decimal(150),
        "AAPL": Decimal(220),
        "SPY": Decimal(560),
    }


class VenueSettings(BaseModel):
    """One venue's part of `feeds`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    symbols: tuple[Symbol, ...] = ()
    """What is followed from the start; more can be subscribed to at runtime."""

    channels: tuple[Channel, ...] = Field(default=tuple(Channel), min_length=1)
    """TRADES, QUOTES (best bid and ask) and BOOK, or some of them."""

    stream_url: str = Field(default="", pattern=r"^(wss?://[^\s/]+(/\S*[^\s/])?)?$")
    """Where its websockets are reached, instead of at the venue itself; no slash at the end."""

    rest_url: str = Field(default="", pattern=r"^(https?://[^\s/]+(/\S*[^\s/])?)?$")
    """Where its REST is reached, instead of at the venue itself; no slash at the end."""

    capture: bool = False
    """Whether every message is kept, word for word, in compressed files that `replay` reads back."""


class Settings(ServiceSettings):
    simulate: bool = True
    """Whether the simulated market runs; without it only replays bring data in."""

    simulation_seed: int = 1
    """The same seed gives the same simulated trades, step by step."""

    simulation_steps_per_s: float = Field(default=10, gt=0, le=1000)
    """How often each simulated market moves, per second."""

    simulation_symbols: dict[Symbol, Decimal] = Field(default_factory=_symbols)
    """The simulated symbols, each with its opening price; every one must be a listed instrument."""

    feeds: dict[Venue, VenueSettings] = Field(default_factory=dict[Venue, VenueSettings])
    """The venues followed live, each with its symbols: {binance: {symbols: [BTCUSDT]}}."""

    stale_after_s: float = Field(default=5, gt=0)
    """A market that has said nothing for this long is STALE."""

    crossed_max_s: float = Field(default=3, gt=0)
    """A live book that stays crossed for longer than this is taken anew."""

    resync_wait_s: float = Field(default=10, gt=0)
    """A whole book that has not come within this time is asked for again."""

    stall_s: float = Field(default=60, gt=0)
    """A live connection over which nothing has come for this long is given up, though it answers pings."""

    reconnect_first_s: float = Field(default=0.25, gt=0)
    """How long a live feed waits before it connects again; then twice as long each time, with jitter."""

    reconnect_max_s: float = Field(default=30, gt=0)
    """The longest that a live feed waits before it connects again."""

    rest_timeout_s: float = Field(default=10, gt=0)
    """How long a venue's REST may take to answer."""

    changes_waiting_max: int = Field(default=10_000, ge=1)
    """How many changes of a live book are kept while a whole one is awaited; of more the oldest give way."""

    ticks_waiting_max: int = Field(default=65_536, ge=1)
    """How many live ticks of a venue wait while JetStream is away; of more the oldest are dropped and counted."""

    subscriptions_max: int = Field(default=500, ge=1)
    """The most symbols that are followed at one venue."""

    capture_file_bytes_max: int = Field(default=256 << 20, ge=1 << 10)
    """A file of captured messages that has grown to this size is followed by a new one, as it is after midnight UTC."""

    capture_kept_bytes_max: int = Field(default=20 << 30, ge=1 << 10)
    """How much is captured of one venue; of more the oldest files are deleted and counted."""

    capture_waiting_bytes_max: int = Field(default=64 << 20, ge=1 << 10)
    """How much of one venue waits to be written; of more the newest is dropped and counted."""

    frame_rows: int = Field(default=4096, ge=1, le=65_536)
    """The most ticks that travel in one frame."""

    frame_wait_s: float = Field(default=0.005, gt=0, le=1)
    """How long a live feed, or a replay at finite speed, gathers ticks for one frame."""

    quote_gap_s: float = Field(default=0.02, ge=0, le=60)
    """A live feed, or a replay at finite speed, says at most one quote per symbol in this time."""

    lag_max: int = Field(default=20_000, ge=1)
    """A replay at full speed waits while the slowest hearer has more unread messages than this."""

    replays_kept: int = Field(default=100, ge=1, le=10_000)
    """How many finished replays can still be asked about."""

    markets_max: int = Field(default=10_000, ge=1)
    """How many markets are known at once; beyond it those that have ended longest ago are forgotten."""
