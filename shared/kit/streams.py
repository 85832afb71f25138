"""Streams: what is asked of JetStream itself, in its own words."""

from __future__ import annotations

from typing import Any

import orjson

from shared.contract.errors import Unavailable
from shared.contract.subjects import Stream
from shared.kit.nats_line import Line

TIMEOUT_S = 5.0
MADE_OTHERWISE = 10058
"""A stream of that name with another configuration."""


def in_ns(seconds: float) -> int:
    return int(seconds * 1e9)


async def make_stream(line: Line, stream: Stream) -> None:
    """Make it, or make it what it is to be."""
    config = {
        "name": stream.name,
        "subjects": stream.subjects,
        "retention": "limits",
        "storage": "file",
        "max_bytes": stream.bytes_max,
        "max_age": in_ns(stream.age_max_s),
        "discard": stream.discard,
        "duplicate_window": in_ns(min(120, stream.age_max_s)),
    }
    told = await _answer(line, f"STREAM.CREATE.{stream.name}", config)
    if told.get("error", {}).get("err_code") == MADE_OTHERWISE:
        told = await _answer(line, f"STREAM.UPDATE.{stream.name}", config)
    _agreed(told)


async def last_sequence(line: Line, stream: Stream) -> int:
    """The number of the newest message."""
    told = _agreed(await _answer(line, f"STREAM.INFO.{stream.name}", {}))
    return told["state"]["last_seq"]


async def make_consumer(line: Line, stream: Stream, config: dict[str, Any]) -> str:
    """Make or find it; its name."""
    name = config.get("name")
    where = f"CONSUMER.CREATE.{stream.name}.{name}" if name else f"CONSUMER.CREATE.{stream.name}"
    told = _agreed(await _answer(line, where, {"stream_name": stream.name, "config": config}))
    return told["name"]


async def unfinished(line: Line, stream: Stream) -> list[int]:
    """For each durable consumer, how many messages it has not acknowledged."""
    told = _agreed(await _answer(line, f"CONSUMER.LIST.{stream.name}", {"offset": 0}))
    durable = [one for one in told["consumers"] or () if one["config"].get("durable_name")]
    return [one["num_pending"] + one["num_ack_pending"] for one in durable]


async def _answer(line: Line, what: str, words: dict[str, Any]) -> dict[str, Any]:
    [answer] = await line.ask([(f"$JS.API.{what}", orjson.dumps(words), b"")], TIMEOUT_S)
    if answer is None or not answer.data:
        raise Unavailable(f"JetStream does not answer {what}")
    return orjson.loads(answer.data)


def _agreed(told: dict[str, Any]) -> dict[str, Any]:
    if "error" in told:
        raise Unavailable(f"JetStream refused: {told['error'].get('description')}")
    return told
