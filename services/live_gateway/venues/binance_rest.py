"""Binance's REST through ccxt, which signs the requests and knows the routes. What an answer proves is decided here.

Its raw endpoints are spoken and nothing else: words go out and come back as the strings they are, so that nothing is
rounded, and no listing has to be loaded first. A request is sent once; whoever wants it again asks what became of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.live_gateway.venues.binance_proof import (
    CLOCK_CODE,
    KEY_CODES,
    Answered,
    NotLetIn,
    OutcomeUnknown,
    VenueRefused,
)
from shared.kit import Clock
from shared.kit.ccxt_classes import ccxt_class


@dataclass(frozen=True)
class Endpoints:
    rest: str
    stream: str


LIVE = Endpoints("https://api.binance.com/api/v3", "wss://ws-api.binance.com:443/ws-api/v3")
TESTNET = Endpoints("https://testnet.binance.vision/api/v3", "wss://ws-api.testnet.binance.vision/ws-api/v3")


@dataclass(frozen=True)
class BinanceTerms:
    """How to reach one account. `rest_url` and `stream_url` stand in for the endpoints that `testnet` chooses."""

    key: str
    secret: str
    testnet: bool = True
    rest_url: str = ""
    stream_url: str = ""
    timeout_s: float = 5.0
    window_ms: int = 5000
    ping_s: float = 10.0
    backoff_max_s: float = 30.0

    @property
    def endpoints(self) -> Endpoints:
        chosen = TESTNET if self.testnet else LIVE
        return Endpoints(self.rest_url or chosen.rest, self.stream_url or chosen.stream)

    def __repr__(self) -> str:
        return f"BinanceTerms({self.endpoints.rest})"


class BinanceRest:
    """One account's requests."""

    def __init__(self, terms: BinanceTerms, clock: Clock) -> None:
        self._clock = clock
        self._terms = terms
        self._free_at_ns = 0
        self.weight = 0
        self.ahead_ms = 0
        self.trouble: str | None = None
        options = {"recvWindow": terms.window_ms, "maxRetriesOnFailure": 0}
        # Budgets are kept by the gateway, so ccxt's own throttle is off; an order is never sent again by itself.
        words = {"apiKey": terms.key, "secret": terms.secret, "timeout": round(terms.timeout_s * 1e3)}
        self._api: Any = ccxt_class("ccxt.async_support", "binance")(
            words | {"enableRateLimit": False, "options": options}
        )
        self._ccxt_error: type[Exception] = importlib.import_module("ccxt.base.errors").BaseError
        self._api.milliseconds = lambda: clock.now_ns() // 1_000_000
        self._api.urls["api"] = {"public": terms.endpoints.rest, "private": terms.endpoints.rest}
        self._api.handle_errors = self._judge
        self._api.timeout_on_exit = 0
        # At debug ccxt logs every request with its key and signature.
        self._api.logger = logging.getLogger(f"{__name__}.silent")
        self._api.logger.disabled = True

    async def ask(self, path: str, **words: Any) -> Any:
        """A public GET."""
        return await self._request("public", "GET", path, words)

    async def send(self, method: str, path: str, **words: Any) -> Any:
        """A signed request. Raises VenueRefused, OutcomeUnknown or NotLetIn."""
        return await self._request("private", method, path, words)

    def signed(self) -> dict[str, Any]:
        """The words that open a user data stream: key, time, and the signature over them in alphabetical order."""
        words = {"apiKey": self._terms.key, "recvWindow": self._terms.window_ms, "timestamp": self._api.nonce()}
        text = "&".join(f"{name}={value}" for name, value in words.items())
        return words | {"signature": hmac.new(self._terms.secret.encode(), text.encode(), hashlib.sha256).hexdigest()}

    async def compare_clocks(self) -> None:
        """Take the venue's time for time stamps; half of the way there and back is reckoned in."""
        before_ms = self._clock.now_ns() // 1_000_000
        answered = await self.ask("time")
        after_ms = self._clock.now_ns() // 1_000_000
        self.ahead_ms = (before_ms + after_ms) // 2 - int(answered["serverTime"])
        self._api.options["timeDifference"] = self.ahead_ms

    def session(self) -> Any:
        """The HTTP session, for a websocket beside the requests."""
        self._api.open()
        return self._api.session

    async def close(self) -> None:
        await self._api.close()

    async def _request(self, api: str, method: str, path: str, words: dict[str, Any]) -> Any:
        wait_ns = self._free_at_ns - self._clock.monotonic_ns()
        if wait_ns > 0:
            raise NotLetIn("the venue asked us to wait", retry_after_s=wait_ns / 1e9)
        try:
            answer = await self._api.fetch2(path, [api], method, words)
        except Answered as answered:
            raise await self._act_on(answered) from None
        except self._ccxt_error as error:
            # The error's own text carries the signed URL, and is passed on to nobody.
            raise OutcomeUnknown(f"no answer to {method} {path} ({type(error).__name__})") from None
        if api == "private":
            self.trouble = None
        if not isinstance(answer, dict | list):
            raise OutcomeUnknown(f"the answer to {method} {path} was not JSON")
        return answer  # pyright: ignore[reportUnknownVariableType]

    def _judge(
        self, status: int, reason: str, url: str, method: str, headers: Mapping[str, str], body: str, *rest: Any
    ) -> None:
        """In the place of ccxt's own reading, which gives one class to answers that prove different things."""
        lower = {name.lower(): value for name, value in headers.items()}
        self.weight = int(lower.get("x-mbx-used-weight-1m", self.weight))
        if status != 200:
            raise Answered(status, lower, rest[0])

    async def _act_on(self, answered: Answered) -> Exception:
        meaning = answered.meaning()
        if answered.status in (418, 429) and isinstance(meaning, NotLetIn):
            self._free_at_ns = self._clock.monotonic_ns() + round(meaning.retry_after_s * 1e9)
        if answered.code == CLOCK_CODE:
            with contextlib.suppress(VenueRefused, OutcomeUnknown, NotLetIn):
                await self.compare_clocks()
        if answered.code in KEY_CODES:
            self.trouble = f"the venue does not take our key ({meaning})"
        return meaning
