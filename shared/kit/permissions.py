"""Permissions: what each service may do at NATS and at Valkey, and nothing else. All of it follows from its tables.

What the kit does on a service's behalf is allowed together with the row that it does it for: to make a stream, to read
a consumer of its own, to keep an outbox. A permission of NATS knows whole words only, so that consumers are allowed by
their full names.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from shared.contract import keys
from shared.contract.roster import BY_NAME, COPIES_MAX
from shared.contract.subjects import PARKED, Stream, Subject
from shared.kit.consumers import consumer_name, stream_of
from shared.kit.nats_line import inbox_of
from shared.kit.service import Answer, Batch, Follow, Key, On, Service, Watch
from shared.kit.shard import Shard

OPERATOR = "operator"
"""Who may do everything: the command line, and the person behind it."""

FOR_ALL = ("ping", "client|setinfo")
READING = ("get", "mget", "smembers", "hgetall", "zrangebyscore", "zrevrangebyscore", "lrange")
WRITING = ("multi", "exec", "eval", "set", "del", "hset", "hdel", "sadd", "srem", "zadd", "rpush")
OWNING = ("scan", "client|kill", "client|setname", "client|list")
"""Finding its outboxes, and ending what an earlier life has under way: a journal's beginning."""


@dataclass(frozen=True)
class Subjects:
    """What a user of NATS may publish on and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def at_nats(services: Mapping[str, Service], copies: int = COPIES_MAX) -> dict[str, Subjects]:
    """By service; one that neither hears nor says has no business there."""
    askers = {
        question.pattern: [name for name, service in services.items() if question in service.asks]
        for service in services.values()
        for question in service.asks
    }
    return {
        name: Subjects(
            tuple(sorted({*_publish(name, service, askers, copies)})), tuple(sorted({*_subscribe(name, service)}))
        )
        for name, service in services.items()
        if service.hears or service.says or service.asks
    }


def _publish(name: str, service: Service, askers: Mapping[str, list[str]], copies: int) -> Iterator[str]:
    for subject in (*service.says, PARKED):
        yield _own(subject, name)
    for question in service.asks:
        yield question.pattern
    for row in service.hears:
        if isinstance(row, Answer):
            yield from (f"{inbox_of(asker)}.>" for asker in (*askers.get(row.question.pattern, ()), OPERATOR))
    for stream, is_said in streams_of(service).items():
        yield f"$JS.API.STREAM.CREATE.{stream.name}"
        yield f"$JS.API.CONSUMER.LIST.{stream.name}"
        if is_said:
            yield f"$JS.API.STREAM.UPDATE.{stream.name}"
    for copy, row in product(_copies(name, copies), service.hears):
        yield from _consumer(copy, row)


def _own(subject: Subject[Any], name: str) -> str:
    """Where a service says this: as itself, and of whatever else."""
    return re.sub(r"{(\w+)}", lambda blank: name if blank[1] == "service" else "*", subject.pattern)


def streams_of(service: Service) -> dict[Stream, bool]:
    """The streams that a service has to do with, and whether it says anything that they keep."""
    heard = [stream_of(subjects) for row in service.hears if (subjects := _durably(row))]
    said = [subject.stream for subject in (*service.says, PARKED) if subject.stream is not None]
    return dict.fromkeys(heard, False) | dict.fromkeys(said, True)


def _durably(row: Any) -> tuple[Subject[Any], ...]:
    """What a row reads out of a stream."""
    match row:
        case On(subject=subject):
            return (subject,)
        case Batch(subjects=subjects) | Follow(subjects=subjects):
            return subjects
        case _:
            return ()


def _copies(name: str, most: int) -> Iterator[str]:
    """The names by which copies of a service go, however many there are."""
    entry = BY_NAME.get(name)
    for count in range(1, most + 1 if entry is not None and entry.shared_by else 2):
        yield from (Shard(name, index, count).name for index in range(1, count + 1))


def _consumer(copy: str, row: Any) -> Iterator[str]:
    """To make it, read it, acknowledge what is read and end it. One subject's consumer is one of that subject only."""
    subjects = _durably(row)
    if not subjects:
        return
    into = row.into if isinstance(row, Batch | Follow) else ""
    place = f"{stream_of(subjects).name}.{consumer_name(copy, subjects, into)}"
    yield f"$JS.API.CONSUMER.CREATE.{place}" + (f".{subjects[0].wildcard}" if len(subjects) == 1 else "")
    yield f"$JS.API.CONSUMER.MSG.NEXT.{place}"
    yield f"$JS.API.CONSUMER.DELETE.{place}"
    if isinstance(row, Batch | Follow):
        yield f"$JS.API.STREAM.INFO.{stream_of(subjects).name}"
    if not isinstance(row, Follow):
        yield f"$JS.ACK.{place}.>"


def _subscribe(name: str, service: Service) -> Iterator[str]:
    yield f"{inbox_of(name)}.>"
    for row in service.hears:
        match row:
            case Watch(subject=subject):
                yield subject.wildcard
            case Answer(question=question):
                yield question.pattern
            case _:
                pass


def at_valkey(services: Mapping[str, Service]) -> dict[str, tuple[str, ...]]:
    """By service, the rules of its user there; one that keeps and reads nothing has no business there."""
    return {name: tuple(_rules(name, one)) for name, one in services.items() if one.keeps or one.reads}


def _rules(name: str, service: Service) -> Iterator[str]:
    yield from ("resetchannels", "-@all")
    commands = (*FOR_ALL, *READING, *((*WRITING, *OWNING) if service.keeps else ()))
    yield from (f"+{command}" for command in commands)
    if service.keeps:
        yield from (f"~{pattern}" for pattern in _all((*service.keeps, keys.outbox, keys.shard), name))
    yield from (f"%R~{pattern}" for pattern in _all(service.reads, name))


def _all(kinds: Sequence[Key], name: str) -> list[str]:
    return sorted({pattern for key in kinds for pattern in patterns(key, name)})


def patterns(key: Key, name: str) -> list[str]:
    """What a service's keys of a kind look like. Where a key has an owner, it is the service itself or a copy of it."""
    if isinstance(key, str):
        return [key]
    blanks = inspect.signature(key).parameters
    owned = {"owner": [name], "shard": [name, f"{name}-*"]}
    return [key(*words) for words in product(*(owned.get(blank, ["*"]) for blank in blanks))]
