"""An entry of a feed as a document."""

from __future__ import annotations

import calendar
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_tz
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from services.sink_alt.core.intake import received
from services.sink_alt.core.mentions import Mentions
from services.sink_alt.core.plain import plain
from services.sink_alt.settings import Source
from shared.contract.base import Symbol, instant
from shared.contract.documents import BODY_MAX, TITLE_MAX, Document, Language, Sentiment, Tag, Url
from shared.contract.errors import Refused

TITLE_OF_BODY = 120
HTML_MAX = 10 * BODY_MAX
"""So much of a text is looked at."""
SYMBOL, TAG, URL = TypeAdapter[str](Symbol), TypeAdapter[str](Tag), TypeAdapter[str](Url)
LANGUAGE, SENTIMENT = TypeAdapter[str](Language), TypeAdapter[float](Sentiment)

T = TypeVar("T")

MILLISECONDS, MICROSECONDS, NANOSECONDS = 10**11, 10**14, 10**17
"""A number from here on counts these; a smaller one counts seconds. As seconds, the first is the year 5138."""


def documents(
    entries: Sequence[Mapping[str, Any]], source: Source, now_ns: int, *, mentions: Mentions
) -> tuple[list[Document], list[str]]:
    """The entries that are documents, oldest first, each once; and of the others why they are none."""
    found: dict[str, Document] = {}
    broken: list[str] = []
    for entry in entries:
        try:
            one = document(entry, source, mentions, now_ns)
        except (ValueError, TypeError, Refused) as error:
            broken.append(str(error)[:300])
        else:
            found.setdefault(one.id, one)
    return sorted(found.values(), key=lambda one: one.event_ns), broken


def document(entry: Mapping[str, Any], source: Source, mentions: Mentions, now_ns: int) -> Document:
    """One entry. What is too long is cut, and what a feed says of no use is left out; without a time it is of now."""
    body = plain(_text(entry.get("body"))[:HTML_MAX])[:BODY_MAX]
    title = plain(_text(entry.get("title"))[:HTML_MAX])[:TITLE_MAX] or body.replace("\n", " ")[:TITLE_OF_BODY]
    symbols = {*source.symbols, *_fitting(SYMBOL, entry.get("symbols")), *mentions.of(f"{title}\n{body}")}
    tags = [text[:64] for text in _texts(entry.get("tags"))]
    words = {
        "event_ns": moment(entry.get("timestamp"), now_ns),
        "category": source.category,
        "source": source.name,
        "title": title,
        "body": body,
        "url": _first(URL, _text(entry.get("url"))) or "",
        "symbols": sorted(symbols)[:100],
        "sentiment": _first(SENTIMENT, entry.get("sentiment")),
        "language": _first(LANGUAGE, _text(entry.get("language")), source.language),
        "tags": [*source.tags, *_fitting(TAG, tags)][:100],
    }
    return received(Document.model_validate(words), now_ns)


def moment(given: Any, now_ns: int) -> int:
    """A time as feeds write it: RFC 3339, RFC 822, or a count of seconds or of smaller units since 1970."""
    if given in (None, ""):
        return now_ns
    if isinstance(given, int | float) and not isinstance(given, bool):
        if not math.isfinite(given):
            raise ValueError(f"timestamp: {given} is no time")
        unit = next((unit for least, unit in _UNITS if given >= least), 10**9)
        return round(given * unit)
    try:
        return instant(given)
    except ValueError as error:
        if parsed := parsedate_tz(str(given)):
            return (calendar.timegm((*parsed[:6], 0, 0, 0)) - (parsed[9] or 0)) * 10**9
        raise ValueError(f"timestamp: {error}") from None


_UNITS = ((NANOSECONDS, 1), (MICROSECONDS, 10**3), (MILLISECONDS, 10**6))


def _fitting(kind: TypeAdapter[T], given: Any) -> list[T]:
    """Those of some texts that can be what they are meant for."""
    return [fit for text in _texts(given) if (fit := _first(kind, text)) is not None]


def _first(kind: TypeAdapter[T], *given: Any) -> T | None:
    """The first that can be what it is meant for; what a feed says of no use costs no document."""
    for one in given:
        with suppress(ValidationError):
            return kind.validate_python(one)
    return None


def _text(given: Any) -> str:
    return given.strip() if isinstance(given, str) else ""


def _texts(given: Any) -> list[str]:
    """Texts, or one text with commas in it."""
    some: list[Any] = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else []
    return [text for one in some if (text := _text(one))]
