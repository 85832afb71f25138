"""Peers: HTTP to another service by its name on the roster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from shared.contract.errors import Unavailable
from shared.kit.log import request_id
from shared.kit.settings import Suite


@dataclass(frozen=True)
class PeerAnswer:
    """What a peer answered, as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Peers:
    """One pool of connections to the other services. Nothing is ever retried: a time-out is unknown, not failed."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        # Peers speak plain HTTP: without `verify` the client does not load the machine's certificates for nothing.
        self._client = httpx.AsyncClient(
            trust_env=False, verify=False, limits=httpx.Limits(max_connections=256, max_keepalive_connections=64)
        )

    async def request(
        self,
        service: str,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 5.0,
    ) -> PeerAnswer:
        """The peer's answer whatever its status; Unavailable when it did not answer."""
        url = httpx.URL(self._suite.url(service)).copy_with(raw_path=_raw(path, query))
        sent = {**(headers or {}), "X-Request-Id": request_id.get()}
        try:
            answer = await self._client.request(method, url, headers=sent, content=body, timeout=timeout_s)
        except httpx.HTTPError as error:
            raise Unavailable(f"{service} did not answer: {error!r}"[:300]) from error
        return PeerAnswer(answer.status_code, answer.headers, answer.content)

    async def close(self) -> None:
        await self._client.aclose()


def _raw(path: str, query: str) -> bytes:
    return f"{path}?{query}".encode() if query else path.encode()
