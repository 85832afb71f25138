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
NO_SUCH_CONSUMER = 10014


def in_ns(seconds: float) -> int:
    return int(seconds * 1e9)


async def make_stream(line: Line, stream: Stream, *, ours: bool) -> None:
    """Make it. What there is of that name is made what it is to be by those whose words it keeps (`ours`)."""
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
    if _code(told) == MADE_OTHERWISE:
        if not ours:
            return
        told = await _answer(line, f"STREAM.UPDATE.{stream.name}", config)
    _agreed(told)


async def last_sequence(line: Line, stream: Stream) -> int:
    """The number of the newest message."""
    return (await state_of(line, stream))["last_seq"]


async def state_of(line: Line, stream: Stream) -> dict[str, Any]:
    """What the stream holds: `messages`, `bytes`, `first_seq`, `first_ts`, `last_seq`, `last_ts`."""
    return _agreed(await _answer(line, f"STREAM.INFO.{stream.name}", {}))["state"]


async def make_consumer(line: Line, stream: Stream, config: dict[str, Any], filters: list[str]) -> str:
    """Make or find it; its name. Without filters it has all of the stream. That of one subject says so where it is
    made, as permissions want it."""
    where = f"CONSUMER.CREATE.{stream.name}.{config['name']}"
    if len(filters) == 1:
        where, config = f"{where}.{filters[0]}", config | {"filter_subject": filters[0]}
    elif filters:
        config = config | {"filter_subjects": filters}
    told = _agreed(await _answer(line, where, {"stream_name": stream.name, "config": config}))
    return told["name"]


async def drop_consumer(line: Line, stream: Stream, name: str) -> None:
    """There is none of that name any more."""
    told = await _answer(line, f"CONSUMER.DELETE.{stream.name}.{name}", {})
    if _code(told) != NO_SUCH_CONSUMER:
        _agreed(told)


async def consumers(line: Line, stream: Stream) -> list[dict[str, Any]]:
    """What the server knows of each consumer."""
    return _agreed(await _answer(line, f"CONSUMER.LIST.{stream.name}", {"offset": 0}))["consumers"] or []


async def durables(line: Line, stream: Stream) -> list[dict[str, Any]]:
    """What the server knows of each durable consumer."""
    return [one for one in await consumers(line, stream) if one["config"].get("durable_name")]


async def unfinished(line: Line, stream: Stream) -> list[int]:
    """For each durable consumer, how many messages it has not acknowledged."""
    return [_unfinished(one) for one in await durables(line, stream)]


async def backlog(line: Line, stream: Stream, name: str) -> int | None:
    """How many messages one durable consumer has not acknowledged; None when there is none of that name."""
    return next((_unfinished(one) for one in await durables(line, stream) if one["name"] == name), None)


def _unfinished(consumer: dict[str, Any]) -> int:
    return consumer["num_pending"] + consumer["num_ack_pending"]


async def _answer(line: Line, what: str, words: dict[str, Any]) -> dict[str, Any]:
    [answer] = await line.ask([(f"$JS.API.{what}", orjson.dumps(words), b"")], TIMEOUT_S)
    if answer is None or not answer.data:
        raise Unavailable((answer and answer.refusal) or f"JetStream does not answer {what}")
    return orjson.loads(answer.data)


def _code(told: dict[str, Any]) -> int:
    return told.get("error", {}).get("err_code", 0)


def _agreed(told: dict[str, Any]) -> dict[str, Any]:
    if "error" in told:
        raise Unavailable(f"JetStream refused: {told['error'].get('description')}")
    return told
