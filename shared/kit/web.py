"""Doors: HTTP in, problem documents out.

    Refused       its own 4xx    Unavailable   503 with Retry-After    anything else   500, no internals shown

A problem is RFC 9457 `application/problem+json`: type, title, status, detail, instance, code, request_id, and for bad
input `errors`, each naming its field.
"""

from __future__ import annotations

import functools
import http
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
import starlette.routing
from fastapi import Depends, FastAPI, Header
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from shared.contract.base import NAME_PATTERN, rfc3339
from shared.contract.base import Message as Words
from shared.contract.errors import Refused, Unavailable
from shared.kit.clock import Clock
from shared.kit.copies import Copies, Incomplete
from shared.kit.ids import fresh_id
from shared.kit.log import request_id
from shared.kit.meter import Meter
from shared.kit.service import Owner, Route

BODY_BYTES_MAX = 256 * 1024
NOTHING = (b"", b"{}", b"null")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", pattern=NAME_PATTERN)]
"""A handler's parameter of this type is the header of that name."""


@dataclass(frozen=True)
class Reply:
    """An answer with a status and headers of its own."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def render(result: Any) -> Response:
    """What a handler returned, as a response."""
    if isinstance(result, Reply):
        body = result.body if isinstance(result.body, bytes) else to_json(result.body)
        return Response(body, result.status, dict(result.headers), media_type=result.content_type)
    return Response(to_json(result), media_type="application/json")


def to_json(words: Any) -> bytes:
    """JSON as it leaves the suite: Decimals as strings, and times as RFC 3339 beside their exact nanoseconds.

    `created_ns: 17…` becomes `created_at: "2026-…Z", created_ns: "17…"`: whole for people and for JavaScript.
    """
    plain = words.shown() if isinstance(words, Words) else orjson.dumps(words, default=_plain, option=_OPTIONS)
    return _NANOS.sub(_outward, plain) + b"\n"  # so that answers end their line in a terminal


_OPTIONS = orjson.OPT_NON_STR_KEYS
_NANOS = re.compile(rb'"(\w+_ns)":(\d+)(?=[,}])')
"""A member of an object, never the inside of a string: there its quotes would be escaped."""


def _outward(member: re.Match[bytes]) -> bytes:
    name, nanos = member.group(1), member.group(2)
    at = b"at" if name == b"at_ns" else name[:-3] + b"_at"
    time = b"null" if nanos == b"0" else b'"%b"' % rfc3339(int(nanos)).encode()
    return b'"%b":%b,"%b":"%b"' % (at, time, name, nanos)


def _plain(value: Any) -> Any:
    """What has words of its own to be shown in, shown in them; anything else as text."""
    shown = getattr(value, "shown", None)
    return str(value) if shown is None else orjson.Fragment(shown())


def open_app(
    service: str,
    version: str,
    routes: list[Route],
    guard: Callable[[], Awaitable[None]],
    copies: Copies | None = None,
) -> FastAPI:
    """The application behind the doors: each route's handler is called once `guard` lets it. Of several copies the
    owner of what a request is about answers."""
    # A redirect would name the address as it is seen here. Behind the edge and the front door it is another one.
    app = FastAPI(
        title=f"Trade2026 {service}",
        version=version,
        dependencies=[Depends(_nothing_unknown)],
        redirect_slashes=False,
    )
    for route in routes:
        methods = METHODS if route.method == "*" else [route.method]
        endpoint = _guarded(route.handler, _unguarded if route.always else guard)
        if copies is not None and route.owner is not None:
            endpoint = _owned(endpoint, route.owner, copies)
        if route.method == "*":
            app.router.routes.append(_AnyMethod(route.path, endpoint, methods=methods, include_in_schema=False))
        else:
            app.add_api_route(route.path, endpoint, methods=methods, response_model=None, name=route.handler.__name__)
    app.add_exception_handler(Exception, _bug)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return app


class _AnyMethod(starlette.routing.Route):
    """A route that is known by its path when the request is measured, as FastAPI's own are."""

    def matches(self, scope: Scope) -> tuple[starlette.routing.Match, Scope]:
        match, child = super().matches(scope)
        return match, {**child, "route": self}


async def _nothing_unknown(request: Request) -> None:
    """Refuse what a route does not know. To take no notice of it can do more than was asked: cancel all, say."""
    route = request.scope["route"]
    known = {parameter.alias for parameter in route.dependant.query_params}
    for name in request.query_params:
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise Refused("INVALID", f"{name}: is not a parameter of this request; known: {names}", field=name)
    if route.body_field is None and (await request.body()).strip() not in NOTHING:
        names = f"; its parameters stand in the query: {', '.join(sorted(known))}" if known else ""
        raise Refused("INVALID", f"this request takes no body{names}", field="body")


def plain_route(app: FastAPI, path: str, handler: Callable[[], Awaitable[Response]]) -> None:
    """A door that opens whatever the service's state."""
    app.add_api_route(path, handler, methods=["GET"], response_model=None, name=path.strip("/"))


async def _unguarded() -> None:
    return None


def _guarded(handler: Callable[..., Awaitable[Any]], guard: Callable[[], Awaitable[None]]) -> Any:
    @functools.wraps(handler)
    async def endpoint(*args: Any, **kwargs: Any) -> Response:
        await guard()
        return render(await handler(*args, **kwargs))

    return endpoint


