"""Who may do what, asked of the real servers: every service against every subject, consumer, key and command.

What is expected is worked out from the tables once more, in other words than the permissions are.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis import Redis
from redis.exceptions import NoPermissionError

from shared.cli.users import NATS_USERS, VALKEY_USERS, write_rules
from shared.contract import keys, subjects
from shared.contract.errors import Unavailable
from shared.contract.roster import ROSTER
from shared.contract.subjects import STREAMS, Question, Stream, Subject
from shared.kit import Service
from shared.kit.bus import NatsBus
from shared.kit.clock import SystemClock
from shared.kit.consumers import consumer_name
from shared.kit.hearing import Hearing
from shared.kit.journal import Journal
from shared.kit.meter import Meter
from shared.kit.nats_line import Line
from shared.kit.permissions import OPERATOR, streams_of
from shared.kit.service import Answer, Batch, Follow, On, Watch
from shared.kit.settings import password_file
from shared.kit.shard import Shard
from shared.kit.valkey import ValkeyStore
from tests.conftest import Closer
from tests.servers import Server, nats_server, valkey_server
from tests.suite.test_subjects import wired

EVERYBODY = [entry.name for entry in ROSTER]
SHARERS = [Shard(entry.name, 2, 3, entry.shared_by) for entry in ROSTER if entry.shared_by]

every_service = pytest.mark.parametrize("name", EVERYBODY)


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    return {entry.name: wired(entry) for entry in ROSTER}


@pytest.fixture(scope="module")
def folder(services: dict[str, Service], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The users' files, as the servers read them."""
    made = tmp_path_factory.mktemp("users")
    write_rules(made, services)
    return made


def password(folder: Path, user: str) -> str:
    return (folder / password_file(user)).read_text().strip()


# NATS.


