"""The sink's way into the lake, over a real one in a folder: each message once, whatever dies and whatever is away."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from services.sink_ticks.service import wire
from services.sink_ticks.settings import Settings
from shared.contract.base import Message
from shared.contract.errors import NotFound, Unavailable
from shared.contract.market import Frame
from shared.contract.subjects import BAR, TICK
from shared.contract.tables import LAKE_BARS, LAKE_QUOTES, LAKE_TICKS, LakeTable
from shared.kit import Lake, Unheard
from shared.kit.fakes import FakeKit, fake_kit
from shared.kit.service import Follow
from tests.conftest import Closer
from tests.services.sink_ticks.test_service import QUOTE_ONE_SIDED, T0, bar, frame, heard, tick


class FlakyLake:
    """The real lake, which can be away, or go away just after it has written: nobody hears then that it has."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self.away: set[str] = set()
        self.mute: set[str] = set()

    async def append(self, table: LakeTable, *args: Any, **words: Any) -> int:
        if table.name in self.away:
            raise Unavailable("the lake is away")
        place = await self._lake.append(table, *args, **words)
        if table.name in self.mute:
            raise Unavailable("no answer")
        return place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lake, name)


class Shore:
    """A sink as the life of a process would drive it, one after the other over the same lake."""

    def __init__(self, kit: FakeKit, settings: Settings | None = None) -> None:
        self.kit = kit
        self.lake = FlakyLake(kit.lake)
        kit.__dict__["lake"] = self.lake
        self.settings = settings or Settings()
        self.set_aside: Unheard = []
        self.start()

    def start(self) -> None:
        """A new process; what the old one had in memory is gone."""
        self.service = wire(self.kit, self.settings)

    async def hear(self, *messages: Message, first: int) -> None:
        """A delivery of those that the lake has not."""
        row = self._row(TICK if not hasattr(messages[0], "interval") else BAR)
        delivery = [one for one in heard(*messages, first=first) if one.sequence > row.after()]
        if delivery:
            self.set_aside += await row.handler(delivery) or []

    def place(self) -> int:
        return self._row(TICK).after()

    async def recall(self) -> None:
        await self.service.recovers()

    async def flush(self) -> dict[str, Any]:
        return await next(route for route in self.service.serves if route.path == "/lake/flush").handler()

    async def count(self, table: str) -> int:
        told = await next(route for route in self.service.serves if route.path == "/lake/count/{table}").handler(table)
        return told["count"]

    def rows(self, table: LakeTable) -> list[dict[str, Any]]:
        return table_of(self.kit, table).to_pylist()

    def market_row(self) -> Follow:
        return self._row(TICK)

    def _row(self, subject: Any) -> Follow:
        return next(row for row in self.service.hears if isinstance(row, Follow) and subject in row.subjects)


def table_of(kit: FakeKit, table: LakeTable) -> pa.Table:
    last = {"ticks": "trade_id", "quotes": "sequence", "bars": "revision"}[table.name]
    whole = DeltaTable(str(kit.suite.var / "lake" / table.name)).to_pyarrow_table()
    return whole.sort_by([("timestamp_ns", "ascending"), (last, "ascending")])


@pytest.fixture
async def shore(closing: Closer) -> Shore:
    shore = Shore(fake_kit("sink-ticks"))
    closing(shore.kit.lake.close)
    await shore.recall()
    return shore


async def test_ticks_quotes_and_bars_are_in_the_lake_with_every_digit_of_their_times(shore: Shore) -> None:
    await shore.hear(tick("t1", T0 + 1), frame(["a", "", "c"], first=10), QUOTE_ONE_SIDED, first=1)
    await shore.hear(bar(0, 5), bar(1, 6), first=1)
    await shore.flush()

    ticks = shore.rows(LAKE_TICKS)
    assert [(row["timestamp_ns"], row["symbol"], row["venue"], row["trade_id"], row["price"]) for row in ticks] == [
        (T0 + 1, "SPY", "sim", "t1", 100.5),
        (T0 + 10, "SPY", "sim", "a", 100.0),
        (T0 + 11, "AAPL", "sim", "2.1", 101.0),
        (T0 + 12, "SPY", "sim", "c", 102.0),
    ]
    assert ticks[0]["timestamp"].isoformat() == "2023-11-14T22:13:20+00:00"
    assert str(ticks[0]["date"]) == "2023-11-14"
    [quote] = shore.rows(LAKE_QUOTES)
    assert (quote["bid"], quote["ask"], quote["receive_ns"]) == (99.5, None, T0 + 5)
    assert [(row["interval"], row["revision"], row["close"]) for row in shore.rows(LAKE_BARS)] == [
        ("1m", 0, 5.0),
        ("1m", 1, 6.0),
    ]


