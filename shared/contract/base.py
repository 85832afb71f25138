"""Message, and the scalar words every message is made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer


class Message(BaseModel):
    """Anything said between services: frozen, exact, and refusing what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Beside pydantic's own fields, so that no copy takes them along.
    __slots__ = ("_encoded",)

    def encode(self) -> bytes:
        """These words as they travel: UTF-8 JSON, `Decimal` as strings. Made once: what is kept is often said too."""
        try:
            return _ENCODED(self)
        except AttributeError:
            words = self._words()
            object.__setattr__(self, "_encoded", words)
            return words

    def _words(self) -> bytes:
        return self.__pydantic_serializer__.to_json(self)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """The message in `payload`; pydantic's `ValidationError` when it is not one."""
        return cls.model_validate_json(payload)


_ENCODED: Callable[[Message], bytes] = Message.__dict__["_encoded"].__get__


class Word(StrEnum):
    """A closed vocabulary, upper case; taken in any case at the door."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls.__members__.get(value.upper()) if isinstance(value, str) else None  # type: ignore[return-value]


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


def normal_symbol(value: str) -> str:
    """`BTC/USDT`, `btc-usdt` and `BTCUSDT` are one symbol: upper case, without separator.

    A dot is kept (`BRK.B`), because it names a share class and not a pair; it travels as `_`, since a dot divides
    the words of a subject.
    """
    if value.isalnum() and value.isupper():
        return value  # as nearly always
    return re.sub(r"[/\-:\s]", "", value.strip()).upper().replace(".", "_")


def _plain_symbol(value: Any) -> Any:
    return normal_symbol(value) if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _finite(value: Decimal) -> Decimal:
    # Ten to the twentieth bounds every product of two of these well inside Decimal's 28 digits.
    if value and not -12 <= value.adjusted() <= 20:
        raise ValueError("must lie between 1e-12 and 1e20 in magnitude")
    return value


Symbol = Annotated[str, BeforeValidator(_plain_symbol), Field(pattern=r"^[A-Z0-9][A-Z0-9_]{0,31}$")]
"""What is traded: upper case without separator (`BTCUSDT`); normalised here, once."""

Venue = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
"""Where it is traded, or where its data comes from: lower case (`binance`, `sim`, `paper`)."""

Account = Annotated[str, Field(pattern=NAME_PATTERN)]
"""An account's name: letters, digits, `_` and `-`, at most 64."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""Any other identifier that may stand in a subject or a key."""


def _plainly(value: Decimal) -> str:
    return format(value, "f")


Amount = Annotated[
    Decimal,
    Field(allow_inf_nan=False),
    AfterValidator(_finite),
    PlainSerializer(_plainly, return_type=str, when_used="json"),
]
"""Exact money or quantity of either sign."""

Price = Annotated[Amount, Field(gt=0)]
"""Units of quote currency per unit of base; positive."""

Quantity = Annotated[Amount, Field(gt=0)]
"""Units of base; positive. The side says the direction."""

Nanos = Annotated[int, Field(ge=0, lt=2**63)]
"""Nanoseconds since 1970-01-01 UTC."""


def rfc3339(at_ns: int) -> str:
    """A time for people: RFC 3339 UTC with `Z`, whole seconds or up to nine digits."""
    seconds, nanos = divmod(at_ns, 1_000_000_000)
    return f"{_second(seconds)}.{nanos:09d}".rstrip("0").rstrip(".") + "Z"


@lru_cache(64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
