"""Hearing and speaking over a real NATS."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from shared.contract.accounts import Position
from shared.contract.errors import Refused, Unavailable
from shared.contract.market import Frame, Quote, Tick
from shared.contract.orders import CancelOrder
from shared.contract.risk import RiskCheck, RiskLevel, Verdict
from shared.contract.subjects import (
    FRAME,
    OPS,
    ORDER_CANCEL,
    ORDERS,
    PARKED,
    POSITION,
    QUOTE,
    RISK_CHECK,
    TICK,
    TICKS,
    Stream,
    Subject,
)
from shared.kit import watch_queue
from shared.kit.bus import NatsBus, Outgoing
from shared.kit.clock import SystemClock
from shared.kit.consumers import consumer_name, durable, followed
from shared.kit.fakes import FakeValkey
from shared.kit.hearing import Hearing
from shared.kit.journal import Journal
from shared.kit.log import request_id
from shared.kit.meter import Meter
from shared.kit.nats_wire import Incoming
from shared.kit.pull import Pull
from shared.kit.service import Heard, answer, batch, follow, on, watch
from shared.kit.shard import Shard
from shared.kit.streams import durables, last_sequence, make_consumer, make_stream
from tests.conftest import Closer
from tests.servers import Server, nats_server


class Rig:
    """A bus and its hearing, as one service has them."""

    def __init__(self, port: int, service: str = "tester", shard: Shard | None = None) -> None:
        log = structlog.get_logger()
        self.meter = Meter(service)
        self.bus = NatsBus(service, f"nats://127.0.0.1:{port}", SystemClock(), self.meter, log)
        self.closed_gate: str | None = None
        self.hearing = Hearing(shard or Shard(service), self.bus, self._gate, SystemClock(), self.meter, log)

    async def _gate(self) -> None:
        if self.closed_gate:
            raise Unavailable(self.closed_gate)

    async def close(self) -> None:
        await self.hearing.close()
        await self.bus.close()


@pytest.fixture
def own_nats(tmp_path: Path) -> Any:
    """A NATS of the test's own, so that its streams are empty and it may be killed."""
    server = nats_server(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
async def rig(own_nats: Server, closing: Closer) -> Rig:
    made = Rig(own_nats.port)
    await made.bus.connect()
    closing(made.close)
    return made


async def eventually(true: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Return once `true()` is."""
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.005)


async def persist(say: Callable[[], Awaitable[None]]) -> None:
    """Say it under the same id until it is stored."""
    while True:
        try:
            return await say()
        except Unavailable:
            await asyncio.sleep(0.05)


async def eventually_none_is_left(rig: Rig, stream: Stream) -> None:
    """Return once everything has been acknowledged."""
    async with asyncio.timeout(10):
        while await rig.bus.lag(stream):
            await asyncio.sleep(0.005)


def position(version: int, account: str = "a") -> Position:
    return Position(account=account, symbol="BTCUSDT", version=version)


async def test_a_durable_message_said_before_anyone_listened_is_heard(rig: Rig) -> None:
    heard: list[Position] = []

    async def hear(message: Position) -> None:
        heard.append(message)

    await rig.bus.say(POSITION, position(1))
    await rig.hearing.open(on(POSITION, hear, lane="account"))

    await eventually(lambda: heard == [position(1)])


async def test_what_waits_in_a_first_row_is_handled_before_the_next_row_is_heard(rig: Rig) -> None:
    heard: list[int] = []

    async def hear(message: Position) -> None:
        if len(heard) < 2:
            heard.append(0)
            raise Unavailable("not yet")
        heard.append(message.version)

    for version in (1, 2):
        await rig.bus.say(POSITION, position(version))
    await rig.hearing.open(on(POSITION, hear, lane="account", first=True))

    assert heard == [0, 0, 1, 2]
    await rig.bus.say(POSITION, position(3))
    await eventually(lambda: heard[4:] == [3])


async def test_what_is_heard_live_is_let_go_while_the_service_recovers_unless_it_is_wanted_always(rig: Rig) -> None:
    heard: list[str] = []

    async def hear(_message: Position) -> None:
        heard.append("now and then")

    await rig.hearing.open(watch(POSITION, hear))
    await rig.hearing.open(watch(POSITION, lambda _message: heard.append("always"), always=True))
    rig.closed_gate = "recovering"
    await rig.bus.tell(POSITION, position(1))
    await eventually(lambda: heard == ["always"] and rig.meter.totals.get("watched_missed") == 1)
    rig.closed_gate = None
    await rig.bus.tell(POSITION, position(2))

    await eventually(lambda: sorted(heard) == ["always", "always", "now and then"])


async def test_after_a_standstill_what_was_said_meanwhile_can_be_waited_for(
    rig: Rig, own_nats: Server, closing: Closer
) -> None:
    heard: list[int] = []

    async def hear(message: Position) -> None:
        heard.append(message.version)

    await rig.hearing.open(watch(POSITION, hear))
    await rig.bus.heard_up()
    say = (
        "import asyncio, nats, sys\n"
        "async def main():\n"
        "    client = await nats.connect(sys.argv[1])\n"
        "    for line in sys.stdin.buffer.read().splitlines():\n"
        "        await client.publish(sys.argv[2], line)\n"
        "    await client.close()\n"
        "asyncio.run(main())"
    )
    said = b"\n".join(position(version).encode() for version in range(300))
    command = [sys.executable, "-c", say, f"nats://127.0.0.1:{own_nats.port}", POSITION.address(position(0))]
    subprocess.run(command, input=said, check=True, timeout=30)  # nothing here runs meanwhile
    assert heard == []
    await rig.bus.heard_up()

    assert heard == list(range(300))


async def test_a_message_is_heard_again_after_the_world_was_not_ready(rig: Rig) -> None:
    tries: list[int] = []

    async def hear(message: Position) -> None:
        tries.append(message.version)
        if len(tries) < 3:
            raise Unavailable("not yet")

    await rig.hearing.open(on(POSITION, hear, lane="account"))
    await rig.bus.say(POSITION, position(1))

    await eventually(lambda: tries == [1, 1, 1])


async def test_a_message_that_breaks_its_handler_is_parked_and_the_next_is_heard(rig: Rig) -> None:
    heard: list[int] = []
    parked: list[Any] = []

    async def hear(message: Position) -> None:
        if message.version == 1:
            raise ZeroDivisionError("a bug")
        heard.append(message.version)

    async def note(message: Any) -> None:
        parked.append(message)

    await rig.hearing.open(on(POSITION, hear, lane="account"))
    await rig.hearing.open(on(PARKED, note, lane="service"))
    await rig.bus.say(POSITION, position(1))
    await rig.bus.say(POSITION, position(2))

    await eventually(lambda: heard == [2] and len(parked) == 1)
    assert "ZeroDivisionError: a bug" in parked[0].error
    assert Position.decode(parked[0].payload.encode()) == position(1), "whole"


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"\xff\xfe", b"[]", b'{"account":"a"}', b'{"account":"b","symbol":"X"}']
)
async def test_a_message_that_cannot_be_read_is_parked_and_counted(rig: Rig, payload: bytes) -> None:
    heard: list[int] = []

    async def hear(message: Position) -> None:
        heard.append(message.version)

    await rig.hearing.open(on(POSITION, hear, lane="account"))
    await rig.bus.store("positions.a", payload, None)
    await rig.bus.say(POSITION, position(2))

    await eventually(lambda: heard == [2])
    await eventually(lambda: rig.meter.totals.get("parked") == 1)


async def test_a_message_that_could_not_be_parked_is_not_acknowledged_but_heard_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    park = rig.bus.park_raw

    async def away_at_first(address: str, payload: bytes, error: Exception) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise Unavailable("no room")
        await park(address, payload, error)

    async def hear(_message: Position) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(rig.bus, "park_raw", away_at_first)
    await rig.hearing.open(on(POSITION, hear, lane="account"))
    await rig.bus.say(POSITION, position(1))

    await eventually(lambda: rig.meter.totals.get("parked") == 1)
    assert len(tries) == 3


async def test_a_killed_server_costs_nothing_that_was_said(rig: Rig, own_nats: Server) -> None:
    heard: set[int] = set()

    async def hear(message: Position) -> None:
        heard.add(message.version)

    await rig.hearing.open(on(POSITION, hear, lane="account"))
    await rig.bus.say(POSITION, position(1))
    await eventually(lambda: heard == {1})
    own_nats.kill()
    with pytest.raises(Unavailable):
        await rig.bus.say(POSITION, position(2), id="p2")
    own_nats.start()

    await persist(lambda: rig.bus.say(POSITION, position(2), id="p2"))
    await persist(lambda: rig.bus.say(POSITION, position(3), id="p3"))

    await eventually(lambda: heard == {1, 2, 3})
    assert rig.bus.trouble() is None


async def test_a_message_with_a_known_id_is_kept_once(rig: Rig) -> None:
    heard: list[int] = []

    async def hear(message: Position) -> None:
        heard.append(message.version)

    for _ in range(3):
        await rig.bus.say(POSITION, position(1), id="p1")
    await rig.bus.say(POSITION, position(2), id="p2")
    await rig.hearing.open(on(POSITION, hear, lane="account"))

    await eventually(lambda: heard == [1, 2])


async def test_what_a_full_stream_refuses_is_handed_back_and_the_rest_is_kept(rig: Rig) -> None:
    full = Stream("FULL", ("full.>",), bytes_max=1000, age_max_s=60, discard="new")
    await make_stream(rig.bus.line, full, ours=True)
    letters = [Outgoing(str(n), "full.a", b"x" * size) for n, size in enumerate((600, 600, 10))]

    assert await rig.bus.store_all(letters) == [letters[1]]
    assert await rig.bus.store_all(letters) == [letters[1]], "the others are known by their ids"
    assert await last_sequence(rig.bus.line, full) == 2
    with pytest.raises(Unavailable, match="maximum bytes exceeded"):
        await rig.bus.store("full.a", b"x" * 600, "4")


async def test_what_can_never_be_stored_does_not_keep_the_rest_from_it(rig: Rig) -> None:
    good = [Outgoing(str(n), "ops.x", b"{}") for n in range(2)]
    bad = [Outgoing("b", "ops.x y", b"{}"), Outgoing("c", "ops.x", b"x" * (2 << 20)), Outgoing("d", "nobody.x", b"{}")]

    assert await rig.bus.store_all([good[0], *bad, good[1]]) == bad
    assert await last_sequence(rig.bus.line, OPS) == 2


async def test_many_letters_are_stored_in_order_at_once_and_each_once_though_said_again(rig: Rig) -> None:
    letters = [Outgoing(f"{n}", "positions.a", position(n).encode()) for n in range(1000)]
    heard: list[int] = []

    async def hear(message: Position) -> None:
        heard.append(message.version)

    assert await rig.bus.store_all(letters) == []
    assert await rig.bus.store_all(letters) == []
    await rig.hearing.open(on(POSITION, hear, lane="account"))

    await eventually(lambda: len(heard) == 1000)
    assert heard == list(range(1000))
    await eventually_none_is_left(rig, ORDERS)


async def test_what_is_said_carries_the_request_that_led_to_it(rig: Rig) -> None:
    heard: list[tuple[int, str]] = []

    async def hear(message: Position) -> None:
        heard.append((message.version, request_id.get()))

    journal = Journal("tester", FakeValkey(), rig.bus.store_all)

    async def serve(version: int) -> None:
        request_id.set(f"request-{version}")
        transaction = journal.transaction()
        transaction.say(POSITION, position(version), account="a", id=str(version))
        await journal.commit(transaction)

    await asyncio.gather(*(asyncio.create_task(serve(version)) for version in range(3)))
    await rig.hearing.open(on(POSITION, hear, lane="account"))

    await eventually(lambda: sorted(heard) == [(n, f"request-{n}") for n in range(3)])
    await journal.close()


async def test_the_same_id_on_two_subjects_is_two_messages(rig: Rig) -> None:
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(type(message).__name__)

    await rig.bus.say(POSITION, position(1), id="x-1")
    await rig.bus.say(ORDER_CANCEL, CancelOrder(account="a", order_id="x"), id="x-1")
    await rig.hearing.open(on(POSITION, hear, lane="account"))
    await rig.hearing.open(on(ORDER_CANCEL, hear, lane="account"))

    await eventually(lambda: sorted(heard) == ["CancelOrder", "Position"])


async def test_a_question_is_answered_or_its_problem_told(rig: Rig) -> None:
    yes = Verdict(approved=True, rules=(), risk_level=RiskLevel.LOW)

    async def judge(check: RiskCheck) -> Verdict:
        if check.symbol == "REFUSED":
            raise Refused("RISK_X", "no", field="symbol")
        if check.symbol == "AWAY":
            raise Unavailable("not now")
        if check.symbol == "BROKEN":
            raise ZeroDivisionError
        return yes

    def asked(symbol: str) -> RiskCheck:
        return RiskCheck.model_validate({"symbol": symbol, "side": "buy", "quantity": "1"})

    with pytest.raises(Unavailable, match="risk.check"):
        await rig.bus.ask(RISK_CHECK, asked("BTCUSDT"), timeout_s=0.5)
    await rig.hearing.open(answer(RISK_CHECK, judge))

    assert await rig.bus.ask(RISK_CHECK, asked("BTCUSDT"), timeout_s=2) == yes
    with pytest.raises(Refused, match="RISK_X") as refused:
        await rig.bus.ask(RISK_CHECK, asked("REFUSED"), timeout_s=2)
    assert (refused.value.status, refused.value.field) == (422, "symbol")
    with pytest.raises(Unavailable, match="not now"):
        await rig.bus.ask(RISK_CHECK, asked("AWAY"), timeout_s=2)
    with pytest.raises(Unavailable, match="internal error"):
        await rig.bus.ask(RISK_CHECK, asked("BROKEN"), timeout_s=2)


async def test_a_question_that_wants_no_answer_gets_none(rig: Rig) -> None:
    judged: list[RiskCheck] = []

    async def judge(check: RiskCheck) -> Verdict:
        judged.append(check)
        return Verdict(approved=True, rules=(), risk_level=RiskLevel.LOW)

    await rig.hearing.open(answer(RISK_CHECK, judge))
    check = RiskCheck.model_validate({"symbol": "BTCUSDT", "side": "buy", "quantity": "1"})
    rig.bus.line.publish(RISK_CHECK.pattern, check.encode())

    await eventually(lambda: judged)
    await rig.bus.line.flush()
    assert rig.meter.totals.get("bus_errors") is None


async def test_a_batch_comes_again_as_a_whole_until_it_was_taken(rig: Rig) -> None:
    taken: list[list[int]] = []
    tries = 0

    async def take(heard: list[Heard[Any]]) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Unavailable("the tape is away")
        taken.append([one.message.version for one in heard])

    for version in range(5):
        await rig.bus.say(POSITION, position(version))
    await rig.hearing.open(batch((POSITION,), take, wait_s=0.05))

    await eventually(lambda: sorted(v for versions in taken for v in versions) == [0, 1, 2, 3, 4])


async def test_rows_that_fill_different_things_hear_all_of_it_each_at_its_own_pace(rig: Rig) -> None:
    taken: dict[str, list[int]] = {"search": [], "lake": []}
    is_away = True

    def into(name: str) -> Any:
        async def take(heard: list[Heard[Any]]) -> None:
            if name == "lake" and is_away:
                raise Unavailable("the lake is away")
            taken[name].extend(one.message.version for one in heard)

        return batch((POSITION,), take, wait_s=0.05, into=name)

    for name in taken:
        await rig.hearing.open(into(name))
    for version in range(5):
        await rig.bus.say(POSITION, position(version))

    await eventually(lambda: sorted(taken["search"]) == [0, 1, 2, 3, 4])
    assert taken["lake"] == []
    is_away = False
    await eventually(lambda: sorted(taken["lake"]) == [0, 1, 2, 3, 4])
    assert len(taken["search"]) == 5


async def test_a_consumer_through_which_nobody_reads_ends_with_all_that_it_had_not_read(rig: Rig) -> None:
    """Else one of an earlier release would hold up, for ever, whoever waits for the slowest of them."""
    brief = Stream("BRIEF", ("brief.>",), 1 << 20, 1, "old")
    await make_stream(rig.bus.line, brief, ours=True)
    await durable(rig.bus.line, Shard("tester"), (Subject("brief.{account}", Position, brief),), 4)
    assert len(await durables(rig.bus.line, brief)) == 1

    async with asyncio.timeout(20):
        while await durables(rig.bus.line, brief):
            await asyncio.sleep(0.05)


async def test_one_bad_message_in_a_batch_is_parked_and_the_rest_taken(rig: Rig) -> None:
    taken: list[int] = []

    async def take(heard: list[Heard[Any]]) -> None:
        if any(one.message.version == 3 for one in heard):
            raise ZeroDivisionError
        taken.extend(one.message.version for one in heard)

    for version in range(5):
        await rig.bus.say(POSITION, position(version))
    await rig.hearing.open(batch((POSITION,), take, wait_s=0.05))

    await eventually(lambda: sorted(taken) == [0, 1, 2, 4] and rig.meter.totals.get("parked") == 1)


async def test_what_is_set_aside_is_counted_once_though_its_batch_came_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked: list[str] = []
    park_raw = rig.bus.park_raw

    async def away_once(address: str, payload: bytes, error: Exception, sequence: int = 0) -> None:
        parked.append(address)
        if len(parked) == 2:
            raise Unavailable("not now")
        await park_raw(address, payload, error, sequence)

    async def take(heard: list[Heard[Any]]) -> None:
        """There is nothing to take."""

    monkeypatch.setattr(rig.bus, "park_raw", away_once)
    for _ in range(2):
        await rig.bus.store("positions.a", b"{", None)
    await rig.hearing.open(batch((POSITION,), take, wait_s=0.5))

    await eventually(lambda: len(parked) > 2)
    await eventually_none_is_left(rig, ORDERS)
    assert rig.meter.totals["messages_set_aside"] == 2


async def test_a_message_that_comes_again_after_a_reopening_takes_its_room_once(rig: Rig) -> None:
    arrived: list[Incoming] = []
    made = await durable(rig.bus.line, Shard("tester"), (POSITION,), 4)

    async def create() -> str:
        return made

    pull = Pull(rig.bus.line, ORDERS.name, create, arrived.append, window=4, bytes_max=10_000)
    for version in range(2):
        await rig.bus.say(POSITION, position(version))
    await eventually(lambda: len(arrived) == 2)
    free = pull._bytes_left

    for message in list(arrived):
        pull._receive(message)

    assert pull._bytes_left == free
    pull.finished(*arrived)
    assert pull._bytes_left == 10_000
    await pull.close()


def quote(n: int) -> Quote:
    words = {"venue": "v", "symbol": "S", "event_ns": 1, "receive_ns": 1, "bid": "1", "bid_quantity": "1"}
    return Quote.model_validate({**words, "ask": None, "ask_quantity": None, "sequence": n})


def tick(n: int) -> Tick:
    return Tick.model_validate(
        {"venue": "v", "symbol": "S", "event_ns": n, "price": "1", "quantity": "1", "trade_id": str(n)}
    )


async def test_a_stream_is_followed_in_order_across_a_killed_server(rig: Rig, own_nats: Server) -> None:
    followed: list[tuple[int, str]] = []

    async def take(heard: list[Heard[Any]]) -> None:
        followed.extend((one.sequence, one.address) for one in heard)

    for n in range(300):
        await rig.bus.say(TICK, tick(n))
    await rig.hearing.open(follow((TICK, FRAME), take, after=lambda: 100))
    await eventually(lambda: len(followed) == 200)
    own_nats.kill()
    own_nats.start()
    await persist(lambda: rig.bus.say(FRAME, Frame(venue="v", payload=b"frame"), id="frame"))
    await persist(lambda: rig.bus.say(TICK, tick(300), id="tick"))

    await eventually(lambda: len(followed) >= 202)
    assert [sequence for sequence, _ in followed] == list(range(101, 303))
    assert [address for _, address in followed[-2:]] == ["frames.v", "ticks.v.S"]


async def test_one_consumer_follows_all_of_a_long_stream(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    made: list[int] = []

    async def take(some: list[Heard[Any]]) -> None:
        heard.extend(one.sequence for one in some)

    async def counted(*words: Any) -> str:
        made.append(len(heard))
        return await followed(*words)

    monkeypatch.setattr("shared.kit.list_row.followed", counted)
    for first in range(0, 1000, 250):
        outgoing = [Outgoing("", "ticks.v.S", tick(n).encode()) for n in range(first, first + 250)]
        assert await rig.bus.store_all(outgoing) == []
    await rig.hearing.open(follow((TICK,), take, after=lambda: max(heard, default=0), count_max=16))

    await eventually(lambda: len(heard) == 1000)
    assert heard == list(range(1, 1001))
    assert made[0] == 0
    assert len(made) < 5, "an asking that is over, as some thirty are here, is no reason to begin anew"


@pytest.mark.parametrize("filtered", [True, False])
async def test_who_hears_all_of_a_stream_asks_for_no_part_of_it(rig: Rig, filtered: bool) -> None:
    """Also where an earlier release had asked for each of its parts."""
    pair = Stream("PAIR", ("left.>", "right.>"), 1 << 20, 60, "old")
    row = tuple(Subject(f"{side}.{{account}}", Position, pair) for side in ("left", "right"))
    await make_stream(rig.bus.line, pair, ours=True)
    if filtered:
        config = {"name": consumer_name("tester", row), "durable_name": consumer_name("tester", row)}
        await make_consumer(
            rig.bus.line, pair, config | {"ack_policy": "explicit"}, [subject.wildcard for subject in row]
        )
    await durable(rig.bus.line, Shard("tester"), row, 4)
    [known] = await durables(rig.bus.line, pair)
    assert known["config"].get("filter_subjects") is None
    heard: list[int] = []

    async def take(some: list[Heard[Any]]) -> None:
        heard.extend(one.message.version for one in some)

    for version, side in enumerate(("left", "right", "left")):
        await rig.bus.store(f"{side}.a", position(version).encode(), None)
    await rig.hearing.open(batch(row, take, wait_s=0.05))
    await eventually(lambda: sorted(heard) == [0, 1, 2])


async def test_what_is_told_is_heard_live_in_order(rig: Rig) -> None:
    heard: list[int] = []

    def hear(quote: Quote) -> None:
        heard.append(quote.sequence)

    await rig.hearing.open(watch(QUOTE, hear))
    await rig.bus.line.flush()
    for n in range(100):
        await rig.bus.tell(QUOTE, quote(n))

    await eventually(lambda: heard == list(range(100)))


async def test_a_watcher_that_does_not_keep_up_loses_the_newest_and_they_are_counted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_queue, "BYTES_MAX", 1000)
    heard: list[int] = []
    go_on = asyncio.Event()

    async def hear(quote: Quote) -> None:
        await go_on.wait()
        heard.append(quote.sequence)

    await rig.hearing.open(watch(QUOTE, hear))
    await rig.bus.line.flush()
    for n in range(20):
        await rig.bus.tell(QUOTE, quote(n))
    await eventually(lambda: rig.meter.totals.get("watched_dropped"))
    await rig.bus.line.flush()
    go_on.set()

    await eventually(lambda: len(heard) + rig.meter.totals["watched_dropped"] == 20)
    assert heard == list(range(len(heard)))


async def test_the_lag_counts_what_the_slowest_hearer_has_not_finished(rig: Rig) -> None:
    async def never(_heard: list[Heard[Any]]) -> None:
        raise Unavailable("the tape is away")

    assert await rig.bus.lag(TICKS) == 0
    await rig.hearing.open(batch((TICK,), never))
    await eventually(lambda: rig.hearing.trouble() is None)
    for n in range(7):
        await rig.bus.say(TICK, tick(n))

    assert await rig.bus.lag(TICKS) == 7
    assert await rig.bus.lag(ORDERS) == 0


async def test_a_service_may_say_only_what_it_lists(rig: Rig) -> None:
    rig.bus.permit(frozenset({POSITION.pattern}))

    await rig.bus.say(POSITION, position(1))
    with pytest.raises(AssertionError, match="do not list"):
        await rig.bus.say(ORDER_CANCEL, CancelOrder(account="a", order_id="x"))


async def test_a_hearer_behind_a_closed_gate_hears_once_it_opens(rig: Rig) -> None:
    heard: list[int] = []

    async def hear(message: Position) -> None:
        heard.append(message.version)

    rig.closed_gate = "recovering"
    await rig.hearing.open(on(POSITION, hear, lane="account"))
    await rig.bus.say(POSITION, position(1))
    await eventually(lambda: rig.meter.totals.get("messages_handed_back", 0) >= 1)
    assert heard == []
    rig.closed_gate = None

    await eventually(lambda: heard == [1])


def test_a_message_finds_its_own_address() -> None:
    spoken: Subject[Position] = POSITION
    assert spoken.address(position(1, account="desk-7")) == "positions.desk-7"
    assert QUOTE.wildcard == "quotes.*.*"
