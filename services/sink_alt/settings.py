"""The document sink's knobs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.contract.base import NAME_PATTERN, Symbol
from shared.contract.documents import Category, Tag
from shared.kit import Settings as ServiceSettings

FIELDS = frozenset({"title", "body", "url", "timestamp", "symbols", "sentiment", "language", "tags"})


def _web(value: str) -> str:
    if not value.lower().startswith(("http://", "https://")) or "@" in value:
        raise ValueError("must be an address that begins with http:// or https://, without a user")
    return value


class Source(BaseModel):
    """A feed that is fetched every so often: RSS, Atom, JSON Feed, or other JSON where `entries` and `fields` are."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """What it is called, as the `source` of its documents and in the metrics."""

    url: Annotated[str, AfterValidator(_web)]
    """Where it is."""

    category: Category = "news"
    """The category of its documents."""

    every_s: float = Field(default=300, ge=1)
    """How often it is asked; after failures less and less often, at least four times a day."""

    entries_max: int = Field(default=200, ge=1, le=2000)
    """How many of its entries are read at a time, the first ones."""

    symbols: tuple[Symbol, ...] = ()
    """Symbols that all of it is about."""

    tags: tuple[Tag, ...] = ()
    """Tags that all of its documents have."""

    language: str = ""
    """The language of its documents, where it does not say so itself."""

    private: bool = False
    """Whether it may be at an address that is not on the public net, as one of your own is."""

    entries: str | None = None
    """For other JSON: where the list of entries stands, names with dots between them; empty where all of it is one."""

    fields: dict[str, str] = Field(default_factory=dict[str, str])
    """For other JSON: where in an entry each field of a document stands, like {title: headline, timestamp: at.utc}."""

    @model_validator(mode="after")
    def _mapped(self) -> Source:
        if unknown := sorted(set(self.fields) - FIELDS):
            raise ValueError(f"fields: a document has no {unknown[0]}; known: {', '.join(sorted(FIELDS))}")
        if self.entries is not None and not {"title", "body"} & set(self.fields):
            raise ValueError("fields: must say where the title or the body stands")
        return self


class Settings(ServiceSettings):
    documents_at_once: int = Field(default=100, ge=1, le=256)
    """How many documents are written together. Twice as many wait in memory, each of at most some 400 kB."""

    search_wait_s: float = Field(default=0.2, gt=0, le=10)
    """How long a document may wait for others to be put into the search index with."""

    lake_wait_s: float = Field(default=30, gt=0, le=300)
    """How long a document may wait for others to be written into the lake with; each write is a file of its own."""

    lake_keep_s: float = Field(default=3600, gt=0)
    """How often the lake's small files are made into large ones, and old ones deleted."""

    lake_old_h: int = Field(default=168, ge=1)
    """For so many hours after that a file is still there for who reads an earlier version of the table."""

    sources: tuple[Source, ...] = ()
    """The feeds that documents are made of, besides those that are sent in."""

    source_timeout_s: float = Field(default=20, gt=0, le=120)
    """How long a source may take to answer, redirects and all."""

    source_bytes_max: int = Field(default=5 << 20, ge=1024, le=50 << 20)
    """How large a source's answer may be, unpacked."""

    names: dict[Symbol, tuple[str, ...]] = Field(default_factory=dict[Symbol, tuple[str, ...]])
    """By which names the texts of sources speak of a symbol: cashtags ($BTC) and words (bitcoin), in any case."""

    @field_validator("sources")
    @classmethod
    def _told_apart(cls, value: Any) -> Any:
        names = [source.name for source in value]
        if twice := sorted(name for name in set(names) if names.count(name) > 1):
            raise ValueError(f"there are two sources called {twice[0]}; give each a name of its own")
        return value
