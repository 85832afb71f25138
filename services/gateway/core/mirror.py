"""What one venue has, mirrored here: books kept equal to its own, trades told once, and the newest best bid and ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

from services.gateway.core.depth import Depth, as_depth
from services.gateway.core.levels import Levels
from services.gateway.core.synchroniser import Synchroniser
from shared.contract.feeds import (
    Batch,
    BookChange,
    BookWhole,
    Channel,
    Checksum,
    Denied,
    Reached,
    Top,
    Trade,
)
from shared.contract.market import Feed, FeedStatus
from shared.domain.trade_numbers import Numbers

LOOK_NS = 100_000_000
"""A book is put in order, and seen to be crossed, no more often than this; whoever asks for it sees it in order."""

AWAITED = "a whole book is awaited"
CROSSED = "the best bid of the book is not below the best ask"
TOO_OLD = "the whole book was older than its changes; it is asked for again"


@dataclass(frozen=True)
class Terms:
    """For how long a book may be in doubt, and how many changes are kept meanwhile; see the settings."""

    changes_waiting_max: int = 10_000
    crossed_max_ns: int = 3_000_000_000
    resync_wait_ns: int = 10_000_000_000


@dataclass(frozen=True, slots=True)
class News:
    """What is wrong with a symbol's data from now on; `status` None: nothing is. `once` is told and over."""

    symbol: str
    status: FeedStatus | None
    why: str = ""
    once: bool = False


@dataclass
class Taken:
    """What a batch came to: trades not told before, newest tops, what changed in trust, books to ask for.

    `heard` are the symbols whose books were told of.
    """

    trades: list[Trade] = field(default_factory=list[Trade])
    tops: dict[str, Top] = field(default_factory=dict[str, Top])
    news: list[News] = field(default_factory=list[News])
    resync: list[str] = field(default_factory=list[str])
    heard: set[str] = field(default_factory=set[str])
    counts: Counter[str] = field(default_factory=Counter[str])


@dataclass
class Mirrored:
    """One symbol. `book` is None unless its book was subscribed to."""

    channels: set[Channel] = field(default_factory=set[Channel])
    numbers: Numbers = field(default_factory=Numbers)
    book: Synchroniser | None = None
    top: Top | None = None
    up: bool = False
    refused: dict[Channel, str] = field(default_factory=dict[Channel, str])
    asked_ns: int = 0
    looked_ns: int = 0
    crossed_ns: int | None = None


