"""The search index, filled again from the documents in the lake: after it was lost, or for another one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from shared.cli.trouble import Trouble
from shared.contract.documents import Document
from shared.contract.errors import Unavailable
from shared.contract.tables import LAKE_DOCUMENTS
from shared.kit.lake import where
from shared.kit.search import open_search
from shared.kit.settings import SettingsError, Suite

AT_ONCE = 500
NAMED_MAX = 10


def reindex(suite: Suite) -> int:
    """How many documents were put; the sink may run meanwhile, and puts what is new beside them. `Trouble` names those
    that the index refused, once all others are there."""
    try:
        count, refused = asyncio.run(_fill(suite))
    except (Unavailable, SettingsError) as error:
        raise Trouble(str(error)) from None
    if refused:
        named = "; ".join(f"{id}: {why}" for id, why in list(refused.items())[:NAMED_MAX])
        more = f"; and {len(refused) - NAMED_MAX} more" if len(refused) > NAMED_MAX else ""
        raise Trouble(f"{count} documents are in the index, which refused {len(refused)}: {named}{more}")
    return count


async def _fill(suite: Suite) -> tuple[int, dict[str, str]]:
    search = open_search(suite)
    newest: dict[str, int] = {}
    refused: dict[str, str] = {}
    try:
        await search.ping()
        for batch in _batches(suite):
            documents: dict[str, Document] = {}
            for row in batch:
                document = _document(row)
                # The lake holds the same words again if they came again after three days; the last of them counts.
                if newest.get(row["id"], -1) < document.receive_ns:
                    newest[row["id"]] = document.receive_ns
                    documents[row["id"]] = document
            told = await search.put(documents)
            refused = {id: why for id, why in refused.items() if id not in documents} | told
        await search.settle()
    finally:
        await search.close()
    return len(newest) - len(refused), refused


def _batches(suite: Suite) -> Iterator[list[dict[str, Any]]]:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    lake = where(suite)
    try:
        table = DeltaTable(lake.uri(LAKE_DOCUMENTS), storage_options=dict(lake.options))
        for batch in table.to_pyarrow_dataset().to_batches(batch_size=AT_ONCE):
            yield batch.to_pylist()
    except TableNotFoundError:
        raise Trouble(f"there are no documents in the lake {lake.root} yet") from None
    except (DeltaError, OSError) as error:
        raise Trouble(f"the lake {lake.root} cannot be read: {str(error)[:300]}") from None


def _document(row: dict[str, Any]) -> Document:
    words = {name: row[name] for name in LAKE_DOCUMENTS.columns if name != "id"}
    return Document.model_validate({**words, "event_ns": row["timestamp_ns"]})
