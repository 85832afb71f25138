"""The stored ticks, as sink-ticks shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import numpy as np
import orjson

from shared.contract.errors import Unavailable
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.kit.peers import Peers

PAGE = 10_000


class StoredTicks:
    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def pages(self, venue: str, symbol: str, start_ns: int, end_ns: int) -> AsyncIterator[TickColumns]:
        """Those of a stretch of time, oldest first; ticks of one time are never divided between two pages."""
        while True:
            rows = await self._rows(venue, symbol, start_ns, end_ns)
            if len(rows) < PAGE:
                yield _columns(venue, symbol, rows)
                return
            last = rows[-1]["event_ns"]
            whole = [row for row in rows if row["event_ns"] != last]
            if not whole:
                raise Unavailable(f"{symbol}: {PAGE} ticks of one time cannot be read")
            yield _columns(venue, symbol, whole)
            start_ns = int(last)

    async def _rows(self, venue: str, symbol: str, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        query = urlencode({"venue": venue, "start": start_ns, "end": end_ns, "limit": PAGE})
        answer = await self._peers.request("sink-ticks", "GET", f"/ticks/{symbol}", query=query, timeout_s=30)
        if answer.status != 200:
            raise Unavailable(f"sink-ticks answered {answer.status} to a question for ticks")
        return orjson.loads(answer.body)["ticks"]


def _columns(venue: str, symbol: str, rows: list[dict[str, Any]]) -> TickColumns:
    return TickColumns(
        venue=venue,
        symbols=(symbol,),
        codes=np.zeros(len(rows), np.int32),
        event_ns=np.array([int(row["event_ns"]) for row in rows], np.int64),
        receive_ns=np.array([int(row["receive_ns"]) for row in rows], np.int64),
        price=np.array([row["price"] for row in rows], np.float64),
        quantity=np.array([row["quantity"] for row in rows], np.float64),
        side=np.array([row["side"] for row in rows], np.int8),
        trade_id=Texts.of([row["trade_id"] for row in rows]),
        sequence=np.array([row["sequence"] for row in rows], np.int64),
    )
