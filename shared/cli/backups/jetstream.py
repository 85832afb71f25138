"""JetStream at one moment: the streams go from the server that runs to one of our own, which writes them to a folder.

The copies begin after the moment. What was said since is then deleted from the streams of the books, and every hearer
is set back to where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import nats.errors
from nats.aio.client import Client

from shared.cli.infrastructure import nats_binary
from shared.cli.launch import Birth, execute, launch
from shared.cli.trouble import Trouble
from shared.contract.subjects import OPS, ORDERS, STREAMS
from shared.kit.permissions import OPERATOR

ANSWERS_WITHIN_S = 5.0
MOVES_WITHIN_S = 60.0
LOADS_WITHIN_S = 600.0
STARTS_WITHIN_S = 20.0
DELETED_AT_ONCE = 256
NO_SUCH_MESSAGE = 10057
LOG = "nats.log"
OF_THE_BOOKS = (ORDERS.name, OPS.name)

CONFIG = """\
server_name: backup
host: 127.0.0.1
port: -1
ports_file_dir: {folder}
max_payload: 8MB
jetstream {{
  store_dir: {store}
  max_memory_store: 64MB
  max_file_store: 64GB
}}
"""


@dataclass(frozen=True)
class Place:
    """Where a stream was at the moment, and up to where each durable hearer had finished."""

    last: int
    messages: int
    bytes: int
    finished: dict[str, int]

    def no_further(self, earlier: Place, service: str) -> Place:
        """With the hearers of one service where they were earlier."""
        back = {name: at for name, at in earlier.finished.items() if name.startswith(service) and name in self.finished}
        return replace(self, finished=self.finished | back)


class JetStream:
    """One server's streams, in the words of its own interface."""

    def __init__(self, url: str, password: str = "") -> None:
        self._url = url
        self._known = {"user": OPERATOR, "password": password} if password else {}
        self._line = Client()

    async def __aenter__(self) -> Self:
        try:
            calm: dict[str, Any] = {"connect_timeout": 3, "allow_reconnect": False, "error_cb": _quiet}
            await self._line.connect(self._url, **self._known, **calm)
        except (OSError, nats.errors.Error) as error:
            raise Trouble(f"NATS does not answer: {error}; nothing was saved") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._line.close()

    async def ask(self, what: str, words: dict[str, Any] | None = None, within_s: float = ANSWERS_WITHIN_S) -> Any:
        """The answer of the interface; `Trouble` when it refuses."""
        payload = json.dumps(words).encode() if words is not None else b""
        answer = await self._line.request(f"$JS.API.{what}", payload, timeout=within_s)
        return _agreed(answer.data, what)

    async def places(self) -> dict[str, Place]:
        """Of every stream of the project."""
        found = await asyncio.gather(*(self._place(stream.name) for stream in STREAMS))
        return {stream.name: place for stream, place in zip(STREAMS, found, strict=True)}

    async def _place(self, stream: str) -> Place:
        # What was finished before the stream is looked at was in it.
        finished = {name: one["ack_floor"]["stream_seq"] for name, one in (await self.hearers(stream)).items()}
        state = (await self.ask(f"STREAM.INFO.{stream}"))["state"]
        return Place(state["last_seq"], state["messages"], state["bytes"], finished)

    async def hearers(self, stream: str) -> dict[str, Any]:
        """The durable consumers of a stream, by name."""
        found: dict[str, Any] = {}
        offset = 0
        while True:
            told = await self.ask(f"CONSUMER.LIST.{stream}", {"offset": offset})
            page = told["consumers"] or []
            found |= {one["name"]: one for one in page if one["config"].get("durable_name")}
            offset += len(page)
            if not page or offset >= told["total"]:
                return found

    async def copy(self, stream: str, target: JetStream) -> None:
        """A stream with its hearers, chunk by chunk, to a server that has none of that name."""
        chunks: asyncio.Queue[Any] = asyncio.Queue()  # bounded by the server, which waits for each to be acknowledged
        inbox = self._line.new_inbox()
        subscription = await self._line.subscribe(inbox, cb=chunks.put)
        told = await self.ask(f"STREAM.SNAPSHOT.{stream}", {"deliver_subject": inbox, "jsck": True})
        words = {"config": told["config"], "state": told["state"]}
        where = (await target.ask(f"STREAM.RESTORE.{stream}", words))["deliver_subject"]
        while True:
            chunk = await asyncio.wait_for(chunks.get(), MOVES_WITHIN_S)
            if not chunk.data:
                break
            await target.take(where, chunk.data)
            if chunk.reply:
                await self._line.publish(chunk.reply)
        _check_end(stream, chunk.headers or {})
        await subscription.unsubscribe()
        await target.take(where, b"", LOADS_WITHIN_S)

    async def take(self, where: str, chunk: bytes, within_s: float = MOVES_WITHIN_S) -> None:
        """One chunk of a stream that is being restored; an empty one ends it, and is answered once it is there."""
        answer = await self._line.request(where, chunk, timeout=within_s)
        if answer.data:
            _agreed(answer.data, "a restored stream")

    async def set_back(self, stream: str, place: Place) -> None:
        """Make a copy what the stream was at the moment."""
        if stream in OF_THE_BOOKS:
            state = (await self.ask(f"STREAM.INFO.{stream}"))["state"]
            await self._delete(stream, range(place.last + 1, state["last_seq"] + 1))
        hearers = await self.hearers(stream)
        if lost := sorted(place.finished.keys() - hearers.keys()):
            raise Trouble(f"{', '.join(lost)} of {stream} went away while it was copied; try again")
        for name in hearers:
            # One that came later begins where every hearer begins.
            await self.ask(f"CONSUMER.RESET.{stream}.{name}", {"seq": place.finished.get(name, 0) + 1})

    async def _delete(self, stream: str, numbers: Iterable[int]) -> None:
        waiting = list(numbers)
        for start in range(0, len(waiting), DELETED_AT_ONCE):
            some = waiting[start : start + DELETED_AT_ONCE]
            await asyncio.gather(*(self._delete_one(stream, number) for number in some))

    async def _delete_one(self, stream: str, number: int) -> None:
        words = json.dumps({"seq": number, "no_erase": True}).encode()
        answer = await self._line.request(f"$JS.API.STREAM.MSG.DELETE.{stream}", words, timeout=ANSWERS_WITHIN_S)
        if (error := json.loads(answer.data).get("error")) and error.get("err_code") != NO_SUCH_MESSAGE:
            raise Trouble(f"JetStream refused to delete {number} of {stream}: {error.get('description')}")


