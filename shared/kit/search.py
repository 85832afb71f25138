"""Search: documents by their words. One interface; SQLite on one machine, OpenSearch when configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from shared.contract.documents import INDEX, Document, Found, Wanted
from shared.kit.settings import Suite


class Search(Protocol):
    """Documents are put under their ids and never removed. Every method raises Unavailable while the index is away.

    A document replaces the one before it of the same id, so putting again what may have been put is always right. By
    which words a document is found is worked out here (`tokens`), so every making finds the same.
    """

    async def put(self, documents: Mapping[str, Document]) -> dict[str, str]:
        """Add these, by id; they are on disk when this returns. Returns, by id, why one is not taken."""
        ...

    async def get(self, id: str) -> Document | None: ...

    async def find(self, wanted: Wanted) -> list[Found]:
        """The best first; of equally good ones the newest."""
        ...

    async def settle(self) -> int:
        """Return once all that was put can be found, with how many documents there are."""
        ...

    async def ping(self) -> None:
        """Return when the index can be used."""
        ...

    async def close(self) -> None: ...


def open_search(suite: Suite) -> Search:
    """The index this suite is configured for."""
    if suite.opensearch:
        from shared.kit.opensearch_search import OpenSearch

        return OpenSearch(suite.opensearch)
    from shared.kit.sqlite_search import SqliteSearch

    return SqliteSearch(suite.var / "search" / f"{INDEX}.db")