async def test_files_lie_by_venue_and_day(shore: Shore) -> None:
    day_ns = 86_400 * 10**9
    await shore.hear(tick("a"), tick("b", T0 + day_ns), first=1)
    await shore.flush()

    root = shore.kit.suite.var / "lake" / "ticks"
    folders = {str(path.parent.relative_to(root)) for path in root.rglob("*.parquet")}
    assert folders == {"venue=sim/date=2023-11-14", "venue=sim/date=2023-11-15"}


async def test_what_was_not_committed_comes_again_and_what_was_does_not(shore: Shore) -> None:
    await shore.hear(tick("a"), tick("b"), first=1)
    await shore.flush()
    await shore.hear(tick("c"), first=3)
    assert shore.place() == 2

    shore.start()
    await shore.recall()
    assert shore.place() == 2
    await shore.hear(tick("a"), tick("b"), tick("c"), tick("d"), first=1)
    await shore.flush()

    assert [row["trade_id"] for row in shore.rows(LAKE_TICKS)] == ["a", "b", "c", "d"]
    assert shore.place() == 4


async def test_a_crash_between_two_tables_doubles_nothing(shore: Shore) -> None:
    await shore.hear(tick("a"), QUOTE_ONE_SIDED, first=1)
    await shore.flush()
    shore.lake.away = {"ticks"}
    await shore.hear(tick("b"), QUOTE_ONE_SIDED, tick("c"), first=3)
    with pytest.raises(Unavailable):
        await shore.flush()

    shore.start()
    shore.lake.away = set()
    await shore.recall()
    await shore.hear(tick("b"), QUOTE_ONE_SIDED, tick("c"), QUOTE_ONE_SIDED, first=3)
    await shore.flush()

    assert [row["trade_id"] for row in shore.rows(LAKE_TICKS)] == ["a", "b", "c"]
    assert await shore.count("quotes") == 3


async def test_a_commit_of_which_nobody_heard_is_not_made_again(shore: Shore) -> None:
    shore.lake.mute = {"ticks"}
    await shore.hear(tick("a"), first=1)
    with pytest.raises(Unavailable):
        await shore.flush()
    shore.lake.mute = set()
    await shore.hear(tick("b"), first=2)
    await shore.flush()
    await shore.flush()

    assert [row["trade_id"] for row in shore.rows(LAKE_TICKS)] == ["a", "b"]
    assert shore.service.stats()["lake_written"]["ticks"] == 2


async def test_of_two_sinks_each_takes_what_the_other_has_not(shore: Shore, closing: Closer) -> None:
    kit = fake_kit("sink-ticks")
    kit.suite = shore.kit.suite
    other = Shore(kit)
    await other.recall()
    closing(other.kit.lake.close)
    messages = [tick(name) for name in "abcdef"]
    await shore.hear(*messages[:3], first=1)
    await other.hear(*messages[:2], first=1)
    await shore.flush()
    await other.hear(*messages[2:5], first=3)
    await other.flush()
    await shore.hear(*messages[3:], first=4)
    await shore.flush()

    assert [row["trade_id"] for row in shore.rows(LAKE_TICKS)] == list("abcdef")


async def test_a_stream_that_was_lost_and_made_anew_is_kept_from_its_beginning(shore: Shore) -> None:
    await shore.hear(tick("a"), QUOTE_ONE_SIDED, tick("b"), first=100)
    await shore.flush()
    await shore.hear(tick("c"), first=103)
    anew = [tick("d"), QUOTE_ONE_SIDED]
    shore.set_aside += await shore.market_row().handler(heard(*anew, first=1))
    await shore.flush()
    await shore.hear(tick("e"), QUOTE_ONE_SIDED, first=3)
    await shore.flush()

    assert [row["trade_id"] for row in shore.rows(LAKE_TICKS)] == list("abcde")
    assert await shore.count("quotes") == 3
    assert shore.place() == 4


