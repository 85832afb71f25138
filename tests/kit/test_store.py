"""One list of tests for the store and its twin."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from shared.contract import keys
from shared.contract.accounts import Position
from shared.contract.errors import Unavailable
from shared.contract.ops import Check
from shared.contract.subjects import POSITION
from shared.kit.bus import Outgoing
from shared.kit.fakes import FakeValkey
from shared.kit.journal import Journal
from shared.kit.outbox import Kept
from shared.kit.transaction import Transaction
from shared.kit.valkey import Valkey, ValkeyStore
from tests.conftest import Closer
from tests.servers import Server, free_port, valkey_server


async def nowhere(_outgoing: object) -> list[Outgoing]:
    return []


async def unheard(outgoing: Sequence[Outgoing]) -> list[Outgoing]:
    """The streams are away."""
    return list(outgoing)


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
    assert await store.oldest("a:sorted", 10) == ["early", "late"]
    assert await store.oldest("a:sorted", 10, after=1) == ["late"]
    assert await store.oldest("a:sorted", 1) == ["early"]
    assert await store.items("a:list") == [b"first", b"second"]
    assert await store.items("a:list", 1, 5) == [b"second"]
    assert await store.items("a:list", -1) == [b"second"]
    assert await store.keys("a:[ol]*") == ["a:list", "a:one"]


async def test_a_change_is_made_only_while_what_it_expects_is_there(store: Valkey) -> None:
    journal = Journal("test", store, nowhere)

    async def attempt(expected: str | None, value: str) -> bool:
        transaction = journal.transaction()
        transaction.expect("d:fence", expected)
        transaction.put("d:fence", value)
        transaction.push("d:made", value)
        return await journal.commit(transaction)

    assert await attempt(None, "first")
    assert not await attempt(None, "second")
    assert not await attempt("other", "third")
    assert await attempt("first", "")
    assert await attempt("", "fourth"), "an empty value is a value"
    assert not await attempt(None, "fifth")
    assert await store.items("d:made") == [b"first", b"", b"fourth"]
    assert await store.raw("d:fence") == b"fourth"


async def test_a_change_that_was_not_made_says_nothing(store: Valkey) -> None:
    said: list[Outgoing] = []

    async def publish(outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        said.extend(outgoing)
        return []

    journal = Journal("test", store, publish)
    transaction = journal.transaction()
    transaction.expect("e:fence", "life")
    transaction.say(POSITION, Position(account="a", symbol="BTCUSDT"), account="a", id="1")
    assert not await journal.commit(transaction)
    await journal.said()
    assert said == []
    assert await store.hash(keys.outbox("test", "a")) == {}


async def test_words_that_are_kept_elsewhere_are_not_kept_twice_and_found_again_after_a_crash(store: Valkey) -> None:
    long = Position(account="a", symbol="BTCUSDT", version=1)
    short = Position(account="a", symbol="ETHUSDT", version=2)
    journal = Journal("test", store, unheard)
    transaction = journal.transaction()
    transaction.hash_put("f:events", "1", long)
    transaction.put("f:one", short)
    transaction.say(POSITION, long, account="a", id="in-a-hash", kept=Kept("f:events", "1"))
    transaction.say(POSITION, short, account="a", id="by-itself", kept=Kept("f:one"))
    transaction.say(POSITION, short, account="a", id="a-place-with-a-space", kept=Kept("f: one"))
    transaction.say(POSITION, long, account="a", id="nowhere")
    await journal.commit(transaction)
    (entry,) = (await store.hash(keys.outbox("test", "a"))).values()
    assert entry.count(long.encode()) == 1
    assert entry.count(short.encode()) == 1

    said: list[Outgoing] = []

    async def publish(outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        said.extend(outgoing)
        return []

    journal = Journal("test", store, publish)
    await journal.recall()
    await journal.said()
    await journal.close()
    ids = ["in-a-hash", "by-itself", "a-place-with-a-space", "nowhere"]
    assert [(one.id, one.payload) for one in said] == list(
        zip(ids, [long.encode(), short.encode(), short.encode(), long.encode()], strict=True)
    )
    assert await store.hash(keys.outbox("test", "a")) == {}


async def test_a_service_whose_unsaid_words_are_gone_says_so_and_does_not_go_on_without_them(store: Valkey) -> None:
    journal = Journal("lost", store, unheard)
    transaction = journal.transaction()
    transaction.put("g:one", "words")
    transaction.say(POSITION, Position(account="a", symbol="BTCUSDT"), account="a", id="1", kept=Kept("g:one"))
    await journal.commit(transaction)
    journal = Journal("lost", store, nowhere)
    transaction = journal.transaction()
    transaction.drop("g:one")
    await journal.commit(transaction)
    with pytest.raises(LookupError, match=r"positions\.a 1 was never said, and its words are gone from g:one"):
        await journal.recall()
    await journal.close()


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
    assert await store.oldest("none", 5) == []


async def test_a_store_that_is_away_says_so(closing: Closer) -> None:
    absent = ValkeyStore(f"redis://127.0.0.1:{free_port()}")
    closing(absent.close)

    with pytest.raises(Unavailable, match="Valkey is away"):
        await absent.raw("key")

    assert await absent.ping() is not None


@pytest.mark.parametrize("guarded", [False, True])
async def test_a_command_that_the_store_refuses_leaves_the_outcome_unknown(valkey: Server, guarded: bool) -> None:
    store = ValkeyStore(f"redis://127.0.0.1:{valkey.port}")
    journal = Journal("test", store, nowhere)
    transaction = journal.transaction()
    transaction.put("f:text", "words")
    await journal.commit(transaction)

    wrong = journal.transaction()
    if guarded:
        wrong.expect("f:none", None)
    wrong.push("f:text", "a list is not a text")
    with pytest.raises(Unavailable, match="WRONGTYPE"):
        await journal.commit(wrong)
    assert journal.broken

    await store.close()


async def test_commits_go_on_over_a_new_connection_once_the_store_is_back(closing: Closer, tmp_path: Path) -> None:
    server = valkey_server(tmp_path).start()
    store = ValkeyStore(f"redis://127.0.0.1:{server.port}")
    closing(store.close)
    journal = Journal("test", store, nowhere)

    async def commit(value: str) -> bool:
        transaction = journal.transaction()
        transaction.put("g:one", value)
        return await journal.commit(transaction)

    assert await commit("before")
    server.kill()
    with pytest.raises(Unavailable):
        await commit("lost")
    server.start()
    while await store.ping():
        await asyncio.sleep(0.01)
    await journal.recall()
    journal.mend()

    assert await commit("after")
    assert await store.raw("g:one") == b"after"
    server.stop()


async def test_a_new_life_ends_what_an_earlier_one_has_under_way(valkey: Server, closing: Closer) -> None:
    earlier, later = (ValkeyStore(f"redis://127.0.0.1:{valkey.port}") for _ in range(2))
    closing(earlier.close)
    closing(later.close)
    stale, fresh = Journal("same", earlier, nowhere), Journal("same", later, nowhere)
    other = Journal("other", earlier, nowhere)
    await stale.recall()
    await fresh.recall()

    transaction = stale.transaction()
    transaction.put("h:one", "stale")
    with pytest.raises(Unavailable):
        await stale.commit(transaction)
    await other.recall()
    transaction = fresh.transaction()
    transaction.put("h:one", "fresh")
    assert await fresh.commit(transaction), "an owner of another name ends nothing"
    assert await later.raw("h:one") == b"fresh"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A Valkey that lets one user keep some keys and read others."""
    users = tmp_path / "users"
    allowed = "+ping +get +set +del +multi +exec +eval +client|setname +client|kill +client|list +client|setinfo"
    digest = sha256(b"p@ss").hexdigest()
    users.write_text(
        f"user default on nopass -@all +ping\nuser tester on #{digest} -@all {allowed} ~mine:* %R~read:*\n"
    )
    server = valkey_server(tmp_path)
    server.command += ["--aclfile", str(users)]
    yield server.start()
    server.stop()