class Mirror:
    """All symbols of one venue that are wanted. `depth_max`: the venue's books are so deep; `checksum` proves them."""

    def __init__(self, terms: Terms, depth_max: int | None = None, checksum: Checksum | None = None) -> None:
        self._terms = terms
        self._depth_max = depth_max
        self._checksum = checksum
        self._symbols: dict[str, Mirrored] = {}

    def want(self, symbol: str, channel: Channel) -> None:
        mirrored = self._symbols.setdefault(symbol, Mirrored())
        mirrored.channels.add(channel)
        # Until this one has been subscribed to as well.
        self._pause(mirrored)
        if channel is Channel.BOOK and mirrored.book is None:
            mirrored.book = Synchroniser(Levels(self._depth_max), self._checksum, self._terms.changes_waiting_max)

    def unwant(self, symbol: str, channel: Channel) -> News | None:
        """How far the rest can be trusted, where that is for this to say."""
        mirrored = self._symbols.get(symbol)
        if mirrored is None:
            return None
        mirrored.channels.discard(channel)
        concerned = mirrored.refused.pop(channel, None) is not None or channel is Channel.BOOK
        if channel is Channel.BOOK:
            mirrored.book, mirrored.crossed_ns = None, None
        elif channel is Channel.TRADES:
            mirrored.numbers = Numbers()
        if not mirrored.channels:
            del self._symbols[symbol]
        return _standing(symbol, mirrored) if concerned and mirrored.channels and mirrored.up else None

    def book(self, symbol: str) -> Synchroniser | None:
        """The book, as far as it has settled."""
        return mirrored.book if (mirrored := self._symbols.get(symbol)) else None

    # What comes in.

    def begin(self, symbols: Iterable[str], now_ns: int) -> Taken:
        """These have just been subscribed to, for the first time or again."""
        taken = Taken()
        for symbol in symbols:
            if mirrored := self._symbols.get(symbol):
                mirrored.up, mirrored.top = True, None
                if mirrored.book is not None:
                    mirrored.book.begin()
                    self._ask(symbol, mirrored, AWAITED, taken, now_ns)
                if mirrored.refused:
                    taken.news.append(_standing(symbol, mirrored))
        return taken

    def end(self, symbols: Iterable[str]) -> None:
        """The connection of these is gone. What still comes of their books leads nowhere."""
        for symbol in symbols:
            if mirrored := self._symbols.get(symbol):
                mirrored.refused.clear()
                self._pause(mirrored)

    def take(self, batch: Batch, now_ns: int) -> Taken:
        """Everything that some messages said."""
        taken = Taken()
        for trade in batch.trades:
            mirrored = self._symbols.get(trade.symbol)
            if mirrored and Channel.TRADES in mirrored.channels:
                self._take_trade(mirrored, trade, taken, now_ns)
        for top in batch.tops:
            mirrored = self._symbols.get(top.symbol)
            if mirrored and Channel.QUOTES in mirrored.channels:
                newest = mirrored.top
                if newest is None or top.sequence >= newest.sequence:
                    mirrored.top = taken.tops[top.symbol] = top
        if batch.books:
            self._take_books(batch.books, taken, now_ns)
        for note in batch.notes:
            self._take_note(note, taken, now_ns)
        return taken

    def whole(self, book: BookWhole, now_ns: int) -> Taken:
        """A whole book that was asked for."""
        taken = Taken()
        mirrored = self._symbols.get(book.symbol)
        if mirrored is not None and mirrored.up and mirrored.book is not None:
            self._take_whole(mirrored.book, book, mirrored, taken, now_ns)
            self._look(book.symbol, mirrored, taken, now_ns)
        return taken

    def look(self, now_ns: int) -> Taken:
        """What has been in doubt for too long: crossed books, and whole ones that do not come."""
        taken = Taken()
        for symbol, mirrored in self._symbols.items():
            book = mirrored.book
            if book is None or not mirrored.up or mirrored.refused:
                continue
            if book.waiting:
                if now_ns - mirrored.asked_ns > self._terms.resync_wait_ns:
                    self._ask(symbol, mirrored, "no whole book came; it is asked for again", taken, now_ns)
            elif mirrored.crossed_ns is not None and now_ns - mirrored.crossed_ns > self._terms.crossed_max_ns:
                seconds = self._terms.crossed_max_ns / 1e9
                why = book.lose(f"the book has been crossed for more than {seconds:g} s")
                self._gap(symbol, mirrored, why, taken, now_ns)
            else:
                self._look(symbol, mirrored, taken, now_ns)
        return taken

    # One thing at a time.

    def _pause(self, mirrored: Mirrored) -> None:
        mirrored.up = False
        if mirrored.book is not None:
            mirrored.book.begin()

    def _take_trade(self, mirrored: Mirrored, trade: Trade, taken: Taken, now_ns: int) -> None:
        if trade.number:
            new, missing = mirrored.numbers.take(trade.number)
            if not new:
                taken.counts["feed_trades_doubled"] += 1
                return
            if missing:
                self._miss(trade.symbol, mirrored, missing, taken, now_ns)
        taken.trades.append(trade)

    def _take_books(self, books: Sequence[BookChange | BookWhole], taken: Taken, now_ns: int) -> None:
        touched: dict[str, Mirrored] = {}
        for one in books:
            mirrored = self._symbols.get(one.symbol)
            if mirrored is None or mirrored.book is None or not mirrored.up:
                continue
            touched[one.symbol] = mirrored
            if isinstance(one, BookWhole):
                self._take_whole(mirrored.book, one, mirrored, taken, now_ns)
            else:
                self._take_change(mirrored.book, one, mirrored, taken, now_ns)
        taken.heard.update(touched)
        for symbol, mirrored in touched.items():
            # Where the best of the book is to be said it is looked for each time.
            if Channel.QUOTES not in mirrored.channels or now_ns - mirrored.looked_ns >= LOOK_NS:
                self._look(symbol, mirrored, taken, now_ns)

    def _take_note(self, note: Denied | Reached, taken: Taken, now_ns: int) -> None:
        if isinstance(note, Reached) and (mirrored := self._symbols.get(note.symbol)):
            if Channel.TRADES in mirrored.channels and (missing := mirrored.numbers.reach(note.number)):
                self._miss(note.symbol, mirrored, missing, taken, now_ns)
        elif isinstance(note, Denied):
            taken.counts["feed_subscriptions_denied"] += 1
            mirrored = self._symbols.get(note.topic.symbol) if note.topic else None
            if note.topic and mirrored and (channel := note.topic.channel) in mirrored.channels:
                mirrored.refused[channel] = f"the venue refused to tell of {channel}: {note.why}"
                taken.news.append(_standing(note.topic.symbol, mirrored))

    def _take_change(
        self, book: Synchroniser, change: BookChange, mirrored: Mirrored, taken: Taken, now_ns: int
    ) -> None:
        was_waiting = book.waiting
        why = book.change(change)
        if book.overflowed:
            taken.counts["feed_changes_dropped"] += book.overflowed
            book.overflowed = 0
        if why:
            self._gap(change.symbol, mirrored, why, taken, now_ns)
        elif book.waiting and not was_waiting:
            self._ask(change.symbol, mirrored, TOO_OLD, taken, now_ns)

    def _take_whole(self, book: Synchroniser, whole: BookWhole, mirrored: Mirrored, taken: Taken, now_ns: int) -> None:
        was_waiting = book.waiting
        if why := book.whole(whole):
            self._gap(whole.symbol, mirrored, why, taken, now_ns)
        elif book.waiting:
            self._ask(whole.symbol, mirrored, TOO_OLD, taken, now_ns)
        elif was_waiting:
            mirrored.crossed_ns = None
            taken.counts["feed_books_taken"] += 1
            taken.news.append(_standing(whole.symbol, mirrored))

    def _look(self, symbol: str, mirrored: Mirrored, taken: Taken, now_ns: int) -> None:
        """Settle a book, and say what can be seen of it."""
        book = mirrored.book
        if book is None or book.waiting:
            return
        mirrored.looked_ns = now_ns
        if why := book.settle():
            self._gap(symbol, mirrored, why, taken, now_ns)
            return
        crossed = book.levels.crossed
        if crossed and mirrored.crossed_ns is None:
            mirrored.crossed_ns = now_ns
            taken.news.append(News(symbol, FeedStatus.CROSSED, CROSSED))
        elif not crossed and mirrored.crossed_ns is not None:
            mirrored.crossed_ns = None
            taken.news.append(_standing(symbol, mirrored))
        if Channel.QUOTES not in mirrored.channels:
            self._take_top(symbol, mirrored, book, taken, now_ns)

    def _take_top(self, symbol: str, mirrored: Mirrored, book: Synchroniser, taken: Taken, now_ns: int) -> None:
        """The best of the book, where the venue's own best bid and ask were not asked for."""
        bids, asks = book.levels.depth(1)
        (bid, bid_quantity), (ask, ask_quantity) = bids[0] if bids else ("", ""), asks[0] if asks else ("", "")
        event_ns, sequence = book.event_ns or now_ns, book.last or 0
        top = Top(0, symbol, event_ns, now_ns, bid, bid_quantity, ask, ask_quantity, sequence)
        known = mirrored.top
        words = (known.bid, known.bid_quantity, known.ask, known.ask_quantity) if known else None
        if words != (bid, bid_quantity, ask, ask_quantity):
            mirrored.top = taken.tops[symbol] = top

    # Trust.

    def _gap(self, symbol: str, mirrored: Mirrored, why: str, taken: Taken, now_ns: int) -> None:
        taken.counts["feed_gaps"] += 1
        taken.news.append(News(symbol, FeedStatus.GAP, why))
        self._ask(symbol, mirrored, f"a whole book is asked for, since {why}", taken, now_ns)

    def _ask(self, symbol: str, mirrored: Mirrored, why: str, taken: Taken, now_ns: int) -> None:
        mirrored.crossed_ns, mirrored.asked_ns = None, now_ns
        taken.news.append(News(symbol, FeedStatus.RESYNC, why))
        taken.resync.append(symbol)

    def _miss(self, symbol: str, mirrored: Mirrored, missing: str, taken: Taken, now_ns: int) -> None:
        """Trades are missing. A book that nothing proves has then to be taken anew: its changes came the same way."""
        book = mirrored.book
        if book is not None and book.unproven and not book.waiting:
            self._gap(symbol, mirrored, book.lose(missing), taken, now_ns)
        else:
            taken.counts["feed_gaps"] += 1
            taken.news.append(News(symbol, FeedStatus.GAP, missing, once=True))


