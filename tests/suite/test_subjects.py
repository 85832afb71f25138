"""Who says what to whom: nothing is said that nobody hears, nor heard that nobody says."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from shared.contract import subjects
from shared.contract.roster import ROSTER, Entry
from shared.contract.subjects import AMENDMENT, FEED, HEARD_OUTSIDE, PARKED, STREAMS, TICK, Question, Subject
from shared.kit import Service
from shared.kit.fakes import fake_kit
from shared.kit.service import Answer, Batch, Follow, On, Watch
from shared.kit.settings import load

SAID_OUTSIDE = (TICK, AMENDMENT)
"""Anyone may publish a tick."""

SAID_BY_THE_KIT = (PARKED,)


def wired(entry: Entry) -> Service:
    kit = fake_kit(entry.name)
    settings = importlib.import_module(f"services.{entry.package}.settings").Settings
    module = importlib.import_module(f"services.{entry.package}.service")
    return module.wire(kit, load(settings, entry.name, kit.suite))


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    return {entry.name: wired(entry) for entry in ROSTER}


def heard_by(service: Service) -> set[str]:
    patterns: set[str] = set()
    for row in service.hears:
        if isinstance(row, On | Watch):
            patterns.add(row.subject.pattern)
        if isinstance(row, Batch | Follow):
            patterns |= {subject.pattern for subject in row.subjects}
    return patterns


def patterns_of(some: tuple[Subject[Any], ...]) -> set[str]:
    return {subject.pattern for subject in some}


def declared(kind: type) -> set[str]:
    return {value.pattern for value in vars(subjects).values() if isinstance(value, kind)}


def test_everything_said_is_heard(services: dict[str, Service]) -> None:
    said = {subject.pattern for service in services.values() for subject in service.says}
    heard = {pattern for service in services.values() for pattern in heard_by(service)}
    assert said - heard - patterns_of(HEARD_OUTSIDE) == set()


def test_everything_heard_is_said(services: dict[str, Service]) -> None:
    said = {subject.pattern for service in services.values() for subject in service.says}
    heard = {pattern for service in services.values() for pattern in heard_by(service)}
    assert heard - said - patterns_of(SAID_OUTSIDE) == set()


def test_every_subject_that_is_declared_is_used(services: dict[str, Service]) -> None:
    used = {subject.pattern for service in services.values() for subject in service.says}
    used |= {pattern for service in services.values() for pattern in heard_by(service)}
    assert declared(Subject) - used - patterns_of(SAID_BY_THE_KIT) == set()


def test_every_question_is_asked_and_answered_by_one_service(services: dict[str, Service]) -> None:
    rows = [row for service in services.values() for row in service.hears]
    answered = [row.question.pattern for row in rows if isinstance(row, Answer)]
    asked = {question.pattern for service in services.values() for question in service.asks}
    assert set(answered) == asked == declared(Question)
    assert len(answered) == len(set(answered))


def test_what_is_heard_durably_is_kept_by_a_stream(services: dict[str, Service]) -> None:
    for name, service in services.items():
        for row in service.hears:
            durable = (row.subject,) if isinstance(row, On) else row.subjects if isinstance(row, Batch | Follow) else ()
            assert all(subject.stream is not None for subject in durable), name


def test_a_lane_is_a_field_of_the_message(services: dict[str, Service]) -> None:
    for name, service in services.items():
        for row in service.hears:
            assert not isinstance(row, On) or row.lane in row.subject.message.model_fields, name


def test_every_stream_is_bounded_and_every_kept_subject_is_in_its_stream() -> None:
    assert all(stream.bytes_max > 0 and stream.age_max_s > 0 and stream.discard in ("old", "new") for stream in STREAMS)
    for subject in vars(subjects).values():
        if isinstance(subject, Subject) and subject.stream is not None:
            assert any(covers(one, subject.wildcard) for one in subject.stream.subjects), subject.pattern


def test_a_subject_without_a_stream_is_in_none() -> None:
    assert not any(covers(one, FEED.wildcard) for stream in STREAMS for one in stream.subjects)


def covers(kept: str, wildcard: str) -> bool:
    """Whether a stream's subject takes in everything a hearer's wildcard may match."""
    ours, theirs = kept.split("."), wildcard.split(".")
    for n, word in enumerate(ours):
        if word == ">":
            return len(theirs) > n
        if n >= len(theirs) or word not in ("*", theirs[n]):
            return False
    return len(ours) == len(theirs)


def test_no_door_is_there_twice(services: dict[str, Service]) -> None:
    for name, service in services.items():
        doors = [(route.method, route.path) for route in service.serves]
        assert len(doors) == len(set(doors)), name
