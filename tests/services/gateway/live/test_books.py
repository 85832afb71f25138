"""Books kept equal to the venue's, whatever happens to the messages on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core.levels import Levels
from services.gateway.core.mirror import Mirror, Mirrors, News, Taken, Terms
from shared.contract.feeds import (
    Batch,
    BookChange,
    BookWhole,
    Channel,
    Checksum,
    Denied,
    Level,
    Reached,
    Top,
    Topic,
    Trade,
)
from shared.contract.market import Feed, FeedStatus

SECOND = 1_000_000_000


def change(
    previous: int | None, last: int | None, bids: Sequence[Level] = (), asks: Sequence[Level] = ()
) -> BookChange:
    return BookChange(0, "BTCUSDT", 7, 8, list(bids), list(asks), previous, last)


def whole(last: int | None, bids: Sequence[Level] = (), asks: Sequence[Level] = ()) -> BookWhole:
    return BookWhole(0, "BTCUSDT", 7, 8, list(bids), list(asks), last)


def trade(number: int) -> Trade:
    return Trade(0, "BTCUSDT", 7, 8, 1.0, 1.0, 1, str(number), number)


def top(sequence: int, bid: str = "1", ask: str = "2") -> Top:
    return Top(0, "BTCUSDT", 7, 8, bid, "1", ask, "1", sequence)


def mirror_of(*channels: Channel, terms: Terms | None = None, checksum: Checksum | None = None) -> Mirror:
    mirror = Mirror(terms or Terms(), None, checksum)
    for channel in channels or Channel:
        mirror.want("BTCUSDT", channel)
    mirror.begin(["BTCUSDT"], 0)
    return mirror


def statuses(taken: Taken) -> list[FeedStatus | None]:
    return [news.status for news in taken.news]


def heard(mirror: Mirror, *books: BookChange | BookWhole, at_ns: int = 0) -> Taken:
    return mirror.take(Batch(books=list(books)), at_ns)


def depth(mirror: Mirror) -> tuple[list[Level], list[Level]]:
    book = mirror.book("BTCUSDT")
    assert book is not None
    book.levels.settle()
    bids, asks = book.levels.depth(1000)
    return list(bids), list(asks)


class TestLevels:
    def test_the_best_stand_first(self) -> None:
        levels = Levels()
        levels.replace([("9.5", "1"), ("10", "2")], [("11", "3"), ("10.5", "4")])
        levels.settle()
        assert levels.depth(9) == ([("10", "2"), ("9.5", "1")], [("10.5", "4"), ("11", "3")])

    def test_a_quantity_of_zero_takes_a_price_out(self) -> None:
        levels = Levels()
        levels.replace([("10", "2")], [("11", "3")])
        levels.change([("10", "0.000")], [("12", "0")])
        levels.settle()
        assert levels.depth(9) == ([], [("11", "3")])

    def test_what_lies_below_the_depth_that_is_told_is_forgotten(self) -> None:
        levels = Levels(depth_max=2)
        levels.replace([("10", "1"), ("9", "1")], [])
        levels.change([("11", "1")], [])
        levels.settle()
        levels.change([("11", "0")], [])
        levels.settle()
        assert levels.depth(9) == ([("10", "1")], [])

    @pytest.mark.parametrize("level", [("x", "1"), ("1", "nan"), ("nan", "1"), ("-1", "1"), ("1", "-1"), ("1", "inf")])
    def test_what_is_no_number_is_found_out(self, level: Level) -> None:
        levels = Levels()
        levels.change([level], [])
        with pytest.raises(ValueError, match=r"price|quantity|float"):
            levels.settle()

    def test_a_bid_that_is_not_below_the_ask_crosses(self) -> None:
        levels = Levels()
        levels.replace([("10", "1")], [("10", "1")])
        levels.settle()
        assert levels.crossed

    @given(
        st.lists(
            st.lists(st.tuples(st.integers(1, 30).map(str), st.integers(0, 3).map(str)), max_size=20), max_size=20
        ),
        st.sets(st.integers(0, 19)),
    )
    def test_looking_in_between_changes_nothing(self, changes: list[list[Level]], looks: set[int]) -> None:
        levels, plain = Levels(), dict[str, str]()
        for number, some in enumerate(changes):
            levels.change(some, [])
            plain.update(some)
            if number in looks:
                levels.settle()
        levels.settle()
        kept = {price: quantity for price, quantity in plain.items() if quantity != "0"}
        assert levels.depth(99)[0] == sorted(kept.items(), key=lambda level: -float(level[0]))


class TestNumberedChanges:
    def test_a_book_waits_for_a_whole_one_and_keeps_the_changes(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        heard(mirror, change(3, 5, [("1", "1")]), change(5, 6, [("2", "1")]), change(6, 9, [("3", "1")]))
        taken = mirror.whole(whole(5, [("1", "7")]), 0)
        assert statuses(taken) == [None]
        assert depth(mirror)[0] == [("3", "1"), ("2", "1"), ("1", "7")]

    def test_a_whole_book_in_the_middle_of_a_change_is_joined(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        heard(mirror, change(3, 8, [("1", "1")]))
        assert statuses(mirror.whole(whole(5), 0)) == [None]
        assert depth(mirror)[0] == [("1", "1")]

    def test_a_whole_book_older_than_the_changes_is_asked_for_again(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        heard(mirror, change(7, 8, [("1", "1")]))
        taken = mirror.whole(whole(5), 0)
        assert statuses(taken) == [FeedStatus.RESYNC]
        assert taken.resync == ["BTCUSDT"]
        assert statuses(mirror.whole(whole(8, [("2", "1")]), 0)) == [None]
        assert depth(mirror)[0] == [("2", "1")]

    def test_a_whole_book_made_before_the_first_change_was_heard_is_no_gap(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        mirror.whole(whole(5), 0)
        taken = heard(mirror, change(7, 8))
        assert statuses(taken) == [FeedStatus.RESYNC]
        assert taken.resync == ["BTCUSDT"]
        assert statuses(mirror.whole(whole(7), 0)) == [None]

    def test_a_missing_change_is_a_gap_and_the_book_is_taken_anew(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        mirror.whole(whole(5, [("1", "1")]), 0)
        taken = heard(mirror, change(5, 6), change(8, 9, [("2", "2")]))
        assert statuses(taken) == [FeedStatus.GAP, FeedStatus.RESYNC]
        assert taken.news[0].why == "changes 7 to 8 of the book are missing"
        assert taken.resync == ["BTCUSDT"]
        assert taken.counts["feed_gaps"] == 1
        assert statuses(mirror.whole(whole(8, [("3", "3")]), 0)) == [None]
        assert depth(mirror)[0] == [("3", "3"), ("2", "2")]

    def test_a_change_told_twice_is_old(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        mirror.whole(whole(5), 0)
        again = change(5, 6, [("1", "1")])
        assert statuses(heard(mirror, again, change(6, 7, [("1", "2")]), again)) == []
        assert depth(mirror)[0] == [("1", "2")]

    def test_a_late_answer_to_a_second_question_is_not_taken(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        mirror.whole(whole(5), 0)
        heard(mirror, change(5, 6, [("1", "1")]))
        assert statuses(mirror.whole(whole(5, [("9", "9")]), 0)) == []
        assert depth(mirror)[0] == [("1", "1")]

    def test_states_numbered_anew_are_found_out(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        mirror.whole(whole(1_000_000), 0)
        taken = heard(mirror, *(change(number, number + 1) for number in range(1002)))
        assert statuses(taken) == [FeedStatus.GAP, FeedStatus.RESYNC]

    def test_the_oldest_changes_give_way_while_a_book_waits_too_long(self) -> None:
        mirror = mirror_of(Channel.BOOK, terms=Terms(changes_waiting_max=2))
        taken = heard(mirror, change(1, 2), change(2, 3), change(3, 4))
        assert taken.counts["feed_changes_dropped"] == 1
        assert mirror.whole(whole(1), 0).resync == ["BTCUSDT"]

    def test_a_level_that_cannot_be_read_costs_the_book(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        mirror.whole(whole(5), 0)
        taken = heard(mirror, change(5, 6, [("x", "1")]))
        assert statuses(taken) == [FeedStatus.GAP, FeedStatus.RESYNC]

    def test_it_is_found_when_the_book_is_looked_at_also_if_somebody_looked_before(self) -> None:
        mirrors = Mirrors(Terms())
        mirror = mirrors.make("binance", None, None)
        for channel in Channel:
            mirror.want("BTCUSDT", channel)
        mirror.begin(["BTCUSDT"], 0)
        mirror.whole(whole(5, [("1", "1")]), SECOND)
        assert statuses(heard(mirror, change(5, 6, [("x", "1")]), at_ns=SECOND)) == []
        feed = Feed(venue="binance", symbol="BTCUSDT", status=FeedStatus.LIVE, since_ns=0)
        shown = mirrors.depth(feed, 5)
        assert shown is not None
        assert shown.bids == (("1", "1"),)
        assert statuses(mirror.look(2 * SECOND)) == [FeedStatus.GAP, FeedStatus.RESYNC]

    def test_a_whole_book_that_does_not_come_is_asked_for_again(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        assert mirror.look(9 * SECOND).resync == []
        assert mirror.look(11 * SECOND).resync == ["BTCUSDT"]
        assert mirror.look(12 * SECOND).resync == []

    def test_nothing_is_asked_for_while_the_connection_is_gone(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        mirror.end(["BTCUSDT"])
        assert mirror.look(11 * SECOND).news == []
        assert mirror.whole(whole(5), 0).news == []

    @given(st.data())
    def test_a_book_that_is_trusted_is_the_venues(self, data: st.DataObject) -> None:
        """Changes lost, doubled and swapped; whole books late: whenever it does not wait, it equals the venue's."""
        levels = st.tuples(st.integers(1, 9).map(str), st.integers(0, 2).map(str))
        said = data.draw(st.lists(st.lists(levels, max_size=3), min_size=1, max_size=30))
        states: list[dict[str, str]] = [{}]
        for some in said:
            book = states[-1] | dict(some)
            states.append({price: quantity for price, quantity in book.items() if quantity != "0"})
        changes = [change(number, number + 1, some) for number, some in enumerate(said)]
        sent = data.draw(st.lists(st.sampled_from(range(len(changes))), max_size=60).map(sorted))
        swaps = data.draw(st.lists(st.integers(0, max(0, len(sent) - 2)), max_size=5)) if len(sent) > 1 else []
        for place in swaps:
            sent[place], sent[place + 1] = sent[place + 1], sent[place]
        mirror, asked, newest = mirror_of(Channel.BOOK), True, 0
        for place in [*sent, *range(len(changes))]:
            newest = max(newest, place)
            asked = bool(heard(mirror, changes[place]).resync) or asked
            if asked and data.draw(st.booleans()):
                at = data.draw(st.integers(max(0, newest - 2), newest + 1))
                asked = bool(mirror.whole(whole(at, list(states[at].items())), 0).resync)
            book = mirror.book("BTCUSDT")
            assert book is not None
            if not book.waiting:
                assert dict(depth(mirror)[0]) == states[book.last or 0]
        while asked:
            asked = bool(mirror.whole(whole(len(changes), list(states[-1].items())), 0).resync)
        assert dict(depth(mirror)[0]) == states[-1]


