"""Bounds: only orderly answers, in time, within memory (I12), and recovered as fast as was promised (I13)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.chaos.evidence import Asked, Sweep, Violation
from tests.chaos.invariants.orders import found

ANSWERS = {200, 409, 422, 429, 503}
DEADLINE_S = 15.0
MEMORY_MAX = 512 << 20
FILES_MAX = 4096
BUSY = 2


@dataclass(frozen=True)
class Sample:
    """What one service had in use at one moment."""

    service: str
    memory: int
    files: int


@dataclass(frozen=True)
class Recovery:
    """How long after a fault (after its end, where it has one) all was well again, and how long it may take."""

    fault: str
    whom: str
    seconds: float
    allowed_s: float


def i12_answers_are_orderly(asked: Iterable[Asked], sweeps: Iterable[Sweep] = ()) -> list[Violation]:
    """Nothing but answers that a client can act on, none after the deadline."""
    attempts = [(one.row, attempt) for one in asked for attempt in (*one.attempts, *one.cancel)]
    attempts += [(vars(it), attempt) for one in asked for it in one.replaces for attempt in it.attempts]
    attempts += [(sweep.scope, attempt) for sweep in sweeps for attempt in sweep.attempts]
    odd = [(row, vars(a)) for row, a in attempts if a.status is not None and a.status not in ANSWERS]
    rude = [(row, vars(a)) for row, a in attempts if a.status in (429, 503) and not a.orderly]
    hung = [(row, vars(a)) for row, a in attempts if a.seconds > DEADLINE_S]
    return [
        *found("I12", "an answer that is none of 200, 409, 422, 429, 503", odd),
        *found("I12", "a refusal for now that does not say until when", rude),
        *found("I12", f"no answer within {DEADLINE_S:.0f} s", hung),
    ]


def i12_what_is_used_is_bounded(samples: Iterable[Sample]) -> list[Violation]:
    """Memory and open files of every service."""
    over = [vars(one) for one in samples if one.memory > MEMORY_MAX or one.files > FILES_MAX]
    return found("I12", f"more than {MEMORY_MAX >> 20} MiB or {FILES_MAX} open files", over)


def i13_recovered_in_time(recoveries: Iterable[Recovery]) -> list[Violation]:
    """Each recovery within what its fault allows; twice that, because the machine may be busy with others."""
    late = (vars(one) for one in recoveries if one.seconds > BUSY * one.allowed_s)
    return found("I13", "recovered too late", late)
