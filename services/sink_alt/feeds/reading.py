"""A page as its entries: RSS and Atom by feedparser, JSON Feed 1.1, and any other JSON by the fields that are named."""

from __future__ import annotations

import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import orjson

from services.sink_alt.settings import Source

JSON_FEED = "https://jsonfeed.org/version/1"
XML_TIME = "%Y-%m-%dT%H:%M:%SZ"

Entry = dict[str, Any]
"""What an entry says, by the names of a document's fields; title and body may be HTML."""


class UnreadableError(Exception):
    """The page is no feed."""


def entries_of(body: bytes, content_type: str, source: Source) -> list[Entry]:
    """The entries of a page, at most as many as are read of it."""
    try:
        if source.entries is not None:
            found = _mapped(orjson.loads(body), source)
        elif body.lstrip()[:1] == b"{":
            found = _json_feed(orjson.loads(body))
        else:
            found = _xml(body, content_type)
    except UnreadableError:
        raise
    except Exception as error:  # feedparser fails in many ways on what is no feed
        raise UnreadableError(f"cannot be read: {error!r}"[:200]) from error
    return found[: source.entries_max]


def _xml(body: bytes, content_type: str) -> list[Entry]:
    import feedparser

    # Not as bytes: these might be taken for the name of a file.
    page: Any = feedparser.parse(BytesIO(body), response_headers={"content-type": content_type})
    if not page.get("version") and not page.entries:
        raise UnreadableError(f"is neither RSS nor Atom: {page.get('bozo_exception', 'no entries')}"[:200])
    language = page.feed.get("language", "")
    # As plain mappings: feedparser's own warn of what they stand in for.
    return [_of_xml(dict(entry), language) for entry in page.entries]


def _of_xml(entry: dict[str, Any], language: str) -> Entry:
    at = entry.get("published_parsed") or entry.get("updated_parsed")
    content = entry.get("content") or []
    return {
        "title": entry.get("title", ""),
        "body": content[0].get("value", "") if content else entry.get("summary", ""),
        "url": entry.get("link", ""),
        # A time that is there and cannot be read is told as it stands.
        "timestamp": time.strftime(XML_TIME, at) if at else entry.get("published") or entry.get("updated"),
        "language": (content[0].get("language") if content else "") or language,
        "tags": [tag.get("term") or "" for tag in entry.get("tags", [])],
    }


def _json_feed(page: Any) -> list[Entry]:
    if not str(page.get("version", "")).startswith(JSON_FEED) or not isinstance(page.get("items"), list):
        raise UnreadableError("is JSON, but no JSON Feed; name its `entries` and `fields` in the source")
    return [
        {
            "title": item.get("title"),
            "body": item.get("content_html") or item.get("content_text") or item.get("summary"),
            "url": item.get("url") or item.get("external_url"),
            "timestamp": item.get("date_published") or item.get("date_modified"),
            "language": item.get("language") or page.get("language"),
            "tags": item.get("tags"),
        }
        for item in page["items"]
        if isinstance(item, dict)
    ]


def _mapped(page: Any, source: Source) -> list[Entry]:
    items = _at(page, source.entries or "")
    if not isinstance(items, list):
        raise UnreadableError(f"has no list at {source.entries!r}")
    return [{field: _at(item, path) for field, path in source.fields.items()} for item in items]


def _at(words: Any, path: str) -> Any:
    """What stands at a path of names with dots between them; the words themselves at the empty one."""
    for name in path.split(".") if path else ():
        words = words.get(name) if isinstance(words, Mapping) else None
    return words
