"""Peers: HTTP to another service by its name on the roster, and what its sockets say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import httpx
import orjson
from starlette.requests import Request
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.http11 import Response

from shared.contract.errors import Refused, Unavailable
from shared.kit.log import request_id
from shared.kit.settings import Suite

PING_EVERY_S = 10.0
PONG_WITHIN_S = 10.0
CLOSE_WITHIN_S = 2.0
SAID_BYTES_MAX = 16 << 20

PASSED_IN = ("accept", "content-type", "idempotency-key", "authorization")
PASSED_OUT = ("content-type", "idempotency-replayed", "retry-after", "location")
"""The headers that pass from door to door."""


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
        at: str = "",
    ) -> PeerAnswer:
        """The peer's answer whatever its status; Unavailable when it did not answer. `at` is one copy's address."""
        url = httpx.URL(self._url(service, at)).copy_with(raw_path=_raw(path, query))
        sent = {**(headers or {}), "X-Request-Id": request_id.get()}
        try:
            answer = await self._client.request(method, url, headers=sent, content=body, timeout=timeout_s)
        except httpx.HTTPError as error:
            raise Unavailable(f"{service} did not answer: {error!r}"[:300]) from error
        return PeerAnswer(answer.status_code, answer.headers, answer.content)

    async def pass_on(
        self,
        service: str,
        request: Request,
        path: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        at: str = "",
    ) -> PeerAnswer:
        """The peer's answer to a request of somebody else's, with those of its headers that pass a door."""
        answer = await self.request(
            service,
            request.method,
            path,
            query=request.url.query,
            headers={**passing(request.headers, PASSED_IN), **(headers or {})},
            body=body,
            timeout_s=timeout_s,
            at=at,
        )
        return replace(answer, headers=passing(answer.headers, PASSED_OUT))

    async def follow(
        self,
        service: str,
        path: str,
        put: Callable[[orjson.Fragment], None],
        *,
        headers: Mapping[str, str] | None = None,
        at: str = "",
    ) -> None:
        """Hand on what a peer's socket says, word for word, until it has nothing more to say.

        Refused as the peer refuses it; Unavailable when it is not there, or ends before it is done.
        """
        opening = connect(
            self._url(service, at).replace("http", "ws", 1) + path,
            additional_headers={**(headers or {}), "X-Request-Id": request_id.get()},
            proxy=None,
            compression=None,
            max_size=SAID_BYTES_MAX,
            ping_interval=PING_EVERY_S,
            ping_timeout=PONG_WITHIN_S,
            close_timeout=CLOSE_WITHIN_S,
        )
        try:
            async with opening as socket:
                async for words in socket:
                    put(orjson.Fragment(words))
        except InvalidStatus as error:
            raise _refusal(service, error.response) from error
        except ConnectionClosed as error:
            told = f": {error.rcvd.reason or error.rcvd.code}" if error.rcvd else ""
            raise Unavailable(f"{service} ended the connection{told}; connect again") from error
        except (OSError, WebSocketException) as error:
            raise Unavailable(f"{service} did not answer: {error!r}"[:300]) from error

    async def close(self) -> None:
        await self._client.aclose()

    def _url(self, service: str, at: str) -> str:
        return f"http://{at}" if at else self._suite.url(service)


def passing(headers: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """The headers of those names."""
    return {name: headers[name] for name in names if name in headers}


def _refusal(service: str, answer: Response) -> Refused | Unavailable:
    """What a peer's problem document says."""
    try:
        problem = orjson.loads(answer.body or b"")
        code, detail, status = problem["code"], problem["detail"], answer.status_code
        field = next((one["field"] for one in problem.get("errors", ())), None)
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return Unavailable(f"{service} answered {answer.status_code} and nothing that could be read")
    return Refused(code, detail, status=status, field=field) if status < 500 else Unavailable(f"{service}: {detail}")


def _raw(path: str, query: str) -> bytes:
    return f"{path}?{query}".encode() if query else path.encode()