def _owned(endpoint: Callable[..., Awaitable[Response]], owner: Owner, copies: Copies) -> Any:
    """The endpoint, behind a look at whose affair a request is."""

    @functools.wraps(endpoint)
    async def answered(request_as_sent: Request, **given: Any) -> Any:
        body = await request_as_sent.body()
        return await copies.answer(request_as_sent, body, owner(given), functools.partial(endpoint, **given))

    plain = inspect.signature(endpoint)
    sent = inspect.Parameter("request_as_sent", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    answered.__signature__ = plain.replace(parameters=[*plain.parameters.values(), sent])  # type: ignore[attr-defined]
    return answered


def problem(
    request: HTTPConnection,
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """A problem document."""
    document: dict[str, Any] = {
        "type": f"urn:trade2026:problem:{code.lower()}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "code": code,
        "request_id": request_id.get(),
        **({"errors": errors} if errors else {}),
        **(extra or {}),
    }
    return Response(to_json(document), status, dict(headers or {}), media_type="application/problem+json")


async def _refused(request: Request, error: Any) -> Response:
    errors = [{"field": error.field, "message": error.detail}] if error.field else None
    return problem(request, error.status, error.code, error.detail, errors=errors, extra=error.extra)


async def _unavailable(request: Request, error: Any) -> Response:
    headers = {"Retry-After": str(max(1, round(error.retry_after_s)))}
    extra = {"done": error.done} if isinstance(error, Incomplete) else None
    return problem(request, 503, "UNAVAILABLE", error.detail, headers=headers, extra=extra)


async def _invalid(request: Request, error: Any) -> Response:
    errors = [_fault(fault) for fault in error.errors()]
    detail = "; ".join(f"{fault['field']}: {fault['message']}" for fault in errors[:5])
    return problem(request, 422, "INVALID", detail, errors=errors)


_PARTS = (("body",), ("query",), ("path",), ("header",))


def _fault(fault: Mapping[str, Any]) -> dict[str, str]:
    inside = fault["loc"][1:] if fault["loc"][:1] in _PARTS else fault["loc"]
    where = [str(part) for part in inside]
    text = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "json_invalid":
        return {"field": "body", "message": f"not JSON: {fault.get('ctx', {}).get('error', text)}"}
    if fault["type"] == "extra_forbidden":
        text = "is not a field of this request; remove it"
    if fault["type"] in ("model_type", "model_attributes_type", "dict_type"):
        text = "must be a JSON object, sent with Content-Type: application/json"
    if fault["type"] == "missing":
        text = "is required"
    name, colon, rest = text.partition(": ")
    if not where and colon and name.isidentifier():
        return {"field": name, "message": rest}
    return {"field": ".".join(where) or "body", "message": text}


async def _http(request: Request, error: Any) -> Response:
    codes = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 400: "BAD_REQUEST", 413: "BODY_TOO_LARGE"}
    slash = error.status_code == 404 and request.url.path.endswith("/")
    mend = "; ask without a slash at its end" if slash else ""
    detail = f"{request.method} {request.url.path}: {error.detail}{mend}"
    return problem(request, error.status_code, codes.get(error.status_code, "HTTP_ERROR"), detail)


async def _bug(request: Request, _error: Exception) -> Response:
    return problem(request, 500, "INTERNAL", f"an error on our side; find it in the log by {request_id.get()}")


_HANDLERS: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
    Refused: _refused,
    Unavailable: _unavailable,
    RequestValidationError: _invalid,
    HTTPException: _http,
}


async def problem_of(request: Request, error: Exception) -> Response:
    """How an error of a handler is answered."""
    handler = next((handler for kind, handler in _HANDLERS.items() if isinstance(error, kind)), _bug)
    return await handler(request, error)


class Doors:
    """Around the application: request ids, a limit on bodies, and the measuring of each request."""

    def __init__(
        self,
        app: ASGIApp,
        clock: Clock,
        meter: Meter,
        log: FilteringBoundLogger,
        hot: Mapping[tuple[str, str], ASGIApp] | None = None,
    ) -> None:
        self._app = app
        self._hot = hot or {}
        self._clock = clock
        self._meter = meter
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        token = request_id.set(given.decode("latin-1")[:64] or fresh_id())
        started_ns = self._clock.monotonic_ns()
        call = _Call(scope, receive, send)
        try:
            await call.run(self._hot.get((scope["method"], scope["path"]), self._app))
        except Exception:
            # The application has answered with a 500 already; here it is told.
            self._log.exception("request_failed", method=scope["method"], path=scope["path"])
        finally:
            elapsed_s = (self._clock.monotonic_ns() - started_ns) / 1e9
            route = getattr(scope.get("route"), "path", "unmatched")
            self._meter.observe("http_seconds", elapsed_s, method=scope["method"], route=route)
            self._meter.count("http_requests", method=scope["method"], route=route, status=str(call.status))
            request_id.reset(token)


class _Call:
    """One request and its answer, with the body counted on its way in.

    A body that turns out too large while it is read breaks off the reading; whatever the application makes of that,
    the answer that leaves is 413.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._taken = 0
        self._too_large = False
        self.status = 500

    async def run(self, app: ASGIApp) -> None:
        length = next((value for name, value in self._scope["headers"] if name == b"content-length"), b"0")
        self._too_large = length.isdigit() and int(length) > BODY_BYTES_MAX
        try:
            if not self._too_large:
                await app(self._scope, self._receiving, self._sending)
        except Exception:
            if not self._too_large:
                raise
        if self._too_large:
            await self._refuse()

    async def _receiving(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        if self._taken > BODY_BYTES_MAX:
            self._too_large = True
            raise ValueError("the body is too large")
        return message

    async def _sending(self, message: Message) -> None:
        if self._too_large:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", request_id.get().encode("latin-1"))]
        await self._send(message)

    async def _refuse(self) -> None:
        self.status = 413
        detail = f"the body is larger than {BODY_BYTES_MAX} bytes; send less"
        response = problem(Request(self._scope), 413, "BODY_TOO_LARGE", detail, headers={"Connection": "close"})
        await response(self._scope, self._receive, self._send)
