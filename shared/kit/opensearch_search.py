"""The index in OpenSearch, spoken to over plain HTTP; its own client brings four dozen MB along for these six calls.

It is given the tokens of title and body to look in, which it does not keep, and the document itself, which it does not
look into. What it acknowledged is on its disk; what was put can be found after a second, or once `settle` returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from shared.contract.documents import INDEX, LOOK_MAX_S, TITLE_WEIGHT, Document, Found, Term, Wanted, folded
from shared.contract.errors import Unavailable

WRITE_MAX_S = 30.0
BULK_BYTES_MAX = 8 << 20
TITLE, BODY = "title_tokens", "body_tokens"
OURS = ("id", TITLE, BODY)
"""What is beside a document's own fields."""

KEYWORD = {"type": "keyword"}
TOKENS = {"type": "text", "analyzer": "whitespace"}
TEMPLATE: dict[str, Any] = {
    "index_patterns": [INDEX],
    "template": {
        "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
        "mappings": {
            "dynamic": False,
            "_source": {"excludes": list(OURS)},
            "properties": {
                "id": KEYWORD,
                "event_ns": {"type": "long"},
                "timestamp": {"type": "date_nanos"},
                **dict.fromkeys(("category", "source", "symbols", "tags", "language"), KEYWORD),
                "sentiment": {"type": "float"},
                TITLE: TOKENS,
                BODY: TOKENS,
            },
        },
    },
}
"""How the index is made, by whoever first puts a document: also after it was lost."""

ORDER = [{"_score": "desc"}, {"event_ns": "desc"}, {"id": "asc"}]
IF_THERE = "ignore_unavailable=true"
NOT_FOUND, BUSY, ITS_FAULT = 404, 429, 500


class OpenSearch:
    """One index at one address."""

    def __init__(self, url: str) -> None:
        limits = httpx.Limits(max_connections=16)
        # The machine's certificates are loaded for those alone who use them.
        self._http = httpx.AsyncClient(
            base_url=url, trust_env=False, verify=url.startswith("https:"), limits=limits, timeout=LOOK_MAX_S + 1
        )
        self._is_prepared = False

    async def put(self, documents: Mapping[str, Document]) -> dict[str, str]:
        refused: dict[str, str] = {}
        for words in _bulks(documents):
            refused |= await self._put(words)
        return refused

    async def _put(self, words: bytes) -> dict[str, str]:
        await self._prepare()
        told = await self._ask("POST", "/_bulk", words, timeout_s=WRITE_MAX_S)
        if not told["errors"]:
            return {}
        failed = {one["_id"]: one for one in (item["index"] for item in told["items"]) if "error" in one}
        for one in failed.values():
            if one["status"] == BUSY or one["status"] >= ITS_FAULT:
                self._is_prepared = False
                raise Unavailable(f"OpenSearch did not take a document: {_reason(one)}")
        return {id: _reason(one) for id, one in failed.items()}

    async def get(self, id: str) -> Document | None:
        told = await self._ask("GET", f"/{INDEX}/_doc/{quote(id, safe='')}", absent=True)
        return _document(told["_source"]) if told.get("found") else None

    async def find(self, wanted: Wanted) -> list[Found]:
        words: dict[str, Any] = {
            "size": wanted.limit,
            "query": {"bool": _conditions(wanted)},
            "sort": ORDER,
            "track_total_hits": False,
            "timeout": f"{LOOK_MAX_S:g}s",
        }
        if (after := wanted.after) is not None:
            words["search_after"] = [after.score, after.event_ns, after.id]
        told = await self._ask("POST", f"/{INDEX}/_search?{IF_THERE}", orjson.dumps(words))
        if told["timed_out"]:
            raise Unavailable(f"the search took more than {LOOK_MAX_S:g} s; ask for less")
        return [Found(hit["_id"], float(hit["sort"][0]), _document(hit["_source"])) for hit in told["hits"]["hits"]]

    async def settle(self) -> int:
        await self._ask("POST", f"/{INDEX}/_refresh?{IF_THERE}", timeout_s=WRITE_MAX_S)
        return (await self._ask("GET", f"/{INDEX}/_count?{IF_THERE}"))["count"]

    async def ping(self) -> None:
        await self._ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")

    async def close(self) -> None:
        await self._http.aclose()

    async def _prepare(self) -> None:
        if not self._is_prepared:
            await self._ask("PUT", f"/_index_template/{INDEX}", orjson.dumps(TEMPLATE))
            self._is_prepared = True

    async def _ask(
        self, method: str, path: str, body: bytes | None = None, *, absent: bool = False, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """What it answers. With `absent`, that there is no such thing is an answer."""
        headers = {} if body is None else {"content-type": "application/json"}
        timeout = httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s
        try:
            answer = await self._http.request(method, path, content=body, headers=headers, timeout=timeout)
            told = orjson.loads(answer.content)
        except (httpx.HTTPError, ValueError) as error:
            self._is_prepared = False
            raise Unavailable(f"OpenSearch is away: {error!r}"[:300]) from error
        if answer.is_error and not (absent and answer.status_code == NOT_FOUND):
            self._is_prepared = False
            raise Unavailable(f"OpenSearch answered {answer.status_code} to {method} {path}: {_reason(told)}")
        return told


def _bulks(documents: Mapping[str, Document]) -> Iterator[bytes]:
    """All of them as few requests of a size that OpenSearch takes (100 MB by default), and with little memory."""
    words = bytearray()
    for id, document in documents.items():
        lines = _lines(id, document)
        if words and len(words) + len(lines) > BULK_BYTES_MAX:
            yield bytes(words)
            words.clear()
        words += lines
    if words:
        yield bytes(words)


def _lines(id: str, document: Document) -> bytes:
    texts = {"id": id, TITLE: folded([document.title]), BODY: folded([document.body])}
    action = orjson.dumps({"index": {"_index": INDEX, "_id": id}})
    return b"%b\n%b\n" % (action, orjson.dumps(orjson.loads(document.encode()) | texts))


def _document(source: dict[str, Any]) -> Document:
    return Document.model_validate(source)


def _reason(told: dict[str, Any]) -> str:
    error = told.get("error", told)
    return str(error.get("reason", error) if isinstance(error, dict) else error)[:300]


def _conditions(wanted: Wanted) -> dict[str, Any]:
    """What does not count for the score is a filter; without words everything has the score 0."""
    filters: list[dict[str, Any]] = [{"match_all": {}}]
    if wanted.symbol is not None:
        filters.append({"term": {"symbols": wanted.symbol}})
    if wanted.category is not None:
        filters.append({"term": {"category": wanted.category}})
    bounds = {"gte": wanted.start_ns, "lt": wanted.end_ns}
    if given := {sign: bound for sign, bound in bounds.items() if bound is not None}:
        filters.append({"range": {"event_ns": given}})
    return {
        "filter": filters,
        "must": [_match(term) for term in wanted.terms if not term.absent],
        "must_not": [_match(term) for term in wanted.terms if term.absent],
    }


def _match(term: Term) -> dict[str, Any]:
    if term.prefix:
        [word] = term.words
        fields = {TITLE: TITLE_WEIGHT, BODY: 1.0}
        either = [{"prefix": {field: {"value": word, "boost": boost}}} for field, boost in fields.items()]
        return {"bool": {"should": either, "minimum_should_match": 1}}
    kind = "phrase" if len(term.words) > 1 else "most_fields"
    return {"multi_match": {"query": " ".join(term.words), "type": kind, "fields": [f"{TITLE}^{TITLE_WEIGHT}", BODY]}}
