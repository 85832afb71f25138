"""HTML as plain text: what a person would read of it, and nothing that a browser would carry out.

The texts come from anywhere, so what is done takes time in proportion to their length, whatever is in them: every look
ahead either ends behind what it found, or finds nothing and is not taken again.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

UNREAD = {"script", "style", "template", "noscript", "iframe", "object", "svg", "head"}
HEADS = {"h1", "h2", "h3", "h4", "h5", "h6"}
APART = HEADS | {"p", "br", "div", "li", "ul", "ol", "tr", "table", "blockquote", "pre", "hr"}
EMPTY = {"br", "hr"}

TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*)|<!--|<[!?]")
STOP = re.compile(r">|=\s*([\"'])")
"""The end of a tag, or the beginning of a quoted value, within which there is no end."""
ENDS = {tag: re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE) for tag in UNREAD}


def plain(text: str) -> str:
    """The text of it, a line for each paragraph. Text without any tag comes out as it is, but for its spacing."""
    lines = (" ".join(line.split()) for line in "".join(_pieces(text)).split("\n"))
    return re.sub(r"\n{2,}", "\n", "\n".join(lines)).strip()


def _pieces(text: str) -> Iterator[str]:
    at, quotes = 0, True
    while tag := TAG.search(text, at):
        yield html.unescape(text[at : tag.start()])
        name = (tag[2] or "").lower()
        end = _end(text, tag, quotes)
        if end is None and quotes:
            quotes = False  # a value that is never closed is none
            end = _end(text, tag, quotes)
        if end is None:
            yield html.unescape(text[tag.start() :]) if name else ""
            return
        if name in APART and not (tag[1] and name in EMPTY):
            yield "\n"
        at = end
        if name in UNREAD and not tag[1] and text[end - 2] != "/":
            over = ENDS[name].search(text, end)
            if over is None:
                return
            at = over.start()
    yield html.unescape(text[at:])


def _end(text: str, tag: re.Match[str], quotes: bool) -> int | None:
    """Where a tag or a comment is over; None where nothing ends it."""
    if tag[2] is None:
        close = "-->" if tag[0] == "<!--" else ">"
        found = text.find(close, tag.end())
        return None if found < 0 else found + len(close)
    at: int = tag.end()
    while stop := STOP.search(text, at):
        if stop[0] == ">":
            return stop.end()
        at = stop.end()
        if quotes:
            at = text.find(stop[1], at) + 1
            if not at:
                return None
    return None
