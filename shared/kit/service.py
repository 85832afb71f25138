"""Service: a service's whole surface as tables of rows: what it hears, says, serves, and does every so often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from shared.contract.base import Message
from shared.contract.subjects import Question, Subject

M = TypeVar("M", bound=Message)
AnyHandler = Callable[..., Any]

Key = Callable[..., str] | str
"""A kind of keys, out of `shared.contract.keys`, or one very key."""
Owner = Callable[[Mapping[str, Any]], str | None]

SOCKET = "SOCKET"
"""The method of a route that is a WebSocket."""


@dataclass(frozen=True)
class Heard(Generic[M]):
    """A message out of a stream: on which subject, and where in the stream it stands."""

    subject: Subject[M]
    message: M
    sequence: int
    address: str


Unheard = list[tuple[Heard[Any], Exception]]
"""Messages that a handler of lists can make nothing of, each with the reason: they are set aside, and counted."""


@dataclass(frozen=True)
class On:
    """Durable: acknowledged after the handler returned; one at a time per value of the lane field.

    `owned`: of several copies, only the owner of what a message is about handles it. `first`: at the start all that
    waits is handled before the rows that follow are heard.
    """

    subject: Subject[Any]
    handler: Callable[[Any], Awaitable[Any]]
    lane: str
    owned: bool = False
    first: bool = False


@dataclass(frozen=True)
class Watch:
    """Live, at most once, in the order of arrival; `always`: also while the service recovers."""

    subject: Subject[Any]
    handler: Callable[[Any], Any]
    always: bool = False


@dataclass(frozen=True)
class Answer:
    """A question, answered with what the handler returns."""

    question: Question[Any]
    handler: Callable[[Any], Awaitable[Message]]


@dataclass(frozen=True)
class Batch:
    """Durable, many at once: all are acknowledged together after the handler returned, perhaps what is `Unheard`.

    `into`: what the row fills. Rows that hear the same, each into something else, come along each at its own pace.
    """

    subjects: tuple[Subject[Any], ...]
    handler: Callable[[list[Heard[Any]]], Awaitable[Any]]
    count_max: int
    wait_s: float
    into: str = ""


@dataclass(frozen=True)
class Follow:
    """A stream read in order from just after `after()`; what is covered there is the service's own affair.

    `into` is as of a batch.
    """

    subjects: tuple[Subject[Any], ...]
    handler: Callable[[list[Heard[Any]]], Awaitable[Any]]
    after: Callable[[], int]
    count_max: int
    into: str = ""


Hear = On | Watch | Answer | Batch | Follow


class SocketStream(Protocol):
    """One reader, as a handler sees it. The first message opens the connection; before it, a handler may refuse."""

    def put(self, message: Any) -> None:
        """Queue a message at once. A reader that is too far behind is cut instead."""
        ...

    async def send(self, message: Any) -> None:
        """Queue a message, and wait while half of the queue is taken."""
        ...

    def cut(self, reason: str) -> None:
        """End the connection, and forget what it has not been sent yet. The reader may connect again."""
        ...

    async def closed(self) -> None:
        """Wait until the connection is to end. A handler whose reader goes away is cancelled."""
        ...


@dataclass(frozen=True)
class Route:
    """`owner` leads from a handler's arguments to what the request is about, where its owner is to answer; None: all
    copies are, and their answers are put together."""

    method: str
    path: str
    handler: AnyHandler
    hot: bool = False
    always: bool = False
    owner: Owner | None = None


@dataclass(frozen=True)
class Each:
    seconds: float
    handler: Callable[[], Awaitable[Any]]


async def _nothing() -> None:
    return None


def _empty() -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Service:
    """What `wire` returns. It is also all that NATS and Valkey let the service do: see `permissions.py`.

    `keeps` are the kinds of keys that it writes and reads, `reads` those that it only reads.
    `recovers` runs before anything is heard or served, and again after the journal broke. `closes` runs at the end.
    `checks` adds to /readyz: name → None when well, else what is wrong. `stats` adds to /stats.
    """

    hears: Sequence[Hear] = ()
    says: Sequence[Subject[Any]] = ()
    asks: Sequence[Question[Any]] = ()
    keeps: Sequence[Key] = ()
    reads: Sequence[Key] = ()
    serves: Sequence[Route] = ()
    every: Sequence[Each] = ()
    recovers: Callable[[], Awaitable[None]] = _nothing
    closes: Callable[[], Awaitable[None]] = _nothing
    checks: Callable[[], Mapping[str, str | None]] = field(default=_empty)
    stats: Callable[[], Mapping[str, Any]] = field(default=_empty)


def on(
    subject: Subject[M],
    handler: Callable[[M], Awaitable[Any]],
    *,
    lane: str,
    owned: bool = False,
    first: bool = False,
) -> On:
    """Hear a subject durably; `lane` names the message's field by which order is kept."""
    return On(subject, handler, lane, owned, first)


