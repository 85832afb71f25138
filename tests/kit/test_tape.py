"""One list of tests for both tapes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.contract.errors import Unavailable
from shared.contract.market import Interval
from shared.contract.tables import BARS, FILLS, QUOTES, TABLES, TICKS
from shared.kit.questdb_tape import QuestTape
from shared.kit.settings import Suite
from shared.kit.sqlite_tape import SqliteTape
from shared.kit.tape import Tape, open_tape
from tests.conftest import Closer
from tests.questdb_server import QuestServer

DAY_NS = 86_400 * 10**9
T0 = 19_000 * DAY_NS


@pytest.fixture(params=["sqlite", pytest.param("questdb", marks=pytest.mark.questdb)])
def tape(request: pytest.FixtureRequest, tmp_path: Path, closing: Closer) -> Tape:
    if request.param == "sqlite":
        opened: Tape = SqliteTape(tmp_path / "tape" / "tape.db")
    else:
        server: QuestServer = request.getfixturevalue("questdb")
        opened = QuestTape(server.http, server.pg)
    closing(opened.close)
    return opened


@pytest.fixture
def symbol(request: pytest.FixtureRequest) -> str:
    """One that no other test writes, since they share a server."""
    return f"S{abs(hash(request.node.name)) % 10**9}"


async def until(true: Callable[[], Awaitable[Any]], timeout_s: float = 20) -> None:
    """Return once it is so: what was written becomes visible a moment later."""
    async with asyncio.timeout(timeout_s):
        while not await true():
            await asyncio.sleep(0.02)


async def has(tape: Tape, rows: int, symbol: str, table: Any = TICKS) -> None:
    async def counted() -> bool:
        return await tape.count(table, where={"symbol": symbol}) == rows

    await until(counted)


def ticks(symbol: str, count: int, *, first: int = 0, price: float = 100.0) -> dict[str, Any]:
    numbers = np.arange(first, first + count)
    return {
        "timestamp": T0 + numbers,
        "symbol": [symbol] * count,
        "venue": ["sim"] * count,
        "trade_id": [str(n) for n in numbers],
        "price": np.full(count, price) + numbers,
        "quantity": np.full(count, 0.1),
        "side": np.full(count, -1, np.int8),
        "receive_ns": T0 + numbers + 5,
        "sequence": numbers,
    }


async def test_a_table_made_before_a_column_was_thought_of_gets_it(tape: Tape, closing: Closer) -> None:
    bars, new = BARS[Interval.d1], "taker_buy_volume"
    await tape.ping()
    if isinstance(tape, SqliteTape):
        await tape._writer.run(lambda file: file.execute(f"ALTER TABLE {bars.name} DROP COLUMN {new}"))
        again: Tape = SqliteTape(tape._writer._path)
    else:
        assert isinstance(tape, QuestTape)
        await tape._ask(f"ALTER TABLE {bars.name} DROP COLUMN {new}", [])
        again = QuestTape(tape._http, tape._pg)
    closing(again.close)

    columns: dict[str, Any] = {
        "timestamp": [T0],
        **{name: [{"symbol": "S", "text": "t", "float": 1.5, "int": 1}[kind]] for name, kind in bars.columns.items()},
    }
    await again.append(bars, columns | {"symbol": ["GROWN"]})
    await has(again, 1, "GROWN", bars)

    [row] = await again.read(bars, where={"symbol": "GROWN"})
    assert row[new] == 1.5


async def test_what_was_appended_is_read_back_exactly(tape: Tape, symbol: str) -> None:
    await tape.append(TICKS, ticks(symbol, 3))
    await has(tape, 3, symbol)

    rows = await tape.read(TICKS, where={"symbol": symbol})

    assert rows == [
        {
            "timestamp": T0 + n,
            "symbol": symbol,
            "venue": "sim",
            "trade_id": str(n),
            "price": 100.0 + n,
            "quantity": 0.1,
            "side": -1,
            "receive_ns": T0 + n + 5,
            "sequence": n,
        }
        for n in range(3)
    ]


async def test_a_row_written_again_is_there_once_with_its_last_words(tape: Tape, symbol: str) -> None:
    await tape.append(TICKS, ticks(symbol, 3))
    await tape.append(TICKS, ticks(symbol, 4, price=200.0))
    await has(tape, 4, symbol)

    assert [row["price"] for row in await tape.read(TICKS, where={"symbol": symbol})] == [200, 201, 202, 203]


async def test_of_rows_with_one_key_in_one_append_the_last_stays(tape: Tape, symbol: str) -> None:
    table = BARS[Interval.m1]
    columns: dict[str, Any] = {name: [1.0, 2.0, 3.0] for name, kind in table.columns.items() if kind == "float"}
    columns |= {"timestamp": [T0] * 3, "venue": ["sim"] * 3, "symbol": [symbol] * 3, "count": [1, 2, 3]}
    await tape.append(table, {**columns, "revision": [0, 1, 2]})
    await has(tape, 1, symbol, table)

    (row,) = await tape.read(table, where={"symbol": symbol})

    assert (row["revision"], row["close"], row["count"]) == (2, 3.0, 3)


async def test_rows_are_found_by_time_and_by_words_oldest_first(tape: Tape, symbol: str) -> None:
    await tape.append(TICKS, ticks(symbol, 10, first=10))
    await tape.append(TICKS, ticks(symbol, 10))
    await has(tape, 20, symbol)

    some = await tape.read(TICKS, where={"symbol": symbol, "venue": "sim"}, start_ns=T0 + 5, end_ns=T0 + 15)

    assert [row["sequence"] for row in some] == list(range(5, 15))
    assert [row["sequence"] for row in await tape.read(TICKS, where={"symbol": symbol}, limit=2)] == [0, 1]
    assert await tape.read(TICKS, where={"symbol": symbol, "venue": "other"}) == []


async def test_a_side_without_a_quote_is_nothing(tape: Tape, symbol: str) -> None:
    words: dict[str, Any] = {
        "timestamp": [T0],
        "symbol": [symbol],
        "venue": ["sim"],
        "receive_ns": [T0],
        "sequence": [7],
    }
    await tape.append(QUOTES, {**words, "bid": [None], "bid_quantity": [None], "ask": [1.5], "ask_quantity": [2.0]})
    await has(tape, 1, symbol, QUOTES)

    (row,) = await tape.read(QUOTES, where={"symbol": symbol})

    assert (row["bid"], row["bid_quantity"], row["ask"], row["ask_quantity"]) == (None, None, 1.5, 2.0)


async def test_money_keeps_every_digit_and_words_keep_every_letter(tape: Tape, symbol: str) -> None:
    fill = {"account": "a", "fill_id": "f'1\"", "order_id": "ö 1,=\\", "symbol": symbol, "side": "BUY"}
    fill |= {"price": "0.100000000000000000000001", "quantity": "12345678901234567890.5", "fee": "0", "venue": "paper"}
    await tape.append(FILLS, {"timestamp": [T0], **{name: [word] for name, word in fill.items()}})
    await has(tape, 1, symbol, FILLS)

    assert await tape.read(FILLS, where={"symbol": symbol}) == [{"timestamp": T0, **fill}]


async def test_every_table_can_be_written_and_read(tape: Tape, symbol: str) -> None:
    samples = {"symbol": symbol, "text": "words", "float": 1.5, "int": 7}
    for table in TABLES:
        row = {name: samples[kind] for name, kind in table.columns.items()}
        await tape.append(table, {"timestamp": [T0], **{name: [value] for name, value in row.items()}})
        await has(tape, 1, symbol, table)
        assert await tape.read(table, where={"symbol": symbol}) == [{"timestamp": T0, **row}]


async def test_a_column_that_the_table_does_not_have_is_refused(tape: Tape) -> None:
    with pytest.raises(ValueError, match="no column"):
        await tape.count(TICKS, where={"1=1; --": "x"})


async def test_a_bad_row_is_no_reason_to_wait(tape: Tape, symbol: str) -> None:
    """A bug must not look like an absent world, or it would be tried for ever; and the tape stays usable."""
    broken = {**ticks(symbol, 1), "price": [object()]}
    with pytest.raises(Exception) as caught:
        await tape.append(TICKS, broken)
    assert not isinstance(caught.value, Unavailable)

    await tape.append(TICKS, ticks(symbol, 1))
    await has(tape, 1, symbol)


async def test_without_a_place_to_write_the_tape_is_unavailable_and_comes_back(tmp_path: Path, closing: Closer) -> None:
    (tmp_path / "tape").write_text("a file where the folder should be")
    tape = SqliteTape(tmp_path / "tape" / "tape.db")
    closing(tape.close)
    with pytest.raises(Unavailable):
        await tape.ping()

    (tmp_path / "tape").unlink()

    await tape.append(TICKS, ticks("A", 1))
    assert await tape.count(TICKS) == 1


async def test_a_tape_in_another_process_hands_is_unavailable_until_released(
    tmp_path: Path, closing: Closer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.sqlite_file.BUSY_S", 0.05)
    tape = SqliteTape(tmp_path / "tape.db")
    closing(tape.close)
    await tape.ping()
    with sqlite3.connect(tmp_path / "tape.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await tape.append(TICKS, ticks("A", 1))
        other.execute("ROLLBACK")
    other.close()

    await tape.append(TICKS, ticks("A", 1))
    assert await tape.count(TICKS) == 1


@pytest.mark.questdb
async def test_questdb_away_is_unavailable_and_what_was_acknowledged_survives_its_death(
    questdb: QuestServer, tmp_path: Path, closing: Closer
) -> None:
    server = QuestServer(questdb.jar, tmp_path).start()
    closing(_killing(server))
    tape = QuestTape(server.http, server.pg)
    closing(tape.close)
    await tape.append(TICKS, ticks("A", 1000))

    server.kill()
    with pytest.raises(Unavailable):
        await tape.append(TICKS, ticks("A", 1, first=1000))
    with pytest.raises(Unavailable):
        await tape.ping()
    server.start()

    await tape.append(TICKS, ticks("A", 1, first=1000))
    await has(tape, 1001, "A")


def _killing(server: QuestServer) -> Callable[[], Awaitable[None]]:
    async def kill() -> None:
        server.kill()

    return kill


def test_a_suite_without_questdb_keeps_its_tape_in_a_file(tmp_path: Path) -> None:
    assert isinstance(open_tape(Suite(var=tmp_path)), SqliteTape)
    assert isinstance(open_tape(Suite(var=tmp_path, questdb_http="127.0.0.1:9000")), QuestTape)