def _agreed(payload: bytes, what: str) -> Any:
    if payload.startswith(b"-ERR"):
        raise Trouble(f"JetStream refused {what}: {payload.decode(errors='replace')}")
    told = json.loads(payload)
    if "error" in told:
        raise Trouble(f"JetStream refused {what}: {told['error'].get('description')}")
    return told


def _check_end(stream: str, headers: dict[str, str]) -> None:
    status = headers.get("Status", "204")
    if status != "204":
        raise Trouble(f"the snapshot of {stream} ended early: {status} {headers.get('Description', '')}")


async def _quiet(_error: Exception) -> None:
    """Nothing: what goes wrong is raised where it was asked for."""


@contextlib.contextmanager
def own_server(store: Path) -> Generator[str]:
    """A server that keeps its streams in `store`, and has written them there when this is left; its address."""
    store.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="trade2026-") as named:
        folder = Path(named)
        config = folder / "nats.conf"
        config.write_text(CONFIG.format(folder=json.dumps(named), store=json.dumps(str(store))))
        command = [str(nats_binary()), "--config", str(config)]
        # It goes with us, however we end.
        pid = launch(Birth("backup-nats", folder / LOG, (), signal.SIGKILL), lambda: execute(command))
        try:
            yield _address(pid, folder)
        finally:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)


def _address(pid: int, folder: Path) -> str:
    said = folder / f"{nats_binary().name}_{pid}.ports"
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until and os.waitpid(pid, os.WNOHANG)[0] == 0:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return json.loads(said.read_text())["nats"][0]
        time.sleep(0.02)
    raise Trouble(f"a NATS for the copy does not start: {(folder / LOG).read_text()[-300:].strip()}")


async def copied(source: JetStream, places: dict[str, Place], store: Path) -> None:
    """Every stream as it was at the moment, in the files of a server that can be started from them."""
    with own_server(store) as address:
        async with JetStream(address) as target:
            for stream, place in places.items():
                await source.copy(stream, target)
                await target.set_back(stream, place)
