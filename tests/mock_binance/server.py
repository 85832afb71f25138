"""The mock's doors: signed REST, the WebSocket API with its user data stream, and a door for faults.

A fault is named by the request it strikes ("POST /api/v3/order") and its kind; see `Faults`. Over HTTP the same is
done by POST /_fault, and /_log, /_book, /_hand, /_stream serve those that run the mock as a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

from tests.mock_binance.engine import MAKER, Engine, Order, Refusal
from tests.mock_binance.listing import exchange_info
from tests.mock_binance.stream import UserStreams

KEY = "k" * 64
SECRET = "s" * 64

Words = dict[str, str]
Done = Callable[[], Awaitable[web.StreamResponse]]


class MockBinance:
    """One venue on one port. `async with MockBinance() as venue:` serves it; `venue.engine` is its truth."""

    def __init__(self, port: int = 0, *, keys: Mapping[str, str] | None = None, log: Path | None = None) -> None:
        self.keys = dict(keys or {KEY: SECRET})
        self.engine = Engine()
        self.streams = UserStreams()
        self.engine.hear = self.streams.hear
        self.requests: list[tuple[str, Words]] = []
        self.weight = 0
        self.port = port
        self._faults: dict[str, deque[tuple[str, dict[str, Any]]]] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._hanging: set[asyncio.Future[None]] = set()
        self._log = log
        if log is not None:
            self.engine.noted = self._write
        for key in self.keys:
            self.engine.fund(key, USDT="1000000", BTC="100", ETH="1000", BNB="100", SOL="10000")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws-api/v3"

    # Its life

    async def __aenter__(self) -> MockBinance:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/ws-api/v3", self._websocket)
        app.router.add_route("*", "/api/v3/{path:.*}", self._api)
        app.router.add_get("/sapi/v1/capital/config/getall", self._currencies)
        app.router.add_route("*", "/_{what}", self._control)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        for future in self._hanging:
            future.cancel()
        for task in self._late:
            task.cancel()
        await self.streams.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # What a test may do

    def fault(self, request: str, kind: str, count: int = 1, **words: Any) -> None:
        """Strike the next `count` of these requests. Kinds:

        no_reply          done, and never answered           timeout           not done, never answered
        reset             done, and the connection cut       reset_before      not done, connection cut
        error             done, and answered `status`        error_before      not done, answered `status`
        limited           not done: 429 (or `status`), `retry_after`            late  done after `after_s`, unanswered
        fill_first        a fill of `quantity` at its price just before this cancel is done
        disconnect        done and answered, and the user streams are cut before they say anything of it
        """
        self._faults.setdefault(request, deque()).extend([(kind, words)] * count)

    def market(self, symbol: str, side: str, quantity: str, price: str, *, rest: bool = True) -> Order:
        """The rest of the market sends an order; resting, or taking what there is."""
        words = {"symbol": symbol, "side": side, "type": "LIMIT", "quantity": quantity, "price": price}
        return self.engine.submit(MAKER, words | {"timeInForce": "GTC" if rest else "IOC"})

    def by_hand(self, **words: str) -> Order:
        """Somebody with the same account trades through the venue's own site."""
        given = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        given["newClientOrderId"] = f"web_{len(self.engine.orders)}"
        return self.engine.submit(next(iter(self.keys)), given | words)

    def accepted(self, client_id: str) -> int:
        """How many orders of this id were ever accepted."""
        return sum(e["what"] == "accepted" and e["client_id"] == client_id for e in self.engine.log)

    def _write(self, entry: dict[str, Any]) -> None:
        assert self._log is not None
        with self._log.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    # REST

    async def _api(self, request: web.Request) -> web.StreamResponse:
        name = f"{request.method} {request.path}"
        body = await request.text()
        words = dict(parse_qsl(body)) | dict(request.query)
        self.requests.append((name, words))
        self.weight += 1
        faults = self._faults.get(name)
        kind, given = faults.popleft() if faults else ("", {})

        async def done() -> web.StreamResponse:
            try:
                return self._answer(self._route(name, request, body, words))
            except Refusal as refusal:
                return self._answer(refusal.body, refusal.status)

        return await self._strike(kind, given, request, words, done)

    async def _strike(
        self, kind: str, given: dict[str, Any], request: web.Request, words: Words, done: Done
    ) -> web.StreamResponse:
        match kind:
            case "no_reply" | "reset" | "error":
                await done()
            case "late":
                self._do_later(given["after_s"], done)
            case "fill_first":
                self._fill_first(words, given)
            case "disconnect":
                await self.streams.cut()
            case _:
                pass
        match kind:
            case "no_reply" | "timeout" | "late":
                await self._hang()
            case "reset" | "reset_before":
                assert request.transport is not None
                request.transport.abort()
            case "error" | "error_before":
                text = given.get("body", {"code": -1000, "msg": "An unknown error occurred."})
                return self._answer(text, given.get("status", 502))
            case "limited":
                text = {"code": -1003, "msg": "Too much request weight used; current limit is 6000 per 1 MINUTE."}
                wait = {"Retry-After": str(given["retry_after"])} if "retry_after" in given else {}
                return self._answer(text, given.get("status", 429), wait)
            case _:
                return await done()
        return web.Response()

    def _do_later(self, after_s: float, done: Done) -> None:
        """A request that was on its way for long; the venue checks its timestamp when it comes."""

        async def wait() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), after_s)
            await done()

        task = asyncio.create_task(wait())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _hang(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hanging.add(future)
        try:
            await future
        finally:
            self._hanging.discard(future)

    def _fill_first(self, words: Words, given: dict[str, Any]) -> None:
        order = next(o for o in self.engine.orders.values() if o.client_id == words["origClientOrderId"])
        self.streams.hold(2 + 2)
        side = "SELL" if order.buys else "BUY"
        self.market(order.listing.symbol, side, given["quantity"], f"{order.price}", rest=False)

    def _answer(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
        used = {"X-MBX-USED-WEIGHT-1M": str(self.weight), "X-MBX-USED-WEIGHT": str(self.weight)}
        return web.json_response(body, status=status, headers=used | dict(headers or {}))

    def owner(self, key: str | None, signed: str, signature: str, words: Mapping[str, str]) -> str:
        """Whose key this is, once its signature and time are right."""
        if not key or key not in self.keys:
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        right = hmac.new(self.keys[key].encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right, signature.lower()):
            raise Refusal(-1022, "Signature for this request is not valid.")
        now_ms, window_ms = self.engine.now_ms(), int(words.get("recvWindow", 5000))
        if int(words["timestamp"]) >= now_ms + 1000:
            raise Refusal(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now_ms - int(words["timestamp"]) > window_ms:
            raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")
        return key

    def _signed(self, request: web.Request, body: str, words: Words) -> str:
        given = request.rel_url.raw_query_string + body
        signed, _, signature = given.rpartition("signature=")
        return self.owner(request.headers.get("X-MBX-APIKEY"), signed.removesuffix("&"), signature, words)

    def _route(self, name: str, request: web.Request, body: str, words: Words) -> Any:
        engine = self.engine
        match name:
            case "GET /api/v3/ping":
                return {}
            case "GET /api/v3/time":
                return {"serverTime": engine.now_ms()}
            case "GET /api/v3/exchangeInfo":
                return exchange_info(engine.now_ms(), list(engine.listings.values()))
            case "GET /api/v3/ticker/price":
                return {"symbol": engine.listing(words).symbol, "price": "600.00000000"}
            case "POST /api/v3/userDataStream":
                raise Refusal(-1, "Gone", 410)
            case _:
                return self._trading(name, self._signed(request, body, words), words)

    def _trading(self, name: str, owner: str, words: Words) -> Any:
        engine = self.engine
        known: dict[str, Callable[[], Any]] = {
            "POST /api/v3/order": lambda: self._submitted(owner, words),
            "DELETE /api/v3/order": lambda: engine.cancel(engine.find(owner, words), words.get("newClientOrderId")),
            "GET /api/v3/order": lambda: self._queried(owner, words),
            "PUT /api/v3/order/amend/keepPriority": lambda: engine.amend(engine.find(owner, words), words),
            "POST /api/v3/order/cancelReplace": lambda: engine.cancel_replace(owner, words),
            "GET /api/v3/openOrders": lambda: [o.queried() for o in engine.open_orders(owner, words.get("symbol"))],
            "DELETE /api/v3/openOrders": lambda: self._all_canceled(owner, words),
            "GET /api/v3/allOrders": lambda: self._all_orders(owner, words),
            "GET /api/v3/myTrades": lambda: engine.trades_of(owner, words),
            "GET /api/v3/account": lambda: self._account(owner),
        }
        if name not in known:
            raise Refusal(-1020, "This operation is not supported.", 404)
        return known[name]()

    def _submitted(self, owner: str, words: Words) -> Any:
        form = words.get("newOrderRespType", "ACK" if words.get("type") == "LIMIT_MAKER" else "FULL")
        return self.engine.submit(owner, words).acknowledged(form)

    def _queried(self, owner: str, words: Words) -> Any:
        if (order := self.engine.find(owner, words)) is None:
            raise Refusal(-2013, "Order does not exist.")
        return order.queried()

    def _all_canceled(self, owner: str, words: Words) -> Any:
        if not (standing := self.engine.open_orders(owner, self.engine.listing(words).symbol)):
            raise Refusal(-2011, "Unknown order sent.")
        return [self.engine.cancel(order) for order in standing]

    def _all_orders(self, owner: str, words: Words) -> Any:
        symbol = self.engine.listing(words).symbol
        return [o.queried() for o in self.engine.orders.values() if o.owner == owner and o.listing.symbol == symbol]

    def _account(self, owner: str) -> dict[str, Any]:
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00", "seller": "0.00"},
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": self.engine.now_ms(),
            "accountType": "SPOT",
            "balances": self.engine.balances(owner),
            "permissions": ["SPOT"],
            "uid": 354937868,
        }

    async def _currencies(self, request: web.Request) -> web.StreamResponse:
        del request
        return self._answer([])

    # The WebSocket API

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        # Pings are answered by hand, so that a half-open connection can be played.
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        try:
            async for message in socket:
                if self.streams.silent:
                    continue
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    await socket.send_json(self._respond(json.loads(message.data), socket))
        finally:
            self.streams.forget(socket)
        return socket

    def _respond(self, asked: dict[str, Any], socket: web.WebSocketResponse) -> dict[str, Any]:
        words = {name: str(value) for name, value in asked.get("params", {}).items()}
        self.requests.append((asked["method"], words))
        try:
            if asked["method"] != "userDataStream.subscribe.signature":
                raise Refusal(-1020, "This operation is not supported.", 404)
            signed = "&".join(f"{name}={words[name]}" for name in sorted(words) if name != "signature")
            owner = self.owner(words.get("apiKey"), signed, words.get("signature", ""), words)
        except Refusal as refusal:
            return {"id": asked["id"], "status": refusal.status, "error": refusal.body, "rateLimits": []}
        number = self.streams.join(owner, socket)
        return {"id": asked["id"], "status": 200, "result": {"subscriptionId": number}, "rateLimits": []}

    # The doors of those that run it as a process

    async def _control(self, request: web.Request) -> web.StreamResponse:
        words: dict[str, Any] = await request.json() if request.can_read_body else {}
        match request.match_info["what"]:
            case "fault":
                self.fault(words.pop("request"), words.pop("kind"), words.pop("count", 1), **words)
            case "stream":
                await self.streams.play(**words)
            case "hand":
                return self._answer(self.by_hand(**words).queried())
            case "book":
                return self._answer(self.market(**words).queried())
            case "log":
                return self._answer(self.engine.log)
            case _:
                return self._answer({}, 404)
        return self._answer({})
