"""One list of tests for the store and its twin."""

from __future__ import annotations

import pytest

from shared.contract.errors import Unavailable
from shared.contract.ops import Check
from shared.kit.bus import Outgoing
from shared.kit.fakes import FakeValkey
from shared.kit.journal import Journal
from shared.kit.valkey import Valkey, ValkeyStore
from tests.conftest import Closer
from tests.servers import Server, free_port


async def nowhere(_outgoing: object) -> list[Outgoing]:
    return []


@pytest.fixture(params=["twin", "real"])
def store(request: pytest.FixtureRequest, closing: Closer) -> Valkey:
    if request.param == "twin":
        return FakeValkey()
    server: Server = request.getfixturevalue("valkey")
    real = ValkeyStore(f"redis://127.0.0.1:{server.port}")
    closing(real.close)
    return real


async def test_what_was_committed_is_recalled(store: Valkey) -> None:
    journal = Journal("test", store, nowhere)
    transaction = journal.transaction()
    transaction.put("a:one", Check(name="x", ok=True))
    transaction.put("a:two", "words")
    transaction.hash_put("a:hash", "field", b"value")
    transaction.set_add("a:set", "m1", "m2")
    transaction.sorted_add("a:sorted", "early", 1)
    transaction.sorted_add("a:sorted", "late", 2)
    transaction.push("a:list", "first")
    transaction.push("a:list", "second")
    await journal.commit(transaction)

    assert await store.get("a:one", Check) == Check(name="x", ok=True)
    assert await store.get_many(["a:one", "a:none"], Check) == [Check(name="x", ok=True), None]
    assert await store.raw("a:two") == b"words"
    assert await store.hash("a:hash") == {"field": b"value"}
    assert await store.members("a:set") == {"m1", "m2"}
    assert await store.newest("a:sorted", 10) == ["late", "early"]
    assert await store.newest("a:sorted", 10, before=2) == ["early"]
    assert await store.items("a:list") == [b"first", b"second"]
    assert await store.keys("a:[ol]*") == ["a:list", "a:one"]


async def test_what_was_dropped_is_gone(store: Valkey) -> None:
    journal = Journal("test", store, nowhere)
    transaction = journal.transaction()
    transaction.put("b:one", "words")
    transaction.hash_put("b:hash", "field", "value")
    transaction.set_add("b:set", "member")
    await journal.commit(transaction)

    transaction = journal.transaction()
    transaction.drop("b:one")
    transaction.hash_drop("b:hash", "field")
    transaction.set_drop("b:set", "member")
    await journal.commit(transaction)

    assert await store.keys("b:*") == []


async def test_an_absent_key_is_empty(store: Valkey) -> None:
    assert await store.raw("none") is None
    assert await store.hash("none") == {}
    assert await store.members("none") == set()
    assert await store.items("none") == []
    assert await store.newest("none", 5) == []


async def test_a_store_that_is_away_says_so(closing: Closer) -> None:
    absent = ValkeyStore(f"redis://127.0.0.1:{free_port()}")
    closing(absent.close)

    with pytest.raises(Unavailable, match="Valkey is away"):
        await absent.raw("key")

    assert await absent.ping() is not None
