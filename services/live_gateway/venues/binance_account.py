"""What Binance has of the account, by REST: orders, trades, holdings, and what a lost stream has missed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from services.live_gateway.venues.binance_proof import (
    BAD_SYMBOL,
    NO_SUCH_ORDER,
    NotLetIn,
    OutcomeUnknown,
    VenueRefused,
)
from services.live_gateway.venues.binance_rest import BinanceRest
from services.live_gateway.venues.binance_words import MS, Traded, told_by_fills, word_of_order
from shared.contract.dealing import VenueTrade, VenueWord
from shared.contract.errors import Unavailable
from shared.contract.market import Instrument
from shared.contract.orders import VenueFill
from shared.domain.lifecycle import OPEN
from shared.kit import Clock

T = TypeVar("T")

PAGE = 1000
PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)
RATE_AGE_MAX_NS = 60_000_000_000

SENDERS_MAX = 20_000
"""Of so many orders it is remembered under which client id they were sent; the venue can be asked for the others."""


How = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def once(ask: Callable[[], Awaitable[Any]]) -> Any:
    """A question is asked once; who wants the answer may come again."""
    return await ask()


class BinanceAccount:
    """Remembers only what tells it where to look: the symbols dealt in, the orders open, the trades listed so far."""

    def __init__(self, rest: BinanceRest, clock: Clock, instruments: Mapping[str, Instrument]) -> None:
        self._rest = rest
        self._clock = clock
        self._instruments = instruments
        self._began_ms = clock.now_ns() // MS
        self._open: dict[str, str] = {}
        self._next_trade: dict[str, int] = {}
        self._rates: dict[str, tuple[Decimal, int]] = {}
        self._senders: dict[tuple[str, str], str] = {}

    def deals_in(self, symbol: str) -> None:
        self._next_trade.setdefault(symbol, 0)

    def opened(self, venue_order_id: str, symbol: str) -> None:
        self._open[venue_order_id] = symbol

    def note(self, word: VenueWord) -> None:
        """Keep the list of open orders by what the venue says."""
        self.deals_in(word.symbol)
        self._senders[word.symbol, word.venue_order_id] = word.client_id
        if len(self._senders) > SENDERS_MAX:
            del self._senders[next(iter(self._senders))]
        if word.status in OPEN:
            self._open[word.venue_order_id] = word.symbol
        else:
            self._open.pop(word.venue_order_id, None)

    async def order(self, **words: str) -> VenueWord:
        return word_of_order(await self._rest.send("GET", "order", **words))

    async def open_orders(self) -> list[VenueWord]:
        return [word_of_order(words) for words in await self._rest.send("GET", "openOrders")]

    async def holdings(self) -> dict[str, Decimal]:
        account = await self._rest.send("GET", "account", omitZeroBalances="true")
        held = {words["asset"]: Decimal(words["free"]) + Decimal(words["locked"]) for words in account["balances"]}
        return {asset: amount for asset, amount in held.items() if amount}

    async def fills_of(self, word: VenueWord) -> list[VenueFill]:
        """Every fill of one order."""
        pages = self._listed(word.symbol, orderId=word.venue_order_id)
        return [await self.fill(traded) async for traded in pages]

    async def trades(self, symbols: frozenset[str], since_ns: int) -> list[VenueTrade]:
        return [
            VenueTrade(
                await self._sender(traded), traded.venue_order_id, traded.symbol, traded.side, await self.fill(traded)
            )
            for symbol in sorted(symbols)
            async for traded in self._listed(symbol, startTime=since_ns // MS)
        ]

    async def _sender(self, traded: Traded) -> str:
        """The client id of a trade's order, which the listing does not name."""
        name = traded.symbol, traded.venue_order_id
        if name not in self._senders:
            try:
                self._senders[name] = (await self.order(symbol=name[0], orderId=name[1])).client_id
            except VenueRefused as refused:
                if refused.code != NO_SUCH_ORDER:
                    raise
                return ""
        return self._senders[name]

    async def fill(self, traded: Traded) -> VenueFill:
        rate = traded.known_rate
        return traded.fill(rate if rate is not None else await self._rate(traded))

    async def _rate(self, traded: Traded) -> Decimal | None:
        """What the fee's asset, say BNB, is worth now; None when that cannot be had. A fill does not wait for it."""
        listed = self._instruments.get(traded.symbol)
        pair = f"{traded.fee_asset}{listed.currency if listed else ''}"
        rate, at_ns = self._rates.get(pair, (None, 0))
        now_ns = self._clock.monotonic_ns()
        if rate is None or now_ns - at_ns > RATE_AGE_MAX_NS:
            try:
                rate = Decimal((await self._rest.ask("ticker/price", symbol=pair))["price"])
            except (VenueRefused, OutcomeUnknown, Unavailable):
                return rate
            self._rates[pair] = (rate, now_ns)
        return rate

    async def missed(self) -> list[VenueWord]:
        """Everything since the last time, as the stream would have said it.

        Trades first and the orders after them, so that no order is shown with less than its trades. The place in the
        trades moves on only here: what the stream has told is listed once more, and known by its execution ids.
        """
        fills: dict[str, list[VenueFill]] = {}
        symbol_of = dict(self._open)
        listed = {symbol: [t async for t in self._since(symbol)] for symbol in sorted(self._next_trade)}
        for traded in (traded for some in listed.values() for traded in some):
            fills.setdefault(traded.venue_order_id, []).append(await self.fill(traded))
            symbol_of[traded.venue_order_id] = traded.symbol
        states = {word.venue_order_id: word for word in await self._insist(self.open_orders)}
        for number in symbol_of.keys() - states.keys():
            try:
                states[number] = await self._insist(partial(self.order, symbol=symbol_of[number], orderId=number))
            except VenueRefused as refused:
                if refused.code != NO_SUCH_ORDER:
                    raise
                self._open.pop(number, None)  # The testnet forgets everything once a month.
        self._next_trade |= {symbol: some[-1].number + 1 for symbol, some in listed.items() if some}
        return [word for number, state in states.items() for word in told_by_fills(state, fills.get(number, []))]

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question, asked again a few times when none comes: to ask changes nothing.

        To catch up takes many questions. Where every third goes wrong, all of them together would never go right.
        """
        for pause_s in PAUSES_S:
            try:
                return await ask()
            except OutcomeUnknown:
                await self._clock.sleep(pause_s)
            except NotLetIn as crowded:
                await self._clock.sleep(min(crowded.retry_after_s, PAUSES_S[-1]))
        return await ask()

    def _since(self, symbol: str) -> AsyncIterator[Traded]:
        if number := self._next_trade[symbol]:
            return self._listed(symbol, self._insist, fromId=number)
        return self._listed(symbol, self._insist, startTime=self._began_ms)

    async def _listed(self, symbol: str, how: How = once, **words: Any) -> AsyncIterator[Traded]:
        """Trades of a symbol in their order, page by page; none where the venue does not list it."""
        while True:
            try:
                asking = partial(self._rest.send, "GET", "myTrades", symbol=symbol, limit=PAGE, **words)
                page = await how(asking)
            except VenueRefused as refused:
                if refused.code == BAD_SYMBOL:
                    return
                raise
            for one in page:
                yield Traded.of_listing(one)
            if len(page) < PAGE:
                return
            words.pop("startTime", None)
            words["fromId"] = page[-1]["id"] + 1
