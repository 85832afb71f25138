"""The live gateway's knobs."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from shared.contract.base import Account
from shared.kit import Settings as KitSettings


class Settings(KitSettings):
    maker_fee_fraction: Decimal = Field(default=Decimal("0.0002"), ge=0, lt=1)
    """What the paper venue charges a fill of a resting order, as a fraction of its notional."""

    taker_fee_fraction: Decimal = Field(default=Decimal("0.0005"), ge=0, lt=1)
    """What it charges a fill that took what was displayed."""

    latency_ms: float = Field(default=0, ge=0, le=10_000)
    """How long an order or a cancel travels before the paper venue sees it."""

    market_wait_s: float = Field(default=5, gt=0)
    """How long a market order waits for something to trade with before the rest of it is cancelled."""

    kill_poll_s: float = Field(default=0.1, gt=0, le=0.1)
    """How often the kill folder is looked into; an order in hand when a file appears is stopped within this."""

    canary_fraction: float = Field(default=0, ge=0, le=1)
    """In mode CANARY, the share of all (account, strategy, symbol) whose orders go out; 0 lets none out."""

    canary_notional_max: Decimal = Field(default=Decimal(0), ge=0)
    """In mode CANARY, the most that an order which goes out may be worth; 0 lets none out."""

    breaker_failures: int = Field(default=5, ge=1)
    """After so many orders on end of whose fate a venue said nothing, it gets no new ones for a while."""

    breaker_open_s: float = Field(default=30, gt=0)
    """How long that is; afterwards one order a second is tried until one succeeds."""

    rate_per_s: float = Field(default=8, gt=0)
    """How many requests a second a venue gets from us at most, in the long run."""

    rate_burst: float = Field(default=40, ge=2)
    """How many it may get at once."""

    rate_reserve: float = Field(default=15, ge=1)
    """How many of these only cancels may use."""

    rate_wait_s: float = Field(default=1, ge=0)
    """How long a new order may wait for the rate budget before it is rejected."""

    errands_max: int = Field(default=500, ge=1)
    """With more than this under way at the venues, new orders for them are rejected."""

    ask_after_s: float = Field(default=0.5, gt=0)
    """How long after an unclear answer the venue is asked what became of the order; doubled each time."""

    absent_after_s: float = Field(default=6, gt=0)
    """How far two answers that there is no such order must lie apart before they are believed."""

    reconcile_every_s: float = Field(default=30, gt=0)
    """How often the orders open at a venue are compared with ours."""

    disconnect_cancel_s: float = Field(default=0, ge=0)
    """After so long without a venue's stream of reports our orders there are cancelled; 0: never."""

    binance_enabled: bool = False
    """Whether there is a line to Binance spot at all. What goes over it is a matter of its mode."""

    binance_testnet: bool = True
    """Its test network, where money is worth nothing; false is the real one."""

    binance_account: Account = "default"
    """The one account of ours that trades with the account at Binance."""

    binance_key: str = ""
    """The API key (better as the secret live_gateway_binance_key)."""

    binance_secret: SecretStr = SecretStr("")
    """The key's secret (better as the secret live_gateway_binance_secret)."""

    binance_rest_url: str = ""
    """Another address to send requests to, on the test network only; empty is the venue's own."""

    binance_stream_url: str = ""
    """Another address of the stream, on the test network only; empty is the venue's own."""

    binance_timeout_s: float = Field(default=5, gt=0)
    """After so long without an answer an order's fate is unknown."""

    binance_window_ms: int = Field(default=5000, ge=100, le=60_000)
    """How late the venue may see a request and still do it."""

    @model_validator(mode="after")
    def _play_money_is_play_money(self) -> Settings:
        for field in ("binance_rest_url", "binance_stream_url"):
            host = urlsplit(getattr(self, field)).hostname or ""
            if host and (not self.binance_testnet or (host.endswith("binance.com") and "testnet" not in host)):
                raise ValueError(f"{field}: only the test network may be reached by another address, and not {host}")
        if self.rate_reserve >= self.rate_burst:
            raise ValueError("rate_reserve: must be less than rate_burst, or no order ever goes out")
        return self
