"""The simulated market's order book."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.core.book import Book, Trade

limits = st.tuples(st.just("limit"), st.booleans(), st.integers(1, 20), st.integers(1, 50))
markets = st.tuples(st.just("market"), st.booleans(), st.one_of(st.none(), st.integers(1, 20)), st.integers(1, 50))
cancels = st.tuples(st.just("cancel"), st.booleans(), st.integers(1, 60), st.just(0))
actions = st.lists(st.one_of(limits, limits, markets, cancels), max_size=60)


def lots_in(book: Book) -> int:
    return sum(lots for side in (book.bids, book.asks) for _, lots in side.depth(1000))


@given(actions)
@settings(max_examples=150, deadline=None)
def test_the_book_is_never_crossed_and_no_lot_is_lost(played: list[tuple[str, bool, int, int]]) -> None:
    book, expected = Book(), 0
    for verb, buy, word, lots in played:
        if verb == "cancel":
            expected -= book.cancel(word)
        elif verb == "limit":
            _, trades = book.submit_limit(buy=buy, price=word, lots=lots)
            expected += lots - 2 * sum(trade.lots for trade in trades)
        else:
            trades = book.submit_market(buy=buy, lots=lots, limit=word)
            expected -= sum(trade.lots for trade in trades)
        assert lots_in(book) == expected
        if book.bids.best is not None and book.asks.best is not None:
            assert book.bids.best < book.asks.best


class ListBook:
    """The same rules in the plainest words: one list, searched from end to end."""

    def __init__(self) -> None:
        self.orders: list[list[int]] = []
        self.count = 0

    def submit(self, *, buy: bool, price: int, lots: int) -> list[tuple[int, int, int]]:
        self.count += 1
        trades: list[tuple[int, int, int]] = []
        sign = 1 if buy else -1
        while lots:
            others = [o for o in self.orders if o[1] == -sign and sign * o[2] <= sign * price]
            if not others:
                self.orders.append([self.count, sign, price, lots])
                break
            best = min(others, key=lambda o: (sign * o[2], o[0]))
            traded = min(lots, best[3])
            trades.append((best[0], best[2], traded))
            lots -= traded
            best[3] -= traded
            self.orders = [o for o in self.orders if o[3]]
        return trades


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 8), st.integers(1, 9)), max_size=50))
@settings(max_examples=150, deadline=None)
def test_orders_match_by_price_and_then_by_time(submitted: list[tuple[bool, int, int]]) -> None:
    book, plain = Book(), ListBook()
    for buy, price, lots in submitted:
        _, trades = book.submit_limit(buy=buy, price=price, lots=lots)
        assert [(t.maker_id, t.price, t.lots) for t in trades] == plain.submit(buy=buy, price=price, lots=lots)


def test_the_older_of_two_orders_at_a_price_is_filled_first() -> None:
    book = Book()
    first, _ = book.submit_limit(buy=False, price=10, lots=3, owner=1)
    second, _ = book.submit_limit(buy=False, price=10, lots=3, owner=2)

    trades = book.submit_market(buy=True, lots=4, owner=3)

    assert trades == [Trade(10, 3, first, 1, 3, True), Trade(10, 1, second, 2, 3, True)]
    assert book.asks.depth(5) == [(10, 2)]


def test_what_a_limit_order_does_not_match_waits_in_the_book() -> None:
    book = Book()
    book.submit_limit(buy=False, price=10, lots=3)

    _, trades = book.submit_limit(buy=True, price=11, lots=5)

    assert [(trade.price, trade.lots) for trade in trades] == [(10, 3)]
    assert book.bids.depth(5) == [(11, 2)]
    assert book.asks.best is None


def test_what_a_market_order_does_not_match_is_dropped() -> None:
    book = Book()
    book.submit_limit(buy=True, price=9, lots=2)
    assert sum(trade.lots for trade in book.submit_market(buy=False, lots=5)) == 2
    assert len(book) == 0


def test_a_market_order_stops_at_its_limit() -> None:
    book = Book()
    book.submit_limit(buy=False, price=10, lots=1)
    book.submit_limit(buy=False, price=12, lots=1)
    assert [trade.price for trade in book.submit_market(buy=True, lots=2, limit=11)] == [10]


def test_cancelling_twice_takes_nothing_the_second_time() -> None:
    book = Book()
    order, _ = book.submit_limit(buy=True, price=9, lots=2)
    assert [book.cancel(order), book.cancel(order), book.cancel(999)] == [2, 0, 0]
    assert book.bids.best is None
