"""What cannot be taken is one message's trouble alone: its neighbours become bars, and it is handed back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.normalizer.core import Intake, Repairs
from services.normalizer.core.columns import columns_of, tick_of
from shared.contract.market import Change, TickWords
from shared.contract.subjects import AMENDMENT, TICK, TICK_WORDS
from shared.domain.bars import BarFold
from shared.kit import Heard
from shared.kit.frames import decode_frame

S = 1_000_000_000
NOON = 1_700_006_400 * S


def words(at_s: int, **other: Any) -> dict[str, Any]:
    at_ns = NOON + at_s * S
    plain = {"venue": "sim", "symbol": "ACME", "event_ns": at_ns, "receive_ns": at_ns, "price": "5", "quantity": "2"}
    return {name: value for name, value in {**plain, **other}.items() if value is not None}


def heard(sequence: int, payload: bytes, address: str = "ticks.sim.ACME") -> Heard[Any]:
    subject: Any = AMENDMENT if address.startswith("amends.") else TICK_WORDS
    return Heard(subject, subject.decode(payload, address), sequence, address)


def tick(sequence: int, at_s: int) -> Heard[Any]:
    return heard(sequence, json.dumps(words(at_s)).encode())


def amendment(sequence: int, event_ns: int) -> Heard[Any]:
    stated = {"trade_id": "7", "event_ns": event_ns, "receive_ns": 1, "change": Change.CANCEL}
    payload = json.dumps({"venue": "sim", "symbol": "ACME", **stated}).encode()
    return heard(sequence, payload, "amends.sim.ACME")


@pytest.fixture
def intake() -> Intake:
    return Intake(BarFold(10 * S), Repairs(), decode_frame, None)


BAD_TICKS = (
    b"noise",
    json.dumps(words(2, event_ns=None, timestamp=[1])).encode(),
    json.dumps(words(2, event_ns=None, timestamp={})).encode(),
    json.dumps(words(2, event_ns=None)).encode()[:-1] + b', "timestamp": 1e400}',
    json.dumps(words(2, sequence=1 << 70)).encode(),
    json.dumps(words(2, price=[1])).encode(),
    json.dumps(words(2, symbol="OTHER")).encode(),
)


@pytest.mark.parametrize("payload", BAD_TICKS)
def test_a_tick_that_is_none_leaves_its_neighbours_alone(intake: Intake, payload: bytes) -> None:
    said, unreadable = intake.take([tick(1, 1), heard(2, payload), tick(3, 3), tick(4, 60)])

    assert [one.sequence for one, _ in unreadable] == [2]
    assert intake.totals["ticks"] == 3
    assert {one.bar.count for one in said if one.bar.interval == "1m"} == {2}
    with pytest.raises(ValueError):
        TICK.decode(payload, "ticks.sim.ACME")


def test_of_many_bad_ticks_each_is_handed_back(intake: Intake) -> None:
    some = [heard(n, BAD_TICKS[n % len(BAD_TICKS)]) if n % 3 else tick(n, n) for n in range(1, 101)]
    _, unreadable = intake.take(some)

    assert [one.sequence for one, _ in unreadable] == [n for n in range(1, 101) if n % 3]
    assert intake.totals["ticks"] == 33


def test_whatever_the_making_of_columns_raises_is_one_tick_s_trouble(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(ticks: Any) -> Any:
        if any(one.price == "13" for one in ticks):
            raise OverflowError("too much")
        return columns_of(ticks)

    monkeypatch.setattr("services.normalizer.core.intake.columns_of", fails)
    unlucky = heard(2, json.dumps(words(2, price="13")).encode())
    _, unreadable = intake.take([tick(1, 1), unlucky, tick(3, 3)])

    assert [one for one, _ in unreadable] == [unlucky]
    assert intake.totals["ticks"] == 2


@pytest.mark.parametrize(
    ("venue", "symbol"),
    [("sim", "btcusdt"), ("sim", "eth-usd"), ("sim", "a$b"), ("sim", "X" * 200), ("SIM", "ACME"), ("sim", "_A")],
)
def test_a_tick_whose_address_the_tape_refuses_makes_no_bar(venue: str, symbol: str) -> None:
    payload = json.dumps(words(1, venue=venue, symbol=symbol)).encode()

    with pytest.raises(ValueError):
        TICK.decode(payload, f"ticks.{venue}.{symbol}")
    with pytest.raises(ValueError):
        tick_of(TickWords.model_construct(venue=venue, symbol=symbol, payload=payload))


@pytest.mark.parametrize("event_ns", [2**63 - 1, 2**63 - 10**9, 9_200_000_000_000_000_001])
def test_an_amendment_of_a_far_time_costs_no_bar(intake: Intake, event_ns: int) -> None:
    said, unreadable = intake.take([tick(1, 1), tick(2, 60), amendment(3, event_ns)])

    assert any(one.bar.interval == "1m" for one in said)
    assert not unreadable
    assert intake.totals["amendments_refused"] == 0


def test_an_amendment_that_cannot_be_noted_is_handed_back(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> int:
        raise ValueError("no such time")

    monkeypatch.setattr(Repairs, "add", fails)
    said, unreadable = intake.take([tick(1, 1), tick(2, 60), amendment(3, NOON)])

    assert said
    assert [one.sequence for one, _ in unreadable] == [3]
