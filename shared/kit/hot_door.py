"""The hot door: a route that is asked a thousand times a second, served without the framework's layers.

FastAPI was measured to cost 200 µs a request in validation, injection and middleware, where uvicorn itself costs 22.
A route marked `hot` keeps its place in FastAPI's table, so that /docs and /openapi.json know it; requests for exactly
its path are answered here. Its handler takes one message, the body, and may take the Idempotency-Key header.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.contract.base import NAME_PATTERN, Message
from shared.kit.copies import Copies
from shared.kit.service import Route
from shared.kit.web import Reply, problem_of, to_json

NAME = re.compile(NAME_PATTERN)
KEY = b"idempotency-key"


class HotDoor:
    """One route, as an ASGI application."""

    def __init__(self, route: Route, guard: Callable[[], Awaitable[None]], copies: Copies | None) -> None:
        hints = typing.get_type_hints(route.handler)
        names = list(inspect.signature(route.handler).parameters)
        self.path = route.path
        self._message: type[Message] = hints[names[0]]
        self._keyed = len(names) > 1
        self._name = names[0]
        self._owner = route.owner
        self._copies = copies
        self._handler = route.handler
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        body = await _body(receive)
        try:
            message = self._read(scope, body)
            if self._copies is not None and self._owner is not None:
                owner, here = self._owner({self._name: message}), partial(self._handled, scope, message)
                result = await self._copies.answer(Request(scope), body, owner, here)
            else:
                result = await self._handled(scope, message)
        except Exception as error:
            response = await problem_of(Request(scope), error)
            await response(scope, receive, send)
            if response.status_code == 500:
                raise  # for the doors to tell
            return
        if isinstance(result, Response):
            await result(scope, receive, send)
            return
        reply = result if isinstance(result, Reply) else Reply(result)
        answer = to_json(reply.body)
        named = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
        length = (b"content-length", b"%d" % len(answer))
        headers = [(b"content-type", reply.content_type.encode("latin-1")), length, *named]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _read(self, scope: Scope, body: bytes) -> Message:
        if not _is_json(scope):
            # Else a page in somebody's browser could place an order without asking.
            raise RequestValidationError(
                [{"type": "model_attributes_type", "loc": ("body",), "msg": "", "input": None}]
            )
        try:
            return self._message.model_validate_json(body)
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from None

    async def _handled(self, scope: Scope, message: Message) -> Any:
        await self._guard()
        return await (self._handler(message, _key(scope)) if self._keyed else self._handler(message))


def hot_doors(
    routes: Iterable[Route], guard: Callable[[], Awaitable[None]], copies: Copies | None = None
) -> dict[tuple[str, str], HotDoor]:
    """The hot routes by method and path."""
    return {(route.method, route.path): HotDoor(route, guard, copies) for route in routes if route.hot}


async def _body(receive: Receive) -> bytes:
    part = await receive()
    body = part.get("body", b"")
    while part.get("more_body", False):
        part = await receive()
        body += part.get("body", b"")
    return body


def _is_json(scope: Scope) -> bool:
    given = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return given.partition(b";")[0].strip().lower() == b"application/json"


def _key(scope: Scope) -> str | None:
    given = next((value for name, value in scope["headers"] if name == KEY), None)
    if given is None:
        return None
    key = given.decode("latin-1")
    if not NAME.match(key):
        where = {"type": "string_pattern_mismatch", "loc": ("header", "Idempotency-Key")}
        raise RequestValidationError([{**where, "msg": f"String should match pattern '{NAME_PATTERN}'", "input": key}])
    return key