class TestUnnumberedChanges:
    def test_a_whole_book_comes_with_the_changes(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        heard(mirror, change(None, None, [("9", "9")]))
        taken = heard(mirror, whole(None, [("1", "1")]), change(None, None, [("2", "2")]))
        assert statuses(taken) == [None]
        assert depth(mirror)[0] == [("2", "2"), ("1", "1")]

    def test_a_checksum_that_does_not_match_is_a_gap(self) -> None:
        mirror = mirror_of(Channel.BOOK, checksum=Checksum(2, lambda bids, asks: len(bids) * 10 + len(asks)))
        heard(mirror, whole(None, [("1", "1")], [("3", "1")]))
        assert statuses(heard(mirror, replace(change(None, None, [("2", "1")]), checksum=21))) == []
        taken = heard(mirror, replace(change(None, None, [("2", "0")]), checksum=21))
        assert statuses(taken) == [FeedStatus.GAP, FeedStatus.RESYNC]
        assert statuses(heard(mirror, whole(None, [("1", "1")]))) == [None]

    def test_a_missing_trade_costs_a_book_that_nothing_proves(self) -> None:
        mirror = mirror_of()
        heard(mirror, whole(None, [("1", "1")]))
        mirror.take(Batch(trades=[trade(1)]), 0)
        assert statuses(mirror.take(Batch(notes=[Reached("BTCUSDT", 2)]), 0)) == [FeedStatus.GAP, FeedStatus.RESYNC]


class TestCrossedBooks:
    def test_a_book_is_looked_at_ten_times_a_second_where_quotes_are_told_besides(self) -> None:
        mirror = mirror_of()
        mirror.whole(whole(5, [("1", "1")], [("2", "1")]), SECOND)
        assert statuses(heard(mirror, change(5, 6, [("3", "1")]), at_ns=SECOND)) == []
        assert statuses(heard(mirror, change(6, 7), at_ns=SECOND + SECOND // 10)) == [FeedStatus.CROSSED]

    def test_a_crossed_book_is_said_to_be_crossed(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        mirror.whole(whole(5, [("1", "1")], [("2", "1")]), 0)
        assert statuses(heard(mirror, change(5, 6, [("3", "1")]))) == [FeedStatus.CROSSED]
        assert statuses(heard(mirror, change(6, 7, [("3", "0")]))) == [None]

    def test_a_book_that_stays_crossed_is_taken_anew(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        mirror.whole(whole(5, [("3", "1")], [("2", "1")]), 0)
        assert mirror.look(2 * SECOND).news == []
        assert statuses(mirror.look(4 * SECOND)) == [FeedStatus.GAP, FeedStatus.RESYNC]


class TestTrades:
    def test_a_trade_told_twice_is_said_once(self) -> None:
        taken = mirror_of().take(Batch(trades=[trade(1), trade(2), trade(1), trade(2), trade(3)]), 0)
        assert [one.number for one in taken.trades] == [1, 2, 3]
        assert taken.counts["feed_trades_doubled"] == 2

    def test_missing_trades_are_reported_once_and_taken_when_they_come_late(self) -> None:
        mirror = mirror_of(Channel.TRADES)
        taken = mirror.take(Batch(trades=[trade(1), trade(4), trade(3), trade(3), trade(5)]), 0)
        assert [one.number for one in taken.trades] == [1, 4, 3, 5]
        assert [(news.status, news.why, news.once) for news in taken.news] == [
            (FeedStatus.GAP, "trades 2 to 3 are missing", True)
        ]

    def test_numbers_that_begin_anew_are_followed(self) -> None:
        taken = mirror_of().take(Batch(trades=[trade(5_000_000), trade(1), trade(2)]), 0)
        assert [one.number for one in taken.trades] == [5_000_000, 1, 2]
        assert statuses(taken) == [FeedStatus.GAP]

    def test_what_nobody_wants_is_not_taken(self) -> None:
        mirror = mirror_of()
        for channel in Channel:
            mirror.unwant("BTCUSDT", channel)
        taken = mirror.take(Batch([trade(1)], [top(1)], [change(1, 2)]), 0)
        assert (taken.trades, taken.tops, taken.news) == ([], {}, [])


class TestRefusals:
    def test_a_symbol_of_which_something_was_refused_stays_down(self) -> None:
        mirror = mirror_of()
        taken = mirror.take(Batch(notes=[Denied(Topic(Channel.TRADES, "BTCUSDT"), "no")]), 0)
        assert [(news.status, news.why) for news in taken.news] == [
            (FeedStatus.DOWN, "the venue refused to tell of TRADES: no")
        ]
        assert statuses(heard(mirror, whole(None))) == [FeedStatus.DOWN]
        assert mirror.look(99 * SECOND).news == []

    def test_it_is_tried_again_on_the_next_connection(self) -> None:
        mirror = mirror_of()
        mirror.take(Batch(notes=[Denied(Topic(Channel.TRADES, "BTCUSDT"), "no")]), 0)
        mirror.end(["BTCUSDT"])
        mirror.begin(["BTCUSDT"], 0)
        assert statuses(heard(mirror, whole(None))) == [None]

    def test_it_stands_while_others_are_subscribed_to_besides(self) -> None:
        mirror = mirror_of(Channel.TRADES)
        mirror.take(Batch(notes=[Denied(Topic(Channel.TRADES, "BTCUSDT"), "no")]), 0)
        mirror.want("BTCUSDT", Channel.BOOK)
        assert statuses(mirror.begin(["BTCUSDT"], 0)) == [FeedStatus.RESYNC, FeedStatus.DOWN]
        assert statuses(heard(mirror, whole(None))) == [FeedStatus.DOWN]


class TestGivingUp:
    def test_a_book_that_is_given_up_takes_its_trouble_with_it(self) -> None:
        mirror = mirror_of()
        assert mirror.unwant("BTCUSDT", Channel.BOOK) == News("BTCUSDT", None)

    def test_what_was_refused_and_is_given_up_is_no_trouble_any_more(self) -> None:
        mirror = mirror_of()
        mirror.take(Batch(notes=[Denied(Topic(Channel.TRADES, "BTCUSDT"), "no")]), 0)
        news = mirror.unwant("BTCUSDT", Channel.TRADES)
        assert news is not None
        assert news.status is FeedStatus.RESYNC
        assert statuses(heard(mirror, whole(None))) == [None]

    def test_what_is_given_up_says_nothing_of_the_others(self) -> None:
        mirror = mirror_of()
        assert mirror.unwant("BTCUSDT", Channel.TRADES) is None
        mirror.end(["BTCUSDT"])
        assert mirror.unwant("BTCUSDT", Channel.BOOK) is None

    def test_a_refused_channel_beside_it_goes_on_being_said(self) -> None:
        mirror = mirror_of()
        mirror.take(Batch(notes=[Denied(Topic(Channel.TRADES, "BTCUSDT"), "no")]), 0)
        news = mirror.unwant("BTCUSDT", Channel.BOOK)
        assert news is not None
        assert news.status is FeedStatus.DOWN

    def test_what_still_comes_of_it_is_not_taken(self) -> None:
        mirror = mirror_of()
        for channel in (Channel.TRADES, Channel.QUOTES):
            mirror.unwant("BTCUSDT", channel)
        taken = mirror.take(Batch([trade(1), trade(9)], [top(1)], notes=[Reached("BTCUSDT", 20)]), 0)
        assert (taken.trades, taken.tops, taken.news) == ([], {}, [])

    def test_trades_that_came_while_nobody_wanted_them_are_not_missing(self) -> None:
        mirror = mirror_of(Channel.TRADES, Channel.BOOK)
        mirror.take(Batch(trades=[trade(1)]), 0)
        mirror.unwant("BTCUSDT", Channel.TRADES)
        mirror.want("BTCUSDT", Channel.TRADES)
        mirror.begin(["BTCUSDT"], 0)
        assert mirror.take(Batch(trades=[trade(9)]), 0).news == []


class TestTops:
    def test_only_the_newest_is_said(self) -> None:
        taken = mirror_of().take(Batch(tops=[top(1), top(3, "1.5"), top(2)]), 0)
        assert taken.tops["BTCUSDT"].bid == "1.5"

    def test_an_older_one_is_not_said_after_a_newer(self) -> None:
        mirror = mirror_of()
        mirror.take(Batch(tops=[top(3)]), 0)
        assert mirror.take(Batch(tops=[top(2)]), 0).tops == {}

    def test_the_best_of_the_book_stands_in_where_none_are_asked_for(self) -> None:
        mirror = mirror_of(Channel.BOOK)
        taken = mirror.whole(whole(5, [("1", "7")], [("2", "8")]), 3)
        assert taken.tops["BTCUSDT"] == Top(0, "BTCUSDT", 7, 3, "1", "7", "2", "8", 5)
        assert heard(mirror, change(5, 6, [("0.5", "1")])).tops == {}
