"""A page as its entries: RSS and Atom by feedparser, JSON Feed 1.1, and any other JSON by the fields that are named.

Whoever wrote a page can make it so that feedparser takes hours for it, in one call that nothing else can run beside. So
this is also a program, which reads one page and can be ended. It stands on nothing of the project, since that would be
imported with it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import orjson

READ_MAX_S = 30.0
"""A page of 5 MB takes some seconds."""

JSON_FEED = "https://jsonfeed.org/version/1"
XML_TIME = "%Y-%m-%dT%H:%M:%SZ"

Entry = dict[str, Any]
"""What an entry says, by the names of a document's fields; title and body may be HTML."""


class UnreadableError(Exception):
    """The page is no feed."""


@dataclass(frozen=True)
class Form:
    """How many entries are read of a page; and of other JSON where they stand, and in them what."""

    entries_max: int
    entries: str | None = None
    fields: Mapping[str, str] | None = None


async def read_apart(body: bytes, content_type: str, form: Form) -> list[Entry]:
    """The entries of a page, read by a process of its own, which is ended when it takes too long."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", __file__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    words = orjson.dumps({"content_type": content_type, "form": asdict(form)})
    try:
        async with asyncio.timeout(READ_MAX_S):
            told, _ = await process.communicate(words + b"\n" + body)
    except TimeoutError:
        raise UnreadableError(f"cannot be read within {READ_MAX_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    answer: dict[str, Any] = json.loads(told) if told else {"error": "its reader died"}
    if "error" in answer:
        raise UnreadableError(answer["error"])
    return answer["entries"]


def entries_of(body: bytes, content_type: str, form: Form) -> list[Entry]:
    """The entries of a page, at most as many as are read of it."""
    try:
        if form.entries is not None:
            found = _mapped(orjson.loads(body), form.entries, form.fields or {})
        elif body.lstrip()[:1] == b"{":
            found = _json_feed(orjson.loads(body))
        else:
            found = _xml(body, content_type)
    except UnreadableError:
        raise
    except Exception as error:  # feedparser fails in many ways on what is no feed
        raise UnreadableError(f"cannot be read: {error!r}"[:200]) from error
    return found[: form.entries_max]


def _xml(body: bytes, content_type: str) -> list[Entry]:
    import feedparser

    # Not as bytes: these might be taken for the name of a file. What is HTML becomes plain text later, so there is
    # nothing to be made safe, or whole, within it.
    page: Any = feedparser.parse(
        BytesIO(body),
        response_headers={"content-type": content_type},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
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


def _mapped(page: Any, where: str, fields: Mapping[str, str]) -> list[Entry]:
    items = _at(page, where)
    if not isinstance(items, list):
        raise UnreadableError(f"has no list at {where!r}")
    return [{field: _at(item, path) for field, path in fields.items()} for item in items]


def _at(words: Any, path: str) -> Any:
    """What stands at a path of names with dots between them; the words themselves at the empty one."""
    for name in path.split(".") if path else ():
        words = words.get(name) if isinstance(words, Mapping) else None
    return words


def main() -> None:
    """Read the page that comes in, behind a line that says how; tell its entries, or why there are none."""
    signal.alarm(2 * int(READ_MAX_S))  # whoever asked may have died
    words = orjson.loads(sys.stdin.buffer.readline())
    try:
        told = {"entries": entries_of(sys.stdin.buffer.read(), words["content_type"], Form(**words["form"]))}
    except UnreadableError as error:
        told = {"error": str(error)}
    sys.stdout.write(json.dumps(told))  # orjson has no words for half of a character


if __name__ == "__main__":
    main()
