"""A page over HTTP: bounded in time, size and redirects, and never from an address that is nobody's but ours.

Whoever configures a source, and every page that it leads to, names where this service connects. So each address is
looked at just before it is connected to, after names were resolved, at every redirect anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from services.sink_alt.settings import Source

REDIRECTS_MAX = 5
CHUNK_BYTES = 65_536
AGENT = "Trade2026 (+https://www.rssboard.org/rss-specification)"
ACCEPTED = "application/rss+xml, application/atom+xml, application/feed+json, application/json, text/xml, */*;q=0.5"
TRANSLATED = IPv6Network("64:ff9b::/96")
"""Addresses that a gateway takes for those of the old net."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})


class FetchError(Exception):
    """A page was not had. `reason` is one of few words; `after_s` is when its server wants to be asked again."""

    def __init__(self, reason: str, detail: str, after_s: float = 0.0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.after_s = after_s


@dataclass(frozen=True)
class Page:
    """What was answered, and by which marks the server can tell whether there is anything new."""

    body: bytes
    content_type: str
    marks: Mapping[str, str] = field(default_factory=dict[str, str])


class Fetcher:
    """Connections to public addresses, and others for the sources that may be at private ones."""

    def __init__(self, timeout_s: float, bytes_max: int) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._bytes_max = bytes_max
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def fetch(self, source: Source, marks: Mapping[str, str]) -> Page | None:
        """The page; None when it is still as it was when it had these marks. FetchError says why there is none."""
        try:
            async with asyncio.timeout(self._timeout.total):
                return await self._follow(source, marks)
        except TimeoutError:
            raise FetchError("timeout", f"no answer within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(cause := error.__cause__ or error, PrivateError):
                raise FetchError("private", str(cause)) from None
            raise FetchError("broken", repr(error)[:200]) from None

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    async def _follow(self, source: Source, marks: Mapping[str, str]) -> Page | None:
        url = URL(source.url)
        for _ in range(REDIRECTS_MAX + 1):
            if not source.private:
                _check(url.host or "")
            headers = {"User-Agent": AGENT, "Accept": ACCEPTED, **_asked(marks)}
            session = self._session(source.private)
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status in REDIRECTS and (to := answer.headers.get("Location")):
                    url = url.join(URL(to))
                    if url.scheme not in ("http", "https"):
                        raise FetchError("redirected", f"to {url.scheme}, which is not the web")
                    continue
                return await self._read(answer)
        raise FetchError("redirected", f"more than {REDIRECTS_MAX} times")

    async def _read(self, answer: aiohttp.ClientResponse) -> Page | None:
        if answer.status == 304:
            return None
        if answer.status != 200:
            after = answer.headers.get("Retry-After", "")
            raise FetchError(f"status_{answer.status}", answer.reason or "", float(after) if after.isdigit() else 0.0)
        body = bytearray()
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            body += chunk
            if len(body) > self._bytes_max:
                raise FetchError("too_large", f"more than {self._bytes_max} bytes")
        known = {"etag": answer.headers.get("ETag", ""), "modified": answer.headers.get("Last-Modified", "")}
        marks = {name: mark[:1000] for name, mark in known.items() if mark}
        return Page(bytes(body), answer.headers.get("Content-Type", ""), marks)

    def _session(self, private: bool) -> aiohttp.ClientSession:
        if private not in self._sessions:
            resolver = None if private else _PublicOnly()
            connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=16)
            self._sessions[private] = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._sessions[private]


class PrivateError(OSError):
    """An address that is not on the public net."""


class _PublicOnly(AbstractResolver):
    """Names as addresses; of these only public ones are connected to."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            _check(one["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _check(host: str) -> None:
    """PrivateError when this is an address, and not one of the public net."""
    try:
        address: Any = ip_address(host.split("%", 1)[0])
    except ValueError:
        return  # a name, which is looked at once it is resolved
    if isinstance(address, IPv6Address):
        translated = IPv4Address(int(address) & 0xFFFFFFFF) if address in TRANSLATED else None
        address = address.ipv4_mapped or address.sixtofour or translated or address
    if not address.is_global or address.is_multicast:
        raise PrivateError(f"{host} is not on the public net; `private: true` in the source allows it")


def _asked(marks: Mapping[str, str]) -> dict[str, str]:
    names = {"etag": "If-None-Match", "modified": "If-Modified-Since"}
    return {header: marks[name] for name, header in names.items() if name in marks}
