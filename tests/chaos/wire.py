"""Wire: the harness's own line to NATS, to hear what the suite says and to say what it likes itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import DeliverPolicy

from tests.chaos.evidence import Words

Hear = Callable[[Words], None]


class Wire:
    """One connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._streams = client.jetstream(timeout=5)

    @classmethod
    async def open(cls, port: int, known: Mapping[str, str]) -> Wire:
        async def quiet(_: Exception) -> None:
            """That servers die is why we are here."""

        url = f"nats://127.0.0.1:{port}"
        return cls(await nats.connect(url, **known, max_reconnect_attempts=-1, reconnect_time_wait=1, error_cb=quiet))

    async def close(self) -> None:
        await self._client.close()

    async def hear(self, subject: str, hear: Hear) -> None:
        """Whatever is said from here on."""

        async def heard(message: Msg) -> None:
            hear(json.loads(message.data))

        await self._client.subscribe(subject, cb=heard)
        await self._client.flush()

    async def said(self, subject: str) -> list[bytes]:
        """Whatever was ever said on a subject of a stream."""
        found: list[bytes] = []
        listening = await self._streams.subscribe(subject, ordered_consumer=True, deliver_policy=DeliverPolicy.ALL)
        try:
            info = await listening.consumer_info()
            for _ in range(info.num_pending or 0):
                found.append((await listening.next_msg(timeout=5)).data)
        finally:
            await listening.unsubscribe()
        return found

    async def say(self, messages: Iterable[tuple[str, bytes]]) -> int:
        """Into their streams, without any id by which a repetition could be told; how many."""
        count = 0
        for subject, payload in messages:
            await self._client.publish(subject, payload)
            count += 1
        await self._client.flush()
        return count

    async def store(self, subject: str, payload: bytes) -> None:
        """Into its stream; said again until it is there, under one id."""
        headers = {"Nats-Msg-Id": f"chaos-{hash(payload)}-{time.time_ns()}"}
        while True:
            try:
                await self._streams.publish(subject, payload, timeout=1, headers=headers)
            except (NatsError, TimeoutError):
                await asyncio.sleep(0.01)
            else:
                return

    async def heard_out(self, service: str, stream: str = "ORDERS") -> bool:
        """Whether a service has handled all that was said in a stream."""
        consumers = [one for one in await self._streams.consumers_info(stream) if one.name.startswith(f"{service}-")]
        return bool(consumers) and not any(one.num_pending or one.num_ack_pending for one in consumers)
