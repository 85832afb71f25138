"""The line to NATS, over a real server, and over one that misbehaves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.errors import Unavailable
from shared.kit import nats_line
from shared.kit.nats_line import Line, head_of
from shared.kit.nats_wire import Incoming, Wire
from tests.conftest import Closer
from tests.servers import Server, nats_server


@pytest.fixture
def own_nats(tmp_path: Path) -> Any:
    server = nats_server(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def connected(closing: Closer) -> Callable[..., Any]:
    async def connect(url: str) -> Line:
        failures: list[str] = []
        line = Line("tester", url, failed=failures.append, reconnected=lambda: failures.append("reconnected"))
        line.__dict__["failures"] = failures
        async with asyncio.timeout(10):
            await line.connect()
        closing(line.close)
        return line

    return connect


@pytest.fixture
async def line(own_nats: Server, connected: Callable[..., Any]) -> Line:
    return await connected(f"nats://127.0.0.1:{own_nats.port}")


def _unheard(_what: object) -> None:
    pass


async def eventually(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


def echo(line: Line, address: str) -> None:
    """Answer whatever is said there with the same."""
    line.subscribe(address, lambda message: line.publish(message.reply, message.data, head=message.head))


async def test_each_question_of_a_handful_has_its_own_answer(line: Line) -> None:
    echo(line, "echo.*")

    answers = await line.ask([(f"echo.{n}", b"%d" % n, b"") for n in range(500)], 5)

    assert [one and one.data for one in answers] == [b"%d" % n for n in range(500)]
    assert await line.ask([], 5) == []


async def test_only_the_question_nobody_answers_stays_open(line: Line) -> None:
    echo(line, "echo")
    line.subscribe("silence", lambda message: None)

    one, none = await line.ask([("echo", b"1", b""), ("silence", b"2", b"")], 0.1)

    assert one is not None
    assert none is None


async def test_a_question_nobody_listens_to_is_answered_by_the_server(line: Line) -> None:
    [answer] = await line.ask([("nobody", b"", b"")], 5)

    assert answer is not None
    assert (answer.status, answer.data) == ("503", b"")


async def test_a_long_message_comes_whole_and_so_does_what_follows_it(line: Line) -> None:
    heard: list[bytes] = []
    line.subscribe("long", lambda message: heard.append(message.data))
    long = os.urandom(1_000_000)

    for words in (long, b"short", long):
        line.publish("long", words)

    await eventually(lambda: len(heard) == 3)
    assert heard == [long, b"short", long]


async def test_what_the_server_would_not_take_is_known_beforehand(line: Line) -> None:
    most = b"x" * (1 << 20)
    assert line.unsendable("a.b", most, b"") is None
    assert line.unsendable("a.b", most, b"y") == "1048577 bytes are more than the 1048576 that NATS takes"
    for address in ("", "a b", "a\r\nPUB b 0", "a\tb", "a\n"):
        assert "is no address" in str(line.unsendable(address, b"", b""))
    with pytest.raises(Unavailable, match="too large"):
        line.publish("a.b", most, head=b"y")
    await line.flush()


async def test_a_header_keeps_to_its_line(line: Line) -> None:
    heard: list[Incoming] = []
    line.subscribe("headed", heard.append)

    line.publish("headed", b"x", head=head_of({"Some": "one\r\nOther: two", "Empty": "", "Third": "drei \u00fc"}))

    await eventually(lambda: heard)
    assert heard[0].status == ""
    assert heard[0].header("Some") == "one  Other: two"
    assert heard[0].header("Other") == heard[0].header("Empty") == ""
    assert heard[0].header("Third") == "drei \u00fc"


async def test_what_is_asked_of_a_server_that_dies_is_given_up_at_once(line: Line, own_nats: Server) -> None:
    line.subscribe("silence", lambda message: None)
    asking = asyncio.create_task(line.ask([("silence", b"", b"")] * 3, 60))
    await line.flush()

    own_nats.kill()

    async with asyncio.timeout(5):
        assert await asking == [None] * 3
    assert not line.is_connected
    with pytest.raises(Unavailable, match="not connected"):
        line.publish("a", b"")
    with pytest.raises(Unavailable, match="not connected"):
        await line.ask([("a", b"", b"")], 60)


async def test_what_was_subscribed_to_is_heard_again_from_the_next_server(line: Line, own_nats: Server) -> None:
    heard: list[bytes] = []
    line.subscribe("kept", lambda message: heard.append(message.data))
    left = line.subscribe("left", lambda message: heard.append(message.data))
    own_nats.kill()
    await eventually(lambda: not line.is_connected)
    line.unsubscribe(left)
    own_nats.start()
    await eventually(lambda: line.is_connected)

    line.publish("left", b"1")
    line.publish("kept", b"2")

    await eventually(lambda: heard)
    assert heard == [b"2"]
    assert "reconnected" in line.__dict__["failures"]


async def test_a_hearer_that_breaks_ends_nobodys_connection(line: Line) -> None:
    heard: list[bytes] = []

    def hear(message: Incoming) -> None:
        if message.data == b"1":
            raise ZeroDivisionError("a bug")
        heard.append(message.data)

    line.subscribe("some", hear)
    for words in (b"1", b"2"):
        line.publish("some", words)

    await eventually(lambda: heard == [b"2"])
    assert line.__dict__["failures"] == ["some: ZeroDivisionError('a bug')"]


# A server with users.


@pytest.fixture
def guarded(tmp_path: Path) -> Any:
    """One that knows a single user, and lets him do a few things."""
    users = tmp_path / "users"
    users.write_text(GUARDED)
    server = nats_server(tmp_path, users)
    yield server.start()
    server.stop()


GUARDED = """
authorization { users: [ { user: tester, password: "p@ss \\"word", permissions: {
  publish: { allow: [ "echo", "_INBOX.tester.>", "kept.mine", "$JS.API.STREAM.CREATE.KEPT" ] }
  subscribe: { allow: [ "_INBOX.tester.>", "echo" ] }
} } ] }
"""
PASSWORD = 'p@ss "word'


@pytest.fixture
def user(guarded: Server, closing: Closer) -> Callable[[str], Line]:
    """A line to it, and what went wrong on it."""

    def comes(password: str) -> Line:
        told: list[str] = []
        refused: list[None] = []
        line = Line(
            "tester",
            f"nats://127.0.0.1:{guarded.port}",
            password,
            failed=told.append,
            reconnected=lambda: None,
            refused=lambda: refused.append(None),
        )
        line.__dict__ |= {"told": told, "refused": refused}
        closing(line.close)
        return line

    return comes


async def test_a_user_is_let_in_by_the_password_and_answered_where_nobody_else_hears(user: Any) -> None:
    line = user(PASSWORD)
    await line.connect()
    echo(line, "echo")

    assert [one.data for one in await line.ask([("echo", b"1", b"")], 5)] == [b"1"]
    assert line.new_inbox().startswith("_INBOX.tester.")
    assert line.refusal is None


async def test_who_is_not_let_in_says_so_once_and_does_not_name_the_password(user: Any) -> None:
    line = user("a guess")
    connecting = asyncio.create_task(line.connect())

    await eventually(lambda: len(line.__dict__["refused"]) > 1)

    [told] = line.__dict__["told"]
    assert (
        told
        == line.refusal
        == ("NATS refuses user tester: Authorization Violation; run `trade2026 secrets` and restart NATS")
    )
    assert not line.is_connected
    connecting.cancel()


async def test_what_may_not_be_said_fails_at_once_and_the_rest_goes_on(user: Any) -> None:
    line = user(PASSWORD)
    await line.connect()
    stream = b'{"name": "KEPT", "subjects": ["kept.*"]}'
    await line.ask([("$JS.API.STREAM.CREATE.KEPT", stream, b"")], 5)

    async with asyncio.timeout(10):
        mine, other, again = await line.ask([(f"kept.{who}", b"1", b"") for who in ("mine", "other", "mine")], 60)

    assert (b'"seq":1' in mine.data, b'"seq":2' in again.data, other.data) == (True, True, b"")
    assert 'Permissions Violation for Publish to "kept.other"' in other.refusal
    assert line.refusal == other.refusal
    assert not line._asked


async def test_what_may_not_be_heard_is_told(user: Any) -> None:
    line = user(PASSWORD)
    await line.connect()

    line.subscribe("_INBOX.other.>", _unheard)
    await line.flush()

    assert 'Permissions Violation for Subscription to "_INBOX.other.>"' in line.refusal


async def test_a_refusal_is_over_with_the_connection(user: Any, guarded: Server) -> None:
    line = user(PASSWORD)
    await line.connect()
    line.publish("kept.other", b"1")
    await line.flush()
    assert line.refusal

    guarded.kill()
    guarded.start()

    await eventually(lambda: line.is_connected and not line.refusal)


# A server that misbehaves.


class Deaf:
    """Greets, and then says nothing for as long as it is told to."""

    def __init__(self) -> None:
        self.greeted = 0
        self.silent = True
        self.others: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.greeted += 1
        writer.write(b"INFO %b\r\n" % orjson.dumps({"max_payload": 100, "connect_urls": self.others}))
        pongs = 0
        while words := await reader.readline():
            if words == b"PING\r\n" and (not pongs or not self.silent):
                pongs += 1
                writer.write(b"PONG\r\n")
        writer.close()


@pytest.fixture
async def deaf() -> AsyncIterator[tuple[Deaf, str]]:
    made = Deaf()
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    yield made, f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_a_server_that_falls_silent_is_left_for_another(
    deaf: tuple[Deaf, str], connected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_line, "PING_EVERY_S", 0.01)
    server, url = deaf
    line = await connected(url)
    assert line.unsendable("a", b"x" * 101, b"")

    await eventually(lambda: server.greeted >= 2)

    server.silent = False
    await eventually(lambda: line.is_connected)
    await line.flush()


async def test_who_waits_for_an_answer_is_not_taken_for_a_sign_of_death(
    own_nats: Server, connected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = await connected(f"nats://127.0.0.1:{own_nats.port}")
    wire = line._wire
    asked = [asyncio.create_task(line.flush()) for _ in range(5)]
    await asyncio.sleep(0)  # they are under way

    wire.prove_alive()

    await asyncio.gather(*asked)
    assert line._wire is wire


async def test_a_server_that_is_gone_is_left_for_another_of_its_cluster(
    deaf: tuple[Deaf, str], own_nats: Server, connected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_line, "PING_EVERY_S", 0.1)
    server, url = deaf
    server.others = [f"127.0.0.1:{own_nats.port}", "[::1]:1"]
    line = await connected(url)

    await eventually(lambda: line.unsendable("a", b"x" * 101, b"") is None and line.is_connected)
    monkeypatch.setattr(nats_line, "PING_EVERY_S", 10.0)
    echo(line, "echo")
    assert [one and one.data for one in await line.ask([("echo", b"1", b"")], 5)] == [b"1"]


async def test_a_line_that_never_was_connected_says_so() -> None:
    line = Line("tester", "nats://127.0.0.1:1", failed=_unheard, reconnected=lambda: None)
    with pytest.raises(Unavailable, match="not connected"):
        await line.ask([("a", b"", b"")], 1)
    await line.close()


# The protocol, without a server.


class Written:
    """A transport that keeps what is written, one entry a write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, words: bytes) -> None:
        self.writes.append(words)

    def close(self) -> None:
        pass

    abort = close


