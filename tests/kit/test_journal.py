"""The journal: remember before saying, and never guess."""

from __future__ import annotations

import asyncio

import pytest

from shared.contract import keys
from shared.contract.accounts import Position
from shared.contract.errors import Unavailable
from shared.contract.subjects import POSITION
from shared.kit.fakes import FakeBus, FakeKit, FakeValkey
from shared.kit.journal import UNSAID_MAX, Journal

LONG = Position(account="default", symbol="BTCUSDT", version=1)


async def test_words_are_said_only_after_their_state_is_on_disk(kit: FakeKit) -> None:
    transaction = kit.journal.transaction()
    transaction.put("state", "new")
    transaction.say(POSITION, LONG, account="default", id="p1")
    assert kit.bus.said == []

    await kit.journal.commit(transaction)
    await kit.journal.said()

    assert kit.bus.heard(POSITION) == [LONG]
    await kit.journal.close()
    assert await kit.valkey.hash(keys.outbox("test", "default")) == {}, "struck off once said"


async def test_words_committed_before_a_crash_are_said_after_it(kit: FakeKit) -> None:
    kit.bus.away = True
    transaction = kit.journal.transaction()
    transaction.say(POSITION, LONG, account="default", id="p1")
    await kit.journal.commit(transaction)
    assert kit.journal.unsaid == 1

    kit.bus.away = False
    after = kit.restarted()
    await after.journal.recall()
    await after.journal.said()

    assert after.bus.heard(POSITION) == [LONG]


async def test_letters_committed_together_for_several_accounts_are_all_said_after_a_crash(kit: FakeKit) -> None:
    kit.bus.away = True
    transaction = kit.journal.transaction()
    spoken = [Position(account=account, symbol="BTCUSDT", version=n) for account in ("a", "b") for n in (1, 2)]
    for one in spoken:
        transaction.say(POSITION, one, account=one.account, id=f"{one.account}-{one.version}")
    await kit.journal.commit(transaction)
    assert kit.journal.unsaid == 2, "one parcel for each account"

    kit.bus.away = False
    after = kit.restarted()
    await after.journal.recall()
    await after.journal.said()

    assert sorted(after.bus.heard(POSITION), key=lambda p: (p.account, p.version)) == spoken
    await after.journal.close()
    assert not await kit.valkey.keys("outbox:*")


async def test_what_was_committed_is_said_though_whoever_committed_it_is_gone(kit: FakeKit) -> None:
    transaction = kit.journal.transaction()
    transaction.put("state", "new")
    transaction.say(POSITION, LONG, account="default", id="p1")
    committing = asyncio.create_task(kit.journal.commit(transaction))
    await asyncio.sleep(0)
    committing.cancel()
    await asyncio.wait([committing])

    await kit.journal.commit(kit.journal.transaction())
    await kit.journal.said()
    assert kit.bus.heard(POSITION) == [LONG]
    assert await kit.valkey.raw("state") == b"new"
    await kit.journal.close()


async def test_concurrent_commits_share_a_write() -> None:
    store = FakeValkey()
    journal = Journal("test", store, FakeBus().store_all)

    async def commit(n: int) -> None:
        transaction = journal.transaction()
        transaction.put(f"key:{n}", str(n))
        await journal.commit(transaction)

    await asyncio.gather(*(commit(n) for n in range(100)))

    assert len(store.store) == 100
    assert store.writes <= 2


async def test_after_an_unknown_outcome_nothing_is_committed_until_the_state_was_recalled() -> None:
    store = FakeValkey()
    journal = Journal("test", store, FakeBus().store_all)
    transaction = journal.transaction()
    transaction.put("key", "value")
    store.away = True
    with pytest.raises(Unavailable):
        await journal.commit(transaction)
    store.away = False

    with pytest.raises(Unavailable, match="outcome is unknown"):
        await journal.commit(transaction)
    assert store.store == {}

    journal.mend()
    await journal.commit(transaction)
    assert store.store == {"key": b"value"}


async def test_a_state_that_was_changed_while_it_was_recalled_is_recalled_again() -> None:
    store = FakeValkey()
    journal = Journal("test", store, FakeBus().store_all)
    journal.doubt("a reason")
    transaction = journal.transaction()
    transaction.put("key", "value")

    async def recovers() -> None:
        recalled.append(None)
        if len(recalled) == 1:
            with pytest.raises(Unavailable):
                await journal.commit(transaction)  # something decided by whoever runs beside the recovery

    recalled: list[None] = []
    with pytest.raises(Unavailable, match="recalled again"):
        await journal.recover(recovers)
    await journal.recover(recovers)

    journal.mend()
    assert await journal.commit(transaction)


async def test_what_was_said_while_the_journal_was_broken_is_struck_off_once_it_is_mended(kit: FakeKit) -> None:
    kit.bus.away = True
    transaction = kit.journal.transaction()
    transaction.say(POSITION, LONG, account="default", id="p1")
    await kit.journal.commit(transaction)
    kit.valkey.away = True
    with pytest.raises(Unavailable):
        await kit.journal.commit(kit.journal.transaction())
    kit.bus.away = False
    await kit.journal.said()
    kit.valkey.away = False

    kit.journal.mend()
    await kit.journal.close()

    assert await kit.valkey.hash(keys.outbox("test", "default")) == {}


async def test_what_could_not_be_struck_off_is_struck_off_once_the_journal_is_mended(kit: FakeKit) -> None:
    transaction = kit.journal.transaction()
    transaction.say(POSITION, LONG, account="default", id="p1")
    await kit.journal.commit(transaction)
    await kit.journal.said()
    kit.valkey.away = True
    with pytest.raises(Unavailable):
        await kit.journal.commit(kit.journal.transaction())
    kit.valkey.away = False

    kit.journal.mend()
    await kit.journal.close()

    assert await kit.valkey.hash(keys.outbox("test", "default")) == {}


async def test_a_thing_said_twice_is_stored_once(kit: FakeKit) -> None:
    for _ in range(2):
        transaction = kit.journal.transaction()
        transaction.say(POSITION, LONG, account="default", id="p1")
        await kit.journal.commit(transaction)
        await kit.journal.said()

    assert kit.bus.heard(POSITION) == [LONG]


async def test_with_a_full_outbox_nothing_new_is_taken_on_until_it_was_said(kit: FakeKit) -> None:
    kit.bus.away = True
    transactions = [kit.journal.transaction() for _ in range(UNSAID_MAX + 1)]
    for n, transaction in enumerate(transactions):
        transaction.say(POSITION, LONG, account="default", id=str(n))
    await asyncio.gather(*map(kit.journal.commit, transactions))
    assert kit.journal.trouble == f"{UNSAID_MAX + 1} commits wait for the streams to take their messages"
    assert kit.journal.broken is None, "nothing is in doubt"

    kit.bus.away = False
    await kit.journal.said()

    assert kit.journal.trouble is None
    await kit.journal.close()
