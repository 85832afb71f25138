"""The search index is filled from the lake: what it lost it has again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.sink_alt.store.ledger import Ledger
from services.sink_alt.store.shelves import LakeShelf
from shared.cli.reindex import reindex
from shared.cli.trouble import Trouble
from shared.contract.documents import Document, Term, Wanted
from shared.kit.fakes import FakeClock
from shared.kit.lake import open_lake
from shared.kit.search import open_search
from shared.kit.settings import Suite
from shared.kit.sqlite_search import SqliteSearch
from tests.conftest import Closer

T0 = 1_700_000_000_123_456_789


def document(title: str, at_ns: int, **words: object) -> Document:
    given = {"event_ns": at_ns, "category": "news", "source": "wire", "title": title, "body": "text"}
    return Document.model_validate(given | words)


async def in_lake(suite: Suite, documents: list[Document]) -> None:
    lake, ledger = open_lake(suite), Ledger(suite.var / "ledger.db", window_ns=0)
    shelf = LakeShelf(lake, ledger, FakeClock())
    await shelf.mend()
    letters = {(n, one.id): one for n, one in enumerate(documents)}
    await shelf.write(dict.fromkeys(letters, "stored"), letters)
    await lake.close()
    await ledger.close()


async def found(suite: Suite, closing: Closer, word: str) -> list[Document]:
    search = open_search(suite)
    closing(search.close)
    return [one.document for one in await search.find(Wanted((Term((word,)),), limit=1000))]


async def test_an_index_that_was_lost_is_filled_again(tmp_path: Path, closing: Closer) -> None:
    suite = Suite(var=tmp_path)
    whole = document("Zürich", T0, symbols=["SPY"], sentiment=0.5, language="de", tags=["a"], receive_ns=T0 + 7)
    await in_lake(suite, [whole, *(document(f"note {n}", T0 + n) for n in range(700)), document("note 3", T0 + 9**9)])

    assert await _filled(suite) == 701
    assert await found(suite, closing, "zurich") == [whole]
    assert max(one.event_ns for one in await found(suite, closing, "3")) == T0 + 9**9
    shutil.rmtree(tmp_path / "search")
    assert await _filled(suite) == 701
    assert await _filled(suite) == 701
    assert len(await found(suite, closing, "note")) == 700


class Picky(SqliteSearch):
    """The real index, which will not have some titles."""

    async def put(self, documents: Mapping[str, Document]) -> dict[str, str]:
        refused = {id: "not that" for id, one in documents.items() if "bad" in one.title}
        await super().put({id: one for id, one in documents.items() if id not in refused})
        return refused


async def test_documents_that_the_index_refused_are_named(
    tmp_path: Path, closing: Closer, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = Suite(var=tmp_path)
    bad = document("bad", T0)
    await in_lake(suite, [document("good", T0), bad])
    path = tmp_path / "search" / "alt_news.db"
    monkeypatch.setattr("shared.cli.reindex.open_search", lambda _: Picky(path))

    with pytest.raises(Trouble, match=f"1 documents are in the index, which refused 1: {bad.id}: not that"):
        await _filled(suite)
    assert len(await found(suite, closing, "good")) == 1


async def _filled(suite: Suite) -> int:
    import asyncio

    return await asyncio.to_thread(reindex, suite)


def test_an_empty_lake_is_told(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="no documents in the lake"):
        reindex(Suite(var=tmp_path))
