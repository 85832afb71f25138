"""What a question asks for: words that all must be there, "phrases", -not and prefix*."""

from __future__ import annotations

import base64
import json
import math
import re
from contextlib import suppress

from shared.contract.base import INT64_MAX, bound
from shared.contract.documents import Place, Term, tokens
from shared.contract.errors import Refused

LETTERS_MAX = 500
TERMS_MAX = 32
PREFIX_MIN = 2
CURSOR_MAX = 500

ID = re.compile(r"[0-9a-f]{0,64}")
PIECE = re.compile(r'(-?)(?:"([^"]*)"|([^\s"]+))')
MEND = 'give words, "phrases", -not and prefix*'


def terms(text: str | None) -> tuple[Term, ...]:
    """The terms of a question; Refused says which part of it is none. A word of several parts is a phrase."""
    if text is None:
        return ()
    if len(text) > LETTERS_MAX:
        raise _bad(f"is longer than {LETTERS_MAX} letters; ask in fewer words")
    if text.count('"') % 2:
        raise _bad("has a quotation mark that is not closed; phrases stand between two")
    found = [_term(*piece.groups()) for piece in PIECE.finditer(text)]
    if len(found) > TERMS_MAX:
        raise _bad(f"has more than {TERMS_MAX} words and phrases; ask for fewer")
    if not found:
        raise _bad(f"is empty; {MEND}, or leave it out for the newest documents")
    if all(term.absent for term in found):
        raise _bad("says only what must not be there; add a word that must")
    return tuple(found)


def _term(minus: str, phrase: str | None, word: str | None) -> Term:
    if phrase is not None or word is None:
        words, prefix, said = tuple(tokens(phrase or "")), False, f'"{phrase}"'
    else:
        words, prefix, said = tuple(tokens(word)), word.endswith("*"), word
    if not words:
        raise _bad(f"{said} holds no letter and no digit; {MEND}")
    if prefix and (len(words) > 1 or min(map(len, words)) < PREFIX_MIN):
        raise _bad(f"{said}: a prefix is one word of at least {PREFIX_MIN} letters with * at its end")
    return Term(words, prefix, bool(minus))


def _bad(why: str) -> Refused:
    return Refused("BAD_QUERY", f"q: {why}", field="q")


def moment(text: str | None, field: str) -> int | None:
    """A bound in time."""
    if text is None:
        return None
    try:
        return bound(text)
    except ValueError as error:
        # A + in a query means a space unless it is escaped, which is easily forgotten.
        raise Refused("INVALID", f"{field}: {error}; a + must be sent as %2B", field=field) from None


def written(place: Place) -> str:
    """Where a page ended, as a cursor."""
    words = json.dumps([place.score, place.event_ns, place.id])
    return base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")


def read(cursor: str | None) -> Place | None:
    """The place that a cursor names."""
    if cursor is None:
        return None
    with suppress(ValueError, TypeError):
        words = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)) if len(cursor) <= CURSOR_MAX else b""
        score, event_ns, id = json.loads(words)
        is_id = type(id) is str and ID.fullmatch(id)
        is_time = type(event_ns) is int and 0 <= event_ns <= INT64_MAX
        if is_id and is_time and type(score) is float and math.isfinite(score):
            return Place(score, event_ns, id)
    raise Refused("INVALID", "cursor: give the next_cursor of an earlier page, unchanged", field="cursor")