def wire_over(heard: list[Any]) -> tuple[Wire, Written]:
    wire = Wire(
        lambda mark, one: heard.append((mark, one.address, one.reply, one.head, one.data)), heard.append, _unheard
    )
    wire.connection_made(written := Written())
    return wire, written


HEAD = b"NATS/1.0\r\nA: b\r\n\r\n"
SPOKEN = (
    b'INFO {"max_payload":5}\r\n'
    b"MSG a.b 1 4\r\n\r\n\r\n\r\n"
    b"MSG a 22 _INBOX.x.7 0\r\n\r\n"
    b"+OK\r\n"
    b"HMSG a 3 18 21\r\n" + HEAD + b"MSG\r\n"
    b"HMSG a 3 r 18 18\r\n" + HEAD + b"\r\n"
    b"PING\r\n-ERR 'Slow Consumer'\r\nMSG z 1 1\r\nz\r\n"
)
HEARD = [
    (b"1", "a.b", "", b"", b"\r\n\r\n"),
    (b"22", "a", "_INBOX.x.7", b"", b""),
    (b"3", "a", "", HEAD, b"MSG"),
    (b"3", "a", "r", HEAD, b""),
    "Slow Consumer",
    (b"1", "z", "", b"", b"z"),
]


@given(cuts=st.lists(st.integers(0, len(SPOKEN))))
def test_what_comes_in_pieces_is_read_as_if_it_came_whole(cuts: list[int]) -> None:
    async def read() -> None:
        heard: list[Any] = []
        wire, written = wire_over(heard)
        edges = [0, *sorted(cuts), len(SPOKEN)]
        for start, end in pairwise(edges):
            wire.data_received(SPOKEN[start:end])
        await asyncio.sleep(0)
        assert (heard, wire.payload_max, written.writes) == (HEARD, 5, [b"PONG\r\n"])

    asyncio.run(read())


