"""Messages made of words that were checked when they came in: 1.5 µs each, where checking them again takes 6 to 12."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from shared.contract.base import Message

M = TypeVar("M", bound=Message)


def made(kind: type[M], **words: Any) -> M:
    """A message of these words; what is not given has its default. Nothing is looked at, so nothing may be new."""
    message = kind.__new__(kind)
    set_field = object.__setattr__
    set_field(message, "__dict__", _defaults(kind) | words)
    set_field(message, "__pydantic_fields_set__", set(words))
    set_field(message, "__pydantic_extra__", None)
    set_field(message, "__pydantic_private__", None)
    return message


@cache
def _defaults(kind: type[Message]) -> dict[str, Any]:
    """In the order in which they are written; what must be given stands as None, to be replaced."""
    fields = kind.model_fields.items()
    return {name: None if one.is_required() else one.get_default(call_default_factory=True) for name, one in fields}