def watch(subject: Subject[M], handler: Callable[[M], Any], *, always: bool = False) -> Watch:
    """Hear a subject live; a message that comes while nobody listens is gone, and unless `always` (where nothing is
    committed for it), so is one that comes while the service recovers."""
    return Watch(subject, handler, always)


def answer(question: Question[M], handler: Callable[[M], Awaitable[Message]]) -> Answer:
    """Answer a question."""
    return Answer(question, handler)


def batch(
    subjects: Sequence[Subject[Any]],
    handler: Callable[[list[Heard[Any]]], Awaitable[Any]],
    *,
    count_max: int = 512,
    wait_s: float = 0.2,
    into: str = "",
) -> Batch:
    """Hear subjects of one stream durably, up to `count_max` messages or `wait_s` at a time."""
    return Batch(tuple(subjects), handler, count_max, wait_s, into)


def follow(
    subjects: Sequence[Subject[Any]],
    handler: Callable[[list[Heard[Any]]], Awaitable[Any]],
    *,
    after: Callable[[], int],
    count_max: int = 256,
    into: str = "",
) -> Follow:
    """Read subjects of one stream in order, from the service's own checkpoint on."""
    return Follow(tuple(subjects), handler, after, count_max, into)


def get(path: str, handler: AnyHandler) -> Route:
    """Serve GET. The handler's plain parameters are the path's and the query's."""
    return Route("GET", path, handler)


def post(path: str, handler: AnyHandler, *, hot: bool = False, always: bool = False) -> Route:
    """Serve POST. A parameter that is a Message is the body.

    `hot`: see `hot_door.py`. `always`: also while the service is recovering or takes nothing on.
    """
    return Route("POST", path, handler, hot, always)


def put(path: str, handler: AnyHandler) -> Route:
    """Serve PUT."""
    return Route("PUT", path, handler)


def patch(path: str, handler: AnyHandler) -> Route:
    """Serve PATCH. A parameter that is a Message is the body."""
    return Route("PATCH", path, handler)


def delete(path: str, handler: AnyHandler) -> Route:
    """Serve DELETE."""
    return Route("DELETE", path, handler)


def any_method(path: str, handler: AnyHandler) -> Route:
    """Serve every method; the handler takes a `Request`."""
    return Route("*", path, handler)


def websocket(path: str, handler: AnyHandler) -> Route:
    """Serve a WebSocket. The handler takes a `SocketStream`, then the path's parameters, and with a default each the
    query's."""
    return Route(SOCKET, path, handler)


def owned(by: Owner, *routes: Route) -> tuple[Route, ...]:
    """These routes, to be answered by the owner of what they are about, whichever of several copies was asked."""
    return tuple([replace(route, owner=by) for route in routes])


def each(seconds: float, handler: Callable[[], Awaitable[Any]]) -> Each:
    """Do something every so often; it never overlaps itself."""
    return Each(seconds, handler)