async def test_what_is_said_within_one_turn_is_one_write() -> None:
    wire, written = wire_over([])
    for n in range(3):
        wire.send(b"%d" % n, b".")
    assert written.writes == []

    await asyncio.sleep(0)

    assert written.writes == [b"0.1.2."]


async def test_what_nobody_waits_for_leaves_with_what_is_said_next() -> None:
    wire, written = wire_over([])
    wire.send_along(b"ack ")
    await asyncio.sleep(0)
    assert written.writes == []

    wire.send(b"words")
    await asyncio.sleep(0)

    assert written.writes == [b"ack words"]


async def test_what_nobody_waits_for_leaves_by_itself_a_moment_later() -> None:
    wire, written = wire_over([])
    for _ in range(3):
        wire.send_along(b"ack ")

    await eventually(lambda: written.writes)
    assert written.writes == [b"ack ack ack "]


async def test_a_server_that_does_not_read_is_not_written_to_until_it_does() -> None:
    wire, written = wire_over([])
    wire.pause_writing()
    wire.send(b"one ")
    await asyncio.sleep(0)
    wire.send(b"two")
    await asyncio.sleep(0)
    assert (written.writes, wire.held_bytes) == ([], 7)

    wire.resume_writing()

    assert (written.writes, wire.held_bytes) == ([b"one two"], 0)


async def test_a_wire_once_cut_says_nothing_more() -> None:
    wire, written = wire_over([])
    waiting = asyncio.create_task(wire.ping())
    await asyncio.sleep(0)
    wire.cut()

    with pytest.raises(ConnectionError):
        await waiting
    wire.send(b"late")
    wire.send_along(b"later")
    await asyncio.sleep(0)
    assert written.writes == [b"PING\r\n"]
