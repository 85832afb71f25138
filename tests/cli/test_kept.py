"""A process that is kept alive."""

from __future__ import annotations

from shared.cli.kept import Backoff, Kept
from shared.cli.state import State


def kept() -> Kept:
    return Kept("oms", 8099, lambda _: 0)


def test_waits_double_up_to_five_seconds() -> None:
    backoff = Backoff()
    waits = [backoff.after_death(0) for _ in range(8)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_ten_seconds_of_health_make_the_next_wait_short_again() -> None:
    backoff = Backoff()
    for _ in range(6):
        backoff.after_death(0)
    assert backoff.after_death(9.9) == 5.0
    assert backoff.after_death(10.0) == 0.1
    assert backoff.after_death(0) == 0.2


def test_so_does_a_life_five_times_as_long_as_the_wait_before_it() -> None:
    backoff = Backoff()
    assert [backoff.after_death(healthy_s) for healthy_s in (0, 0, 0.9, 1.9, 4.0, 0.5, 0.4)] == [
        *(0.1, 0.2, 0.4, 0.8),
        *(0.1, 0.1, 0.2),
    ]


def test_a_process_that_died_is_due_after_its_wait_and_counted() -> None:
    one = kept()
    one.started(123, 1.0, 5)
    one.ready(now_s=100.0)
    one.died(now_s=150.0, again=True)
    assert (one.state, one.pid, one.restarts, one.due_s) == (State.WAITING, None, 1, 150.1)
    assert one.early_deaths == 0


def test_a_death_before_it_was_ever_ready_is_an_early_one() -> None:
    one = kept()
    for n in range(3):
        one.started(123 + n, 1.0, 5)
        one.died(now_s=100.0 + n, again=True)
    assert one.early_deaths == 3


def test_a_process_that_was_stopped_is_not_due_again() -> None:
    one = kept()
    one.started(123, 1.0, 5)
    one.died(now_s=100.0, again=False)
    assert (one.state, one.restarts) == (State.STOPPED, 0)
