"""Read all that a stream keeps of a subject, or the names of its consumers; a program too, to be run elsewhere:

python stored.py URL USER PASSWORD STREAM SUBJECT    prints [[id, words], …] as JSON
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


async def _connected(url: str, user: str, password: str) -> Any:
    known = {"user": user, "password": password} if password else {}
    return await nats.connect(url, connect_timeout=5, **known)


def stored(url: str, stream: str, subject: str, user: str = "", password: str = "") -> list[tuple[str, str]]:
    """Every message, oldest first: its id and its words."""

    async def read() -> list[tuple[str, str]]:
        client = await _connected(url, user, password)
        try:
            config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
            reader = await client.jetstream().pull_subscribe(subject, stream=stream, config=config)
            count = (await reader.consumer_info()).num_pending
            found: list[tuple[str, str]] = []
            while len(found) < count:
                some = await reader.fetch(min(500, count - len(found)), timeout=10)
                found += [((one.headers or {}).get("Nats-Msg-Id", ""), one.data.decode()) for one in some]
                for one in some:
                    await one.ack()
            return found
        finally:
            await client.close()

    return asyncio.run(read())


def consumers(url: str, stream: str) -> set[str]:
    """By name."""

    async def read() -> set[str]:
        client = await _connected(url, "", "")
        try:
            return {one.name for one in await client.jetstream().consumers_info(stream)}
        finally:
            await client.close()

    return asyncio.run(read())


if __name__ == "__main__":
    _, at, name, word, kept_in, spoken_on = sys.argv
    sys.stdout.write(json.dumps(stored(at, kept_in, spoken_on, name, word)))
