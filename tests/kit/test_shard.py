"""Shards: whose an account or a symbol is, what copies go by, and that work never has two owners."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contract.accounts import Position
from shared.contract.errors import Unavailable
from shared.contract.roster import ROSTER
from shared.contract.subjects import ORDERS, POSITION
from shared.kit.consumers import Before
from shared.kit.copies import merged
from shared.kit.fakes import FakeValkey
from shared.kit.journal import Journal
from shared.kit.run import prepare
from shared.kit.service import on
from shared.kit.settings import SettingsError, Suite, load_suite
from shared.kit.shard import Shard
from shared.kit.streams import durables
from shared.kit.valkey import ValkeyStore
from tests.conftest import Closer
from tests.kit.test_hearing import Rig, eventually, eventually_none_is_left
from tests.servers import Server, nats_server, valkey_server


def test_every_word_has_one_owner_and_the_same_everywhere() -> None:
    words = [f"desk-{number}" for number in range(1000)]
    for count in (1, 2, 3, 7):
        copies = [Shard("oms", index, count, "account") for index in range(1, count + 1)]
        owners = Counter(copy.index for word in words for copy in copies if copy.owns(word))
        assert owners.total() == len(words)
        assert min(owners[copy.index] for copy in copies) > len(words) / count / 2
    assert [Shard("oms", 1, 2).owner(word) for word in ("default", "alpha", "")] == [2, 1, 1], "for ever"


def test_a_copy_is_known_by_its_name() -> None:
    assert Shard("oms").name == "oms"
    assert Shard("oms", 2, 3).name == "oms-2of3"
    for name in ("oms", "oms-2of3", "live-gateway", "sink-ticks"):
        assert Shard.named(name).name == name
    present = ["oms", "oms-1of2", "oms-2of2", "oms-1of3", "risk", ""]
    assert Shard("oms", 1, 2).rivals(present) == ["oms", "oms-1of3"]
    assert Shard("risk").rivals(present) == []


def test_only_what_can_be_shared_is_shared() -> None:
    suite = Suite(shard=2, shards=2)
    shared = {entry.name: Shard.of(entry.name, suite).name for entry in ROSTER}
    assert {name for name, copy in shared.items() if name != copy} == {"oms", "normalizer"}
    assert shared["oms"] == "oms-2of2"


@pytest.mark.parametrize(("shard", "shards"), [("3", "2"), ("2", ""), ("0", "1"), ("1", "5"), ("x", "2")])
def test_a_copy_too_many_is_refused(monkeypatch: pytest.MonkeyPatch, shard: str, shards: str) -> None:
    monkeypatch.setenv("TRADE2026_SHARD", shard)
    if shards:
        monkeypatch.setenv("TRADE2026_SHARDS", shards)
    with pytest.raises(SettingsError, match="TRADE2026_SHARD"):
        load_suite()


def test_copies_are_not_started_where_each_service_runs_once() -> None:
    with pytest.raises(SettingsError, match="copies are started one by one"):
        prepare(Suite(shards=2))


# The store.


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Server]:
    server = valkey_server(tmp_path).start()
    yield server
    server.stop()


def test_answers_of_all_copies_are_put_together() -> None:
    assert merged([{"cancelled": ["a"], "of": 1}, {"cancelled": ["b", "c"], "of": 1}]) == {
        "cancelled": ["a", "b", "c"],
        "of": 1,
    }
    assert merged([[1], [], [2]]) == [1, 2]
    assert merged([]) == {}


async def test_copies_in_another_number_wait_until_the_others_are_gone(own_valkey: Server, closing: Closer) -> None:
    def life() -> ValkeyStore:
        store = ValkeyStore(f"redis://127.0.0.1:{own_valkey.port}")
        closing(store.close)
        return store

    one, first, second, other = life(), life(), life(), life()
    await one.fence("oms")
    await other.fence("risk")
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"oms-1of2 waits for the end of oms,"):
            await first.fence("oms-1of2")
    await one.fence("oms")  # who waits is nobody's rival

    await one.close()
    async with asyncio.timeout(5):
        while True:
            try:
                await first.fence("oms-1of2")
                break
            except Unavailable:
                await asyncio.sleep(0.01)
    await second.fence("oms-2of2")
    returning = life()
    with pytest.raises(Unavailable, match=r"oms waits for the end of oms-1of2, oms-2of2,"):
        await returning.fence("oms")


async def test_of_two_numbers_that_come_at_once_one_goes_on(own_valkey: Server, closing: Closer) -> None:
    stores = [ValkeyStore(f"redis://127.0.0.1:{own_valkey.port}") for _ in range(6)]
    for store in stores:
        closing(store.close)
    names = ["oms", "oms-1of2", "oms-1of3", "oms-2of2", "oms-2of3", "oms-3of3"]
    for _ in range(20):
        outcomes = await asyncio.gather(
            *(store.fence(name) for store, name in zip(stores, names, strict=True)), return_exceptions=True
        )
        through = {Shard.named(name).count for name, one in zip(names, outcomes, strict=True) if one is None}
        assert len(through) <= 1, f"{through} at once"


async def test_what_was_not_said_is_said_by_the_accounts_owner() -> None:
    store = FakeValkey()
    accounts = [f"desk-{number}" for number in range(10)]

    async def unheard(letters: Any) -> list[Any]:
        return list(letters)

    alone = Journal("oms", store, unheard)
    for account in accounts:
        transaction = alone.transaction()
        transaction.say(POSITION, Position(account=account, symbol="SPY", version=1), account=account, id=account)
        await alone.commit(transaction)
    await alone.close()

    said: dict[int, list[str]] = {}
    for index in (1, 2):
        of_one = said.setdefault(index, [])

        async def publish(letters: Any, of_one: list[str] = of_one) -> list[Any]:
            of_one.extend(letter.id for letter in letters)
            return []

        journal = Journal("oms", store, publish, Shard("oms", index, 2, "account"))
        await journal.recall(lambda: "10.0.0.1:8099")
        await journal.said()
        await journal.close()
    assert sorted(said[1] + said[2]) == accounts
    assert all(Shard("oms", 1, 2).owner(account) == index for index, some in said.items() for account in some)
    assert await store.raw("shard:oms-2of2") == b"10.0.0.1:8099"


# The streams.


def consumer(name: str, floor: int, start: int | None = None) -> dict[str, Any]:
    begins = {"opt_start_seq": start} if start else {}
    return {"name": f"{name}-orders", "ack_floor": {"stream_seq": floor}, "config": begins}


@pytest.mark.parametrize(
    ("known", "start"),
    [
        ([], None),
        ([consumer("oms", 70)], 71),
        ([consumer("oms-1of3", 70), consumer("oms-2of3", 50), consumer("oms-3of3", 60)], 51),
        ([consumer("oms-1of3", 70), consumer("oms-3of3", 60, 40)], 1),  # how far 2 of 3 came, nobody knows
        ([consumer("oms-1of3", 70, 30), consumer("oms-3of3", 60, 40)], 30),
        ([consumer("oms-2of2", 90, 51)], 51),  # the other new one was faster
        ([consumer("oms-1of2", 90, 51), consumer("oms", 70)], 51),
        ([consumer("oms-1of2", 90), consumer("oms", 70)], None),
        ([consumer("risk", 10), {**consumer("oms", 10), "name": "oms-fills"}], None),
    ],
)
def test_a_new_copy_begins_where_the_slowest_had_come_to(known: list[dict[str, Any]], start: int | None) -> None:
    assert Before(Shard("oms", 1, 2, "account"), "orders", known).start() == start


async def test_copies_hear_their_own_and_take_over_where_others_have_ended(tmp_path: Path, closing: Closer) -> None:
    server = nats_server(tmp_path).start()
    accounts, heard = [f"desk-{number}" for number in range(10)], Counter[tuple[int, str]]()

    async def hearing(index: int, count: int) -> Rig:
        rig = Rig(server.port, "oms", Shard("oms", index, count, "account"))
        await rig.bus.connect()

        async def hear(message: Position) -> None:
            heard[index, message.account] += 1

        await rig.hearing.open(on(POSITION, hear, lane="account", owned=True))
        return rig

    async def say(rig: Rig, version: int) -> None:
        for account in accounts:
            await rig.bus.say(POSITION, Position(account=account, symbol="SPY", version=version))

    try:
        alone = await hearing(1, 1)
        await say(alone, 1)
        await eventually(lambda: heard.total() == 10)
        await eventually_none_is_left(alone, ORDERS)
        await alone.close()

        heard.clear()
        pair = [await hearing(1, 2), await hearing(2, 2)]
        await say(pair[0], 2)
        await eventually(lambda: heard.total() == 10)
        await eventually_none_is_left(pair[0], ORDERS)
        expected = {(Shard("oms", 1, 2).owner(account), account): 1 for account in accounts}
        assert heard == expected, "each by its owner, and nothing of what was heard before"
        names = {one["name"] for one in await durables(pair[0].bus.line, ORDERS)}
        assert names == {"oms-1of2-positions_account", "oms-2of2-positions_account"}
        for rig in pair:
            await rig.close()
    finally:
        server.stop()