async def test_a_user_of_the_store_does_what_he_may(guarded: Server, closing: Closer) -> None:
    store = ValkeyStore(f"redis://127.0.0.1:{guarded.port}", "tester", "p@ss")
    closing(store.close)
    await store.fence("tester")

    transaction = Transaction("tester")
    transaction.put("mine:1", "words")
    transaction.expect("read:1", None)
    assert await store.execute([transaction.sealed()[0]]) == [True]
    assert await store.raw("mine:1") == b"words"
    assert await store.ping() is None


@pytest.mark.parametrize("password", ["a guess", ""])
async def test_a_user_whom_the_store_does_not_know_says_so(guarded: Server, closing: Closer, password: str) -> None:
    store = ValkeyStore(f"redis://127.0.0.1:{guarded.port}", "tester", password)
    closing(store.close)

    for asked in (lambda: store.raw("mine:1"), lambda: store.fence("tester"), lambda: store.fence("tester")):
        with pytest.raises(Unavailable, match="Valkey refuses user tester.*run `trade2026 secrets`") as refused:
            await asked()
        assert "guess" not in str(refused.value)
    assert "Valkey refuses user tester" in str(await store.ping())


@pytest.mark.parametrize("guard", [[], ["mine:2"], ["other:1"]])
async def test_a_commit_that_is_not_allowed_breaks_the_journal_in_clear_words(
    guarded: Server, closing: Closer, guard: list[str]
) -> None:
    store = ValkeyStore(f"redis://127.0.0.1:{guarded.port}", "tester", "p@ss")
    closing(store.close)
    journal = Journal("tester", store, nowhere)
    transaction = journal.transaction()
    transaction.put("mine:1", "words")
    transaction.put("read:1" if guard != ["other:1"] else "mine:3", "words")
    for key in guard:
        transaction.expect(key, None)

    with pytest.raises(Unavailable, match="Valkey refuses user tester"):
        await journal.commit(transaction)
    assert "Valkey refuses user tester" in str(journal.broken)
    assert "Valkey refuses user tester" in str(await store.ping())