def _standing(symbol: str, mirrored: Mirrored) -> News:
    """What is wrong with the symbol just now, if anything is."""
    if mirrored.refused:
        return News(symbol, FeedStatus.DOWN, "; ".join(mirrored.refused.values()))
    if mirrored.book is not None and mirrored.book.waiting:
        return News(symbol, FeedStatus.RESYNC, AWAITED)
    if mirrored.crossed_ns is not None:
        return News(symbol, FeedStatus.CROSSED, CROSSED)
    return News(symbol, None)


class Mirrors:
    """The mirrors of all venues that are followed."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._mirrors: dict[str, Mirror] = {}

    def make(self, venue: str, depth_max: int | None, checksum: Checksum | None) -> Mirror:
        """The mirror of a venue, in place of the one it had."""
        mirror = self._mirrors[venue] = Mirror(self._terms, depth_max, checksum)
        return mirror

    def depth(self, feed: Feed, levels: int) -> Depth | None:
        """The best levels of a live book; None where none is kept."""
        mirror = self._mirrors.get(feed.venue)
        book = mirror.book(feed.symbol) if mirror else None
        if book is None:
            return None
        with suppress(ValueError):
            # What cannot be read is found again, and said, when the mirror looks.
            book.levels.settle()
        bids, asks = (
            [(Decimal(price), Decimal(quantity)) for price, quantity in side] for side in book.levels.depth(levels)
        )
        return as_depth(feed, bids, asks, book.event_ns, book.last)
