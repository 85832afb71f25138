"""Documents: news and other texts about what is traded, and how they are looked for."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, computed_field, field_serializer, model_validator

from shared.contract.base import Message, Nanos, Symbol, instant, rfc3339

TITLE_MAX = 1000
BODY_MAX = 100_000
URL_MAX = 2048

UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
WEB = re.compile(r"https?://[^\s/?#\\]+\S*", re.IGNORECASE)


def _clean(value: Any) -> Any:
    """Without what nobody can see: control characters, and space at either end."""
    if not isinstance(value, str):
        return value
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("holds half of a character (a lone surrogate); send whole UTF-8")
    return UNSEEN.sub("", value.replace("\r\n", "\n")).strip()


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _web(value: str) -> str:
    if value and not WEB.fullmatch(value):
        raise ValueError("must be an address that begins with http:// or https://, or empty")
    return value


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


Category = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""What kind of text it is: one lower-case word (`news`, `filings`), since it stands in a subject."""

Tag = Annotated[str, BeforeValidator(_clean), BeforeValidator(_lower), Field(min_length=1, max_length=64)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}$")]
Url = Annotated[str, BeforeValidator(_clean), Field(max_length=URL_MAX), AfterValidator(_web)]
Sentiment = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


class Document(Message):
    """A text from outside, with what was said about it. Its `timestamp` is when it was published, at the door in
    RFC 3339; `receive_ns` is when the suite first had it, and is taken to be the same where nobody says."""

    event_ns: Nanos
    receive_ns: Nanos
    category: Category
    source: Annotated[str, BeforeValidator(_clean), Field(min_length=1, max_length=200)]
    title: Annotated[str, BeforeValidator(_clean), Field(min_length=1, max_length=TITLE_MAX)]
    body: Annotated[str, BeforeValidator(_clean), Field(max_length=BODY_MAX)] = ""
    url: Url = ""
    symbols: Annotated[tuple[Symbol, ...], Field(max_length=100), AfterValidator(_once)] = ()
    sentiment: Sentiment | None = None
    language: Language | None = None
    tags: Annotated[tuple[Tag, ...], Field(max_length=100), AfterValidator(_once)] = ()

    @model_validator(mode="before")
    @classmethod
    def _times(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        words: dict[str, Any] = dict(given)  # pyright: ignore[reportUnknownArgumentType]
        at = words.pop("timestamp", None)
        if "event_ns" not in words:
            words["event_ns"] = _published(at)
        words.setdefault("receive_ns", words["event_ns"])
        return words

    @computed_field
    @property
    def timestamp(self) -> str:
        """When it was published, for people."""
        return rfc3339(self.event_ns)

    @field_serializer("event_ns", "receive_ns", when_used="json")
    def _exact_in_javascript(self, value: int) -> str:
        return str(value)

    @property
    def id(self) -> str:
        """What the words are known by: the same for whatever says the same, whoever says it and when.

        The first half of the SHA-256 of category, title and body, whatever their case, spacing and way of writing a
        character in Unicode. A title alone says too little ("Market update"), so there the address counts too.
        """
        said = (self.category, self.title, self.body or f"\0{self.url}")
        return hashlib.sha256("\0".join(_same(words) for words in said).encode()).hexdigest()[:32]


def _same(words: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", _sortable(words)).casefold().split())


def _sortable(text: str) -> str:
    """Without the marks on a letter beyond its thirtieth. To normalise a text sorts them, which for n of them takes
    n² steps: seconds for a body of these alone, in which nothing else is done."""
    return text if text.isascii() else _many_marks().sub(r"\1", text)


@cache
def _many_marks() -> re.Pattern[str]:
    signs = map(chr, range(0x300, 0x1F000))
    marks = "".join(sign for sign in signs if unicodedata.combining(unicodedata.normalize("NFKD", sign)[0]))
    return re.compile(f"([{marks}]{{30}})[{marks}]+")


def _published(given: Any) -> int:
    if given is None:
        raise ValueError("timestamp: is required")
    try:
        return instant(given)
    except ValueError as error:
        raise ValueError(f"timestamp: {error}") from None


# Looking for them.

INDEX = "alt_news"
"""What the search index is called."""

TITLE_WEIGHT = 3.0
"""How much more a word counts in the title than in the body."""

LOOK_MAX_S = 5.0
"""A look that takes longer is given up."""


@dataclass(frozen=True)
class Term:
    """Words that stand in a document one after the other, each as `tokens` has it. `prefix`: the one word may go on.
    `absent`: they must not be there."""

    words: tuple[str, ...]
    prefix: bool = False
    absent: bool = False


@dataclass(frozen=True)
class Place:
    """Where a page of what was found ended: the order is by score, then the newest first, then by id."""

    score: float
    event_ns: int
    id: str


@dataclass(frozen=True)
class Wanted:
    """What a document must have to be found: every term, and what else is given. `after` is where to go on."""

    terms: tuple[Term, ...] = ()
    symbol: str | None = None
    category: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    limit: int = 20
    after: Place | None = None


@dataclass(frozen=True)
class Found:
    """A document, and how well it fits."""

    id: str
    score: float
    document: Document

    @property
    def place(self) -> Place:
        return Place(self.score, self.document.event_ns, self.id)


IDEOGRAPH = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
WORD = re.compile(r"[^\W_]+")


def tokens(text: str) -> list[str]:
    """A text as the words by which it is found: no case, no accents, no punctuation; in Chinese and Japanese each
    character is a word. Every index is given these, so that all of them find the same."""
    if text.isascii():
        return WORD.findall(text.lower())
    # Folded twice: what a sign stands for (℠, "SM") may be upper case, and fold into what can be taken apart again.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", _sortable(text)).casefold())
    plain = "".join(one for one in folded if not unicodedata.combining(one))
    return WORD.findall(IDEOGRAPH.sub(r" \1 ", plain))


def folded(texts: Iterable[str]) -> str:
    """Texts as tokens with a space between them."""
    return " ".join(" ".join(tokens(text)) for text in texts)