async def test_a_stream_that_was_made_anew_is_followed_from_where_rows_wait(shore: Shore) -> None:
    await shore.hear(tick("a"), first=100)
    await shore.flush()
    await shore.hear(tick("b"), first=101)
    anew = heard(tick("c"), tick("d"), first=1)

    shore.lake.away = {"ticks"}
    with pytest.raises(Unavailable):
        await shore.market_row().handler(anew)
    assert shore.place() == 0
    shore.lake.away = set()
    await shore.market_row().handler(anew)
    assert shore.place() == 2
    shore.lake.away = {"ticks"}
    with pytest.raises(Unavailable):
        await shore.flush()
    await shore.hear(tick("e"), first=3)
    assert shore.place() == 3
    shore.lake.away = set()
    await shore.flush()
    await shore.flush()

    assert [row["trade_id"] for row in shore.rows(LAKE_TICKS)] == list("abcde")
    assert shore.place() == 3


async def test_while_the_lake_is_away_memory_is_bounded_and_the_rest_waits_in_the_stream(closing: Closer) -> None:
    shore = Shore(fake_kit("sink-ticks"), Settings(lake_rows=10))
    closing(shore.kit.lake.close)
    await shore.recall()
    shore.lake.away = {"ticks", "quotes"}
    await shore.hear(frame([str(n) for n in range(12)]), first=1)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await shore.hear(frame([str(n) for n in range(12, 24)]), first=2)
    assert shore.service.stats()["lake_waiting"]["TICKS"] == 12

    shore.lake.away = set()
    await shore.hear(frame([str(n) for n in range(12, 24)]), first=2)
    await shore.flush()

    assert sorted(int(row["trade_id"]) for row in shore.rows(LAKE_TICKS)) == list(range(24))


async def test_how_far_the_lake_has_come_may_be_learnt_later(shore: Shore) -> None:
    shore.start()
    with pytest.raises(Unavailable):
        shore.place()
    assert shore.service.stats()["lake_place"] == {}
    await shore.recall()
    assert shore.place() == 0


async def test_noise_is_set_aside_and_the_lake_goes_on_behind_it(shore: Shore) -> None:
    await shore.hear(Frame(venue="sim", payload=b"noise"), tick("far", 2**63 - 1), tick("a"), first=1)
    await shore.hear(Frame(venue="sim", payload=b"noise"), first=4)
    await shore.flush()

    assert await shore.count("ticks") == 1
    assert [one.sequence for one, _ in shore.set_aside] == [1, 2, 4]
    assert shore.place() == 4


async def test_a_message_that_cannot_be_a_row_is_set_aside_and_keeps_no_other_from_the_lake(shore: Shore) -> None:
    await shore.hear(tick("a"), tick("b").altered(sequence=10**23), tick("c"), first=1)
    await shore.hear(tick("d"), first=4)
    await shore.flush()

    assert [row["trade_id"] for row in shore.rows(LAKE_TICKS)] == ["a", "c", "d"]
    assert [one.sequence for one, _ in shore.set_aside] == [2]


async def test_what_was_written_is_counted_though_the_rest_could_not_be(shore: Shore) -> None:
    await shore.hear(tick("a"), QUOTE_ONE_SIDED, first=1)
    await shore.hear(bar(0, 5), first=1)
    shore.lake.away = {"ticks"}
    with pytest.raises(Unavailable):
        await shore.flush()
    assert shore.service.stats()["lake_written"] == {"quotes": 1}
    shore.lake.away = {"bars"}
    with pytest.raises(Unavailable):
        await shore.flush()
    assert shore.service.stats()["lake_written"] == {"quotes": 1, "ticks": 1}
    shore.lake.away = set()
    await shore.flush()
    assert shore.service.stats()["lake_written"] == {"quotes": 1, "ticks": 1, "bars": 1}


async def test_small_files_become_one_and_old_ones_go(shore: Shore) -> None:
    for n in range(5):
        await shore.hear(tick(str(n)), first=n + 1)
        await shore.flush()
    before = table_of(shore.kit, LAKE_TICKS)
    keep = next(row for row in shore.service.every if row.handler.__name__ == "keep")

    await keep.handler()

    files = DeltaTable(str(shore.kit.suite.var / "lake" / "ticks")).file_uris()
    assert (len(files), table_of(shore.kit, LAKE_TICKS)) == (1, before)


async def test_an_unknown_table_of_the_lake_is_not_found_and_the_known_ones_are_named(shore: Shore) -> None:
    with pytest.raises(NotFound, match="ticks"):
        await shore.count("orders")
