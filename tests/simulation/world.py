"""World: one seed's randomness, time, log, and what is allowed to go wrong."""

from __future__ import annotations

import hashlib
import random
import sys
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from shared.contract.base import Message
from tests.simulation.loop import Life, Loop


@dataclass
class Rates:
    """How likely each fault is, each time it could happen; of `*_every_s` the mean time between two of them.

    A run draws which of them it has at all: many kinds at once hide one another.
    """

    crash_every_s: float = 0.0
    restart_every_s: float = 0.0
    stop_every_s: float = 0.0
    store_away_every_s: float = 0.0
    bus_away_every_s: float = 0.0
    crash_at_commit: float = 0.0
    crash_at_publish: float = 0.0
    crash_at_answer: float = 0.0
    commit_unknown: float = 0.0
    commit_late: float = 0.0
    read_lost: float = 0.0
    publish_unknown: float = 0.0
    acknowledgement_lost: float = 0.0
    question_lost: float = 0.0
    question_slow: float = 0.0
    watched_lost: float = 0.0
    out_of_order: float = 0.0
    answer_lost: float = 0.0
    venue_away_every_s: float = 0.0
    stream_down_every_s: float = 0.0
    request_lost: float = 0.0
    request_late: float = 0.0
    reply_lost: float = 0.0
    listing_lost: float = 0.0
    venue_throttled: float = 0.0
    venue_rejects: float = 0.0
    fill_crosses: float = 0.0
    fill_after_end: float = 0.0
    word_lost: float = 0.0
    word_twice: float = 0.0
    word_out_of_order: float = 0.0


LATE = 0.03
"""How likely a commit is made only after its sender has given it up, and may have begun anew meanwhile. It takes a
network that holds packets back for seconds, so it is drawn only when asked for."""

MOST = Rates(
    crash_every_s=1.0,
    restart_every_s=2.0,
    stop_every_s=1.5,
    store_away_every_s=2.0,
    bus_away_every_s=2.0,
    crash_at_commit=0.04,
    crash_at_publish=0.03,
    crash_at_answer=0.06,
    commit_unknown=0.06,
    read_lost=0.03,
    publish_unknown=0.06,
    acknowledgement_lost=0.1,
    question_lost=0.05,
    question_slow=0.1,
    watched_lost=0.2,
    out_of_order=0.15,
    answer_lost=0.1,
    venue_away_every_s=2.0,
    stream_down_every_s=1.5,
    request_lost=0.25,
    request_late=0.25,
    reply_lost=0.3,
    listing_lost=0.4,
    venue_throttled=0.25,
    venue_rejects=0.1,
    fill_crosses=0.6,
    fill_after_end=1.0,
    word_lost=0.35,
    word_twice=0.3,
    word_out_of_order=0.35,
)


def drawn(rng: random.Random) -> Rates:
    """The rates of one run: each kind of fault is there or not, rarely or often."""
    rates = Rates()
    for one in fields(Rates):
        if rng.random() < 0.5:
            continue
        most, share = getattr(MOST, one.name), rng.uniform(0.2, 1.0)
        setattr(rates, one.name, most / share if one.name.endswith("_every_s") else most * share)
    return rates


def _text(word: Any) -> str:
    return word.encode().decode() if isinstance(word, Message) else str(word)


@dataclass
class World:
    """Everything that a run shares."""

    seed: int
    trace: bool = False
    late: bool = False
    loop: Loop = field(default_factory=Loop)
    lives: list[Life] = field(default_factory=list[Life])
    faults: Counter[str] = field(default_factory=Counter[str])
    did: Counter[str] = field(default_factory=Counter[str])
    violations: list[str] = field(default_factory=list[str])
    log: list[str] = field(default_factory=list[str])
    calm: bool = False

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.rates = drawn(self.rng)
        if self.late:
            self.rates.commit_late = LATE
        self._numbers = 0

    @property
    def now_s(self) -> float:
        return self.loop.time()

    def note(self, *words: Any) -> None:
        """Every delivery, commit and answer is noted, in order: the same seed leads to the same log."""
        line = f"{self.loop.time():.6f} {' '.join([_text(word) for word in words])}"
        self.log.append(line)
        if self.trace:
            sys.stdout.write(f"{line}\n")

    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.log).encode()).hexdigest()

    def violated(self, what: str) -> None:
        """Something that must never be."""
        self.violations.append(f"{self.loop.time():.6f} {what}")
        self.note("VIOLATION", what)

    def fate(self, fault: str) -> bool:
        """Whether this goes wrong now."""
        rate = getattr(self.rates, fault)
        if not rate or self.calm or self.rng.random() >= rate:
            return False
        self.faults[fault] += 1
        return True

    def hop_s(self, mean_s: float = 0.0004) -> float:
        """How long a message travels: mostly a moment, now and then far longer."""
        draw = self.rng.random()
        return mean_s * (0.2 + draw * 1.6) if draw < 0.9 or self.calm else mean_s * self.rng.uniform(2, 60)

    def new_id(self) -> str:
        self._numbers += 1
        return f"{self.rng.getrandbits(48):012x}{self._numbers:08x}"