@pytest.fixture(scope="module")
def nats(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = nats_server(tmp_path_factory.mktemp("nats"), folder / NATS_USERS)
    yield server.start()
    server.stop()


class User:
    """A line of somebody's own, and everything that was refused on it."""

    def __init__(self, name: str, port: int, folder: Path) -> None:
        self.told: list[str] = []
        url = f"nats://127.0.0.1:{port}"
        self.line = Line(name, url, password(folder, name), failed=self.told.append, reconnected=lambda: None)

    async def ask(self, address: str, words: Any = None) -> Any:
        """JetStream's answer; None: it was refused."""
        payload = json.dumps(words).encode() if words is not None else b""
        [answer] = await self.line.ask([(address, payload, b"")], 10)
        assert answer is not None, f"{address} is not answered"
        return None if answer.refusal else json.loads(answer.data)

    async def may_say(self, addresses: Iterable[str]) -> set[str]:
        """Those that the server lets pass. Each is said on a connection that was refused nothing yet."""
        passed: set[str] = set()
        for address in addresses:
            self.line._refusals.clear()
            self.line.publish(address, b"{}", reply="_INBOX.nobody.1")
            await self.line.flush()
            if not self.line.refusal:
                passed.add(address)
        return passed

    async def may_hear(self, addresses: Iterable[str]) -> set[str]:
        passed: set[str] = set()
        for address in addresses:
            self.line._refusals.clear()
            mark = self.line.subscribe(address, lambda _: None)
            await self.line.flush()
            self.line.unsubscribe(mark)
            if not self.line.refusal:
                passed.add(address)
        return passed


@pytest.fixture
async def comes(nats: Server, folder: Path, closing: Closer) -> Callable[[str], Any]:
    async def connected(name: str) -> User:
        user = User(name, nats.port, folder)
        closing(user.line.close)
        async with asyncio.timeout(20):
            await user.line.connect()
        return user

    return connected


@pytest.fixture
async def operator(comes: Callable[[str], Any]) -> User:
    """Who may do everything, with every stream made."""
    user = await comes(OPERATOR)
    for stream in STREAMS:
        await user.ask(f"$JS.API.STREAM.CREATE.{stream.name}", {"name": stream.name, "subjects": stream.subjects})
    return user


ADDRESSED = {
    "account": "desk",
    "symbol": "SPY",
    "venue": "sim",
    "interval": "1m",
    "category": "news",
    "service": "{service}",
}
CONTRACT = [one for one in vars(subjects).values() if isinstance(one, Subject)]
QUESTIONS = [one for one in vars(subjects).values() if isinstance(one, Question)]


def address(subject: Subject[Any], service: str) -> str:
    """A place where a subject is said, of a service where it is one's own."""
    return subject.pattern.format_map(ADDRESSED).replace("{service}", service)


@every_service
async def test_a_service_says_what_its_tables_say_and_nothing_else(
    services: dict[str, Service], operator: User, comes: Callable[[str], Any], name: str
) -> None:
    tables = services[name]
    everything = {address(subject, who) for subject in CONTRACT for who in EVERYBODY}
    everything |= {question.pattern for question in QUESTIONS} | {f"audit.{name}", "anything", "$SYS.REQ.SERVER.PING"}
    wanted = {address(subject, name) for subject in tables.says} | {question.pattern for question in tables.asks}
    if not (tables.hears or tables.says):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await comes(name)
        return

    assert await (await comes(name)).may_say(sorted(everything)) == wanted | {f"ops.parked.{name}"}


@every_service
async def test_a_service_hears_live_what_its_tables_say_and_nothing_else(
    services: dict[str, Service], operator: User, comes: Callable[[str], Any], name: str
) -> None:
    rows = services[name].hears
    if not (rows or services[name].says):
        return
    everything = {subject.wildcard for subject in CONTRACT} | {question.pattern for question in QUESTIONS}
    everything |= {f"_INBOX.{who}.x.*" for who in (*EVERYBODY, OPERATOR)}
    everything |= {">", "_INBOX.>", "orders.>", "$JS.API.>", "$JS.ACK.>", "$SYS.>", "$JS.EVENT.>"}
    wanted = {row.subject.wildcard for row in rows if isinstance(row, Watch)}
    wanted |= {row.question.pattern for row in rows if isinstance(row, Answer)}

    assert await (await comes(name)).may_hear(sorted(everything)) == wanted | {f"_INBOX.{name}.x.*"}


@every_service
async def test_only_who_is_asked_may_answer(
    services: dict[str, Service], operator: User, comes: Callable[[str], Any], name: str
) -> None:
    tables = services[name]
    if not (tables.hears or tables.says):
        return
    answered = {row.question.pattern for row in tables.hears if isinstance(row, Answer)}
    asking = {who for who, one in services.items() if answered & {question.pattern for question in one.asks}}
    asking |= {OPERATOR} if answered else set()

    passed = await (await comes(name)).may_say(f"_INBOX.{who}.x.1" for who in (*EVERYBODY, OPERATOR))

    assert passed == {f"_INBOX.{who}.x.1" for who in asking}


# Consumers and streams.

ENDS = "$JS.API.CONSUMER.DELETE"


async def open_everything(services: dict[str, Service], nats: Server, folder: Path) -> None:
    """Hear as every service does, and some as one of three copies do; none of it may be refused."""
    for shard in [*(Shard(name) for name in EVERYBODY), *SHARERS]:
        tables, log = services[shard.service], structlog.get_logger()
        if not tables.hears:
            continue
        word = password(folder, shard.service)
        bus = NatsBus(shard.service, f"nats://127.0.0.1:{nats.port}", SystemClock(), Meter("x"), log, word)
        async with asyncio.timeout(20):
            await bus.connect(streams_of(tables))
        hearing = Hearing(shard, bus, _at_ease, SystemClock(), Meter("x"), log)
        for row in tables.hears:
            # Nobody has recalled how far they have come.
            await hearing.open(replace(row, after=lambda: 0) if isinstance(row, Follow) else row)
        until = asyncio.get_running_loop().time() + 20
        while hearing.trouble():
            assert bus.trouble() is None
            assert asyncio.get_running_loop().time() < until, f"{shard.name}: {hearing.trouble()}"
            await asyncio.sleep(0.01)
        await hearing.close()
        await bus.close()


async def _at_ease() -> None:
    """Nothing keeps anything from being handled."""


@pytest.fixture
async def consumers(
    services: dict[str, Service], nats: Server, folder: Path, operator: User
) -> list[tuple[Stream, str]]:
    """Every consumer that is there once everybody hears, as the server lists them."""
    await open_everything(services, nats, folder)
    found: list[tuple[Stream, str]] = []
    for stream in STREAMS:
        told = await operator.ask(f"$JS.API.CONSUMER.NAMES.{stream.name}", {"offset": 0})
        found += [(stream, name) for name in told["consumers"] or ()]
    return found


async def test_a_consumer_is_read_acknowledged_and_ended_by_its_service_alone(
    services: dict[str, Service], consumers: list[tuple[Stream, str]], comes: Callable[[str], Any]
) -> None:
    rows = [row for one in services.values() for row in one.hears if isinstance(row, On | Batch | Follow)]
    # A copy's durable consumers take the place of those of another number of copies.
    copies = [row for one in SHARERS for row in services[one.service].hears if isinstance(row, Follow)]
    assert len(consumers) == len(rows) + len(copies)
    follows = {
        consumer_name(shard.name, row.subjects, row.into)
        for shard in [*(Shard(name) for name in EVERYBODY), *SHARERS]
        for row in services[shard.service].hears
        if isinstance(row, Follow)
    }
    for name in EVERYBODY:
        if not (services[name].hears or services[name].says):
            continue
        user = await comes(name)
        for stream, consumer in consumers:
            place, followed = f"{stream.name}.{consumer}", consumer in follows
            reads, acks, ends = f"$JS.API.CONSUMER.MSG.NEXT.{place}", f"$JS.ACK.{place}.1.1.1.1.0", f"{ENDS}.{place}"
            if consumer.startswith(f"{name}-"):
                assert await user.may_say([reads, acks]) == ({reads} if followed else {reads, acks}), consumer
            else:
                assert await user.may_say([reads, acks, ends]) == set(), f"{name} and {consumer}"


async def test_a_consumer_of_one_subject_cannot_be_made_one_of_another(
    operator: User, comes: Callable[[str], Any]
) -> None:
    user, config = (
        await comes("sink-ticks"),
        {"durable_name": "sink-ticks-orders_account_event", "ack_policy": "explicit"},
    )
    where = "$JS.API.CONSUMER.CREATE.ORDERS.sink-ticks-orders_account_event"
    for filters in ({"filter_subject": "fills.*"}, {"filter_subjects": ["fills.*", "positions.*"]}, {}):
        told = await user.ask(f"{where}.orders.*.event", {"stream_name": "ORDERS", "config": config | filters})
        assert "error" in told, filters
    assert await user.ask(where, {"stream_name": "ORDERS", "config": config}) is None
    assert await user.ask(f"{where}.fills.*", {"stream_name": "ORDERS", "config": config}) is None


@every_service
async def test_a_stream_is_shaped_by_those_whose_words_it_keeps_and_emptied_by_nobody(
    services: dict[str, Service], operator: User, comes: Callable[[str], Any], name: str
) -> None:
    tables = services[name]
    if not (tables.hears or tables.says):
        return
    everything = [
        f"$JS.API.STREAM.{what}.{stream.name}" for stream in STREAMS for what in ("UPDATE", "DELETE", "PURGE")
    ]
    everything += [f"$JS.API.STREAM.{what}.ORDERS" for what in ("MSG.GET", "MSG.DELETE", "SNAPSHOT", "RESTORE")]
    everything += ["$JS.API.STREAM.CREATE.MINE", "$JS.API.STREAM.LIST", "$JS.API.INFO", "$JS.API.DIRECT.GET.ORDERS"]
    said = {subject.stream for subject in (*tables.says, subjects.PARKED) if subject.stream is not None}

    passed = await (await comes(name)).may_say(everything)

    assert passed == {f"$JS.API.STREAM.UPDATE.{stream.name}" for stream in said}


async def test_whoever_has_no_password_is_nobody(nats: Server) -> None:
    told: list[str] = []
    line = Line("oms", f"nats://127.0.0.1:{nats.port}", failed=told.append, reconnected=lambda: None)
    connecting = asyncio.create_task(line.connect())
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)
    assert "Authorization Violation" in told[0]
    connecting.cancel()
    await line.close()


