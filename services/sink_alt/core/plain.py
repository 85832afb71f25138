"""HTML as plain text: what a person would read of it, and nothing that a browser would carry out."""

from __future__ import annotations

import re
from html.parser import HTMLParser

UNREAD = {"script", "style", "template", "noscript", "iframe", "object", "svg", "head"}
HEADS = {"h1", "h2", "h3", "h4", "h5", "h6"}
APART = HEADS | {"p", "br", "div", "li", "ul", "ol", "tr", "table", "blockquote", "pre", "hr"}
EMPTY = {"br", "hr"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._unread: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNREAD:
            self._unread.append(tag)
        elif tag in APART:
            self.words.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in APART:
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unread:
            del self._unread[self._unread.index(tag) :]
        elif tag in APART - EMPTY:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.words.append(data)


def plain(html: str) -> str:
    """The text of it, a line for each paragraph. Text without any tag comes out as it is, but for its spacing."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.words).split("\n"))
    return re.sub(r"\n{2,}", "\n", "\n".join(lines)).strip()
