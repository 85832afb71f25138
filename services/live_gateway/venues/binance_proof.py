"""What an answer of Binance proves: done, refused, not let in, or nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from shared.contract.dealing import Accepted, Outcome, Rejected, Throttled, Unsure
from shared.contract.errors import Unavailable

T = TypeVar("T")

UNKNOWN_CODES = frozenset({-1000, -1001, -1006, -1007})
"""Errors that say nothing about what became of an order."""

BUSY_CODES = frozenset({-1003, -1008, -1015, -1016})
"""The request was not let in; it may be later."""

KEY_CODES = frozenset({-1002, -1022, -2014, -2015})
"""The venue does not take our key, our signature or our address."""

CLOCK_CODE = -1021
BAD_SYMBOL = -1121
UNKNOWN_ORDER = -2011
NO_SUCH_ORDER = -2013


class VenueRefused(Exception):
    """The venue answered, and its answer proves that it did not do it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class OutcomeUnknown(Exception):
    """Nobody can say whether the venue did it: no answer, or one that proves nothing."""


class NotLetIn(Unavailable):
    """The venue did not let the request in (rate limit, overload, time stamp): it was not done."""


class Answered(Exception):
    """Any answer but 200, with the venue's code if it gave one."""

    def __init__(self, status: int, headers: Mapping[str, str], body: Any) -> None:
        super().__init__(f"{status}")
        self.status = status
        self.headers = headers
        words: dict[str, Any] = body if isinstance(body, dict) else {}
        self.code: int | None = int(words.get("code", 0)) or None
        self.text = str(words.get("msg", ""))

    def meaning(self) -> Exception:
        if self.status in (418, 429):
            # Without a time stated it was the limit on orders, which starts anew every ten seconds.
            stated = self.headers.get("retry-after", "")
            return NotLetIn("the venue asked us to wait", retry_after_s=float(stated) if stated.isdigit() else 10.0)
        if self.code == CLOCK_CODE:
            return NotLetIn("the venue's clock and ours differed", retry_after_s=0.05)
        if self.code in BUSY_CODES:
            return NotLetIn(f"the venue is busy ({self.code} {self.text})")
        if self.code is None or self.status >= 500 or self.code in UNKNOWN_CODES:
            return OutcomeUnknown(f"the venue answered {self.status} {self.code or ''} {self.text}".strip())
        return VenueRefused(self.code, self.text)


async def outcome(request: Awaitable[Any], nothing: tuple[int, ...] = ()) -> Outcome:
    """What came of asking for a change. `nothing` are the refusals that say that there was nothing to do."""
    try:
        answer = await request
    except VenueRefused as refused:
        standing = refused.code in nothing or "Duplicate order" in refused.text
        return Accepted() if standing else Rejected(str(refused))
    except NotLetIn as error:
        return Throttled(error.detail, error.retry_after_s)
    except OutcomeUnknown as error:
        return Unsure(str(error))
    return Accepted(str(answer.get("orderId", "")) if isinstance(answer, dict) else "")


async def listing(asked: Callable[[], Awaitable[T]]) -> T:
    """A listing, or Unavailable."""
    try:
        return await asked()
    except (VenueRefused, OutcomeUnknown) as error:
        raise Unavailable(str(error)) from None