async def test_what_a_bus_may_not_say_or_ask_fails_at_once_is_counted_and_told(
    nats: Server, folder: Path, operator: User, closing: Closer
) -> None:
    meter, word = Meter("x"), password(folder, "sink-ticks")
    bus = NatsBus("sink-ticks", f"nats://127.0.0.1:{nats.port}", SystemClock(), meter, structlog.get_logger(), word)
    closing(bus.close)
    await bus.connect({})
    assert bus.trouble() is None
    asked = subjects.VENUE_STATEMENT.message(account="desk", venue="sim")

    async with asyncio.timeout(10):
        with pytest.raises(Unavailable, match='refuses user sink-ticks: .* Publish to "fills.desk"; run `trade2026'):
            await bus.store("fills.desk", b"{}", "1")
        with pytest.raises(Unavailable, match='refuses user sink-ticks: .* Publish to "venue.statement"'):
            await bus.ask(subjects.VENUE_STATEMENT, asked, timeout_s=60)

    assert "fills.desk" in str(bus.trouble())
    assert meter.totals["bus_refused"] == 2


# Valkey.


@pytest.fixture(scope="module")
def valkey(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = valkey_server(tmp_path_factory.mktemp("valkey"))
    server.command += ["--aclfile", str(folder / VALKEY_USERS)]
    yield server.start()
    server.stop()


@pytest.fixture(scope="module")
def judge(valkey: Server, folder: Path) -> Iterator[Redis]:
    """The operator, who may ask what anybody may."""
    with Redis(port=valkey.port, username=OPERATOR, password=password(folder, OPERATOR)) as redis:
        yield redis


def may(judge: Redis, user: str, *command: str) -> bool:
    """The server's own judgement; somebody it does not know may do nothing."""
    if user.encode() not in judge.acl_users() and user not in judge.acl_users():
        return False
    return judge.execute_command("ACL", "DRYRUN", user, *command) in (b"OK", "OK")


FAMILIES: dict[str, Any] = {name: one for name, one in vars(keys).items() if inspect.isfunction(one)}


def kinds(who: str) -> dict[str, tuple[Any, str]]:
    """One key of each family; where keys have owners, it is this one's."""
    found: dict[str, tuple[Any, str]] = {}
    for name, family in FAMILIES.items():
        blanks = inspect.signature(family).parameters
        found[name] = (family, family(*[who if blank in ("owner", "shard") else "some" for blank in blanks]))
    return found


def is_owned(family: Any) -> bool:
    return bool({"owner", "shard"} & set(inspect.signature(family).parameters))


KEPT_BY_THE_KIT = {"outbox", "shard"}


@every_service
def test_a_service_keeps_and_reads_the_keys_of_its_tables_and_no_others(
    services: dict[str, Service], judge: Redis, name: str
) -> None:
    tables = services[name]
    for whose in EVERYBODY:
        for kind, (family, key) in kinds(whose).items():
            mine = whose == name or not is_owned(family)
            keeps = mine and (family in tables.keeps or (bool(tables.keeps) and kind in KEPT_BY_THE_KIT))
            reads = keeps or (mine and family in tables.reads) or key in tables.reads
            assert may(judge, name, "GET", key) == reads, f"{name} reads {key}"
            assert may(judge, name, "SET", key, "x") == keeps, f"{name} writes {key}"
            assert may(judge, name, "DEL", key) == keeps, f"{name} drops {key}"


@pytest.mark.parametrize(
    ("key", "writer", "readers"),
    [
        (keys.order("a", "1"), "oms", {"risk"}),
        (keys.fill("a", "1"), "oms", set[str]()),
        (keys.reservation("a"), "oms", {"risk"}),
        (keys.account("a"), "oms", {"risk"}),
        (keys.epoch("a"), "risk", {"oms"}),
        (keys.kill("firm"), "risk", {"live-gateway"}),
        (keys.limits("a"), "risk", set[str]()),
        (keys.venue_order("a", "1"), "live-gateway", set[str]()),
        (keys.bars("1m", "sim", "SPY"), "normalizer", set[str]()),
        ("checkpoint:normalizer-1of2", "normalizer", set[str]()),
        ("journal", "", set[str]()),
    ],
)
def test_the_keys_that_matter_most_have_one_writer(judge: Redis, key: str, writer: str, readers: set[str]) -> None:
    assert {name for name in EVERYBODY if may(judge, name, "SET", key, "x")} == ({writer} if writer else set())
    assert {name for name in EVERYBODY if may(judge, name, "GET", key)} == ({writer} if writer else set()) | readers


DANGEROUS = (
    *("FLUSHALL", "FLUSHDB", "SHUTDOWN", "DEBUG SLEEP 0", "CONFIG GET *", "CONFIG SET maxmemory 1", "CONFIG REWRITE"),
    *(
        "KEYS *",
        "ACL LIST",
        "ACL SETUSER oms on",
        "ACL GETUSER risk",
        "SCRIPT FLUSH",
        "FUNCTION FLUSH",
        "MONITOR",
    ),
    *(
        "SAVE",
        "BGSAVE",
        "BGREWRITEAOF",
        "REPLICAOF a 1",
        "SYNC",
        "PSYNC a 1",
        "CLUSTER RESET",
        "MODULE LIST",
        "SWAPDB 0 1",
    ),
    *("SELECT 1", "CLIENT PAUSE 1", "CLIENT NO-EVICT on", "RENAME order:{a}:1 order:{a}:2", "SORT order:{a}:1"),
    *("MIGRATE a 1 k 0 1", "RESTORE k 0 x", "DUMP order:{a}:1", "SUBSCRIBE x", "PUBLISH x y", "INFO", "LATENCY RESET"),
    *("EVALSHA x 0", "RANDOMKEY", "OBJECT FREQ order:{a}:1", "COPY order:{a}:1 x", "GETDEL order:{a}:1", "WAIT 0 0"),
)


@every_service
@pytest.mark.parametrize("command", DANGEROUS)
def test_no_service_may_do_what_could_hurt_others(judge: Redis, name: str, command: str) -> None:
    assert not may(judge, name, *command.split())


def test_who_comes_without_a_name_may_ask_whether_the_store_is_there(valkey: Server) -> None:
    with Redis(port=valkey.port) as nobody:
        assert nobody.ping()
        for refused in (lambda: nobody.get("order:{a}:1"), nobody.info, lambda: nobody.set("x", "y"), nobody.acl_list):
            with pytest.raises(NoPermissionError):
                refused()


@every_service
async def test_a_journal_does_all_it_needs_as_its_own_user(
    services: dict[str, Service], valkey: Server, folder: Path, closing: Closer, name: str
) -> None:
    tables = services[name]
    if not tables.keeps:
        return
    store = ValkeyStore(f"redis://127.0.0.1:{valkey.port}", name, password(folder, name))
    closing(store.close)
    said: list[str] = []

    async def publish(outgoing: Any) -> list[Any]:
        said.extend(one.address for one in outgoing)
        return []

    journal = Journal(name, store, publish)
    mine = [key for family, key in kinds(name).values() if family in tables.keeps]
    await journal.recall()
    for guard in ([], [(mine[0], None)]):
        transaction = journal.transaction()
        for key, value in guard:
            transaction.expect(key, value)
        for at, key in enumerate(mine):
            write(transaction, key, at)
        transaction.say(subjects.ALERT, alert(name), account="desk", id=f"{len(guard)}")
        assert await journal.commit(transaction)
        await journal.said()
        drop = journal.transaction()
        for key in mine:
            drop.drop(key)
        await journal.commit(drop)
    assert said == [f"alerts.{name}"] * 2
    for key in mine:
        await read(store, key)
    await journal.close()
    assert await store.ping() is None


def alert(name: str) -> Any:
    return subjects.ALERT.message(service=name, code="X", about="x", message="x", at_ns=1)


def write(transaction: Any, key: str, at: int) -> None:
    """In one way or another; the next key in another."""
    ways: tuple[Callable[[], None], ...] = (
        lambda: transaction.put(key, "1"),
        lambda: (transaction.hash_put(key, "a", "1"), transaction.hash_drop(key, "b"))[0],
        lambda: (transaction.set_add(key, "a"), transaction.set_drop(key, "b"))[0],
        lambda: transaction.sorted_add(key, "a", 1),
        lambda: transaction.push(key, "a"),
    )
    ways[at % len(ways)]()


async def read(store: ValkeyStore, key: str) -> None:
    """In every way; there is nothing there any more."""
    assert await store.raw(key) is None
    assert await store.get_many([key], subjects.ALERT.message) == [None]
    assert await store.members(key) == set()
    assert await store.hash(key) == {}
    assert await store.items(key) == []
    assert await store.newest(key, 1) == await store.oldest(key, 1) == []
    assert await store.keys("nothing:*") == []
