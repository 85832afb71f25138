"""What is kept of what was heard: each text once in three days, unless it claims to be from the future."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from shared.contract.documents import Document, Found
from shared.contract.errors import Refused

WINDOW_NS = 72 * 3600 * 10**9
"""For so long after it was first heard the same words are a duplicate. After that they are news again."""

AHEAD_MAX_NS = 24 * 3600 * 10**9
"""A document dated further ahead than this would stand before all others for ever."""

EXCERPT_LETTERS = 300


class Outcome(StrEnum):
    """What became of a message, in one of the stores."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REFUSED_AHEAD = "refused_dated_ahead"


def verdict(document: Document, *, first: bool, heard_ns: int) -> Outcome:
    """What is to become of a document. `heard_ns` is when its words were first heard, so that every store says the
    same whenever it comes to it."""
    if document.event_ns > heard_ns + AHEAD_MAX_NS:
        return Outcome.REFUSED_AHEAD
    return Outcome.STORED if first else Outcome.DUPLICATE


def received(document: Document, now_ns: int) -> Document:
    """A document as it came in at the door just now; Refused when no store would take it."""
    if verdict(document, first=True, heard_ns=now_ns) is not Outcome.STORED:
        detail = "timestamp: is more than a day ahead; a document is dated when it was published"
        raise Refused("INVALID", detail, field="timestamp")
    return document.model_copy(update={"receive_ns": now_ns})


def excerpt(found: Found) -> dict[str, Any]:
    """A document among others that were found: of its body the beginning, of which `/documents/{id}` has the rest."""
    words = found.document.model_dump(mode="json")
    body = words.pop("body")
    return {"id": found.id, "score": found.score, **words, "excerpt": body[:EXCERPT_LETTERS]}
