"""Copies: a request that came to the wrong one of several copies of a service is carried to the one it is for.

Which one that is follows from what the request is about, as the service's tables say. Where each copy is reached lies
in the store, written by the copy itself. A carried request names the copy it is for, and is not carried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from shared.contract import keys
from shared.contract.errors import Unavailable
from shared.kit.peers import PeerAnswer, Peers
from shared.kit.shard import Shard
from shared.kit.valkey import Valkey

FOR = "trade2026-shard"
"""The header of a carried request: the name of the copy that is to answer it."""

WITHIN_S = 8.0
"""How long another copy may take; less than the front door waits for a service."""

Here = Callable[[], Awaitable[Any]]


class Incomplete(Unavailable):
    """Some of the copies did what was asked of all; `done` is what they did."""

    def __init__(self, detail: str, done: Any) -> None:
        super().__init__(detail)
        self.done = done


class Copies:
    """All copies of a service, seen from one of them."""

    def __init__(self, shard: Shard, valkey: Valkey, peers: Peers) -> None:
        self._shard = shard
        self._valkey = valkey
        self._peers = peers

    async def answer(self, request: Request, body: bytes, word: str | None, here: Here) -> Any:
        """What the owner of `word` answers, or, without one, what all copies do; `here` is what this one does."""
        owner = self.elsewhere(request, word)
        if owner is not None:
            return _response(await self._carried(request, body, owner))
        if word is None and FOR not in request.headers:
            return await self._of_all(request, body, here)
        return await here()

    def elsewhere(self, request: HTTPConnection, word: str | None) -> Shard | None:
        """The copy that is to answer, None when it is this one. Unavailable when this was taken for another."""
        meant = request.headers.get(FOR)
        if meant is not None and meant != self._shard.name:
            raise Unavailable(f"this is {self._shard.name}, not {meant}; ask again")
        if word is None or self._shard.owns(word):
            return None
        owner = self._shard.sibling(self._shard.owner(word))
        if meant is not None:
            raise Unavailable(f"this is the affair of {owner.name}, not of {meant}; ask again")
        return owner

    async def follow(self, path: str, put: Callable[[orjson.Fragment], None], owner: Shard) -> None:
        """Hand on what the owner's socket says."""
        address = await self._address(owner)
        await self._peers.follow(owner.service, path, put, headers={FOR: owner.name}, at=address)

    async def _of_all(self, request: Request, body: bytes, here: Here) -> Response:
        """The answers of all copies as one. Where one is missing, what the others did is told all the same."""
        others = [self._shard.sibling(index) for index in range(1, self._shard.count + 1) if index != self._shard.index]
        asked = (self._done(other, self._carried(request, body, other)) for other in others)
        outcomes = await asyncio.gather(self._done(self._shard, here()), *asked)
        done = merged([one for one in outcomes if not isinstance(one, Unavailable)])
        if trouble := [one.detail for one in outcomes if isinstance(one, Unavailable)]:
            raise Incomplete(f"{'; '.join(trouble)}: what the others did is in `done`; ask again", done)
        return Response(orjson.dumps(done) + b"\n", media_type="application/json")

    async def _done(self, shard: Shard, asked: Awaitable[Response | PeerAnswer]) -> Any:
        """What one of the copies did, or why nobody knows of it."""
        try:
            answer = await asked
        except Unavailable as error:
            return Unavailable(f"{shard.name} did not do it, or nobody knows ({error.detail})")
        try:
            words = orjson.loads(bytes(answer.body))
        except ValueError:
            return Unavailable(f"{shard.name} answered with something that is not JSON")
        if isinstance(answer, PeerAnswer) and answer.status >= 400:
            return Unavailable(f"{shard.name} did not do it ({words.get('detail')})")
        return words

    async def _carried(self, request: Request, body: bytes, owner: Shard) -> PeerAnswer:
        address = await self._address(owner)
        path = request.scope["raw_path"].decode("latin-1")
        try:
            return await self._peers.pass_on(
                owner.service, request, path, body, headers={FOR: owner.name}, timeout_s=WITHIN_S, at=address
            )
        except Unavailable as error:
            if request.method == "GET":
                raise
            unknown = f"whether {owner.name} did it is unknown ({error.detail})"[:400]
            raise Unavailable(f"{unknown}; ask again with the same id, or look first if you gave none") from error

    async def _address(self, owner: Shard) -> str:
        address = await self._valkey.raw(keys.shard(owner.name))
        if address is None:
            raise Unavailable(f"{owner.name}, whose affair this is, has not begun yet; ask again")
        return address.decode()


def merged(answers: Sequence[Any]) -> Any:
    """Answers as one: lists one after the other, objects field by field, of anything else the first."""
    first = answers[0] if answers else {}
    if isinstance(first, list):
        return [one for some in answers for one in some]
    if isinstance(first, Mapping):
        names = dict.fromkeys(name for one in answers for name in one)
        return {name: merged([one[name] for one in answers if name in one]) for name in names}
    return first


def _response(answer: PeerAnswer) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers))
