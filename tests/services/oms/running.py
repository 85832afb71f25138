"""The oms over the twins, as its callers see it, with a risk and a venue that do as they are told."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from services.oms.service import wire
from services.oms.settings import Settings
from shared.contract import keys, subjects
from shared.contract.groups import GroupOrders, SubmitBracket, SubmitPair
from shared.contract.market import Quote
from shared.contract.orders import Order, OrderStatus, ReplaceRequest, Report, SubmitOrder, VenueFill
from shared.contract.risk import Outcome, Reservation, RiskCheck, RiskLevel, RuleResult, Verdict
from shared.kit import Reply
from shared.kit.fakes import FakeKit, deliver
from shared.kit.service import Service

DENIED = RuleResult(
    id="R07", code="RISK_ORDER_QUANTITY", value="9", limit="5", scope="default BTCUSDT", outcome=Outcome.FAIL
)


class Risk:
    """Denies more than 5, keeps what is over 4 waiting, and lets the rest through, in a life of its own."""

    def __init__(self, kit: FakeKit) -> None:
        self.kit = kit
        self.asked: list[RiskCheck] = []
        self.released: set[str] = set()
        self.refusing = ""
        self.life = 0
        self.begin_anew("default", "a", "b")

    def begin_anew(self, *accounts: str) -> None:
        """What was approved before is void."""
        self.life += 1
        for account in accounts:
            self.kit.valkey.store[keys.epoch(account)] = f"life-{self.life}".encode()

    def epoch(self, account: str) -> str:
        return self.kit.valkey.store.get(keys.epoch(account), b"").decode()

    async def judge(self, check: RiskCheck) -> Verdict:
        self.asked.append(check)
        epoch = self.epoch(check.account)
        await asyncio.sleep(0)
        left = check.quantity - check.filled_quantity
        code = self.refusing or ("RISK_ORDER_QUANTITY" if left > 5 else "")
        pending = not code and left > 4 and check.order_id not in self.released
        if code or pending:
            code = code or "RISK_SOFT_LIMIT"
            return Verdict(
                approved=False,
                pending=pending,
                code=code,
                reason=f"{left} is too much",
                rules=(DENIED,),
                risk_level=RiskLevel.BREACHED,
            )
        now_ns = self.kit.clock.now_ns()
        reservation = Reservation(
            account=check.account,
            order_id=check.order_id or "",
            symbol=check.symbol,
            side=check.side,
            quantity=left,
            price=check.price or Decimal(100),
            strategy=check.strategy,
            group=check.group,
            reserved_ns=now_ns,
        )
        return Verdict(
            approved=True,
            rules=(),
            risk_level=RiskLevel.LOW,
            valid_until_ns=now_ns + 5_000_000_000,
            epoch=epoch,
            reservation=reservation,
        )


class Desk:
    """The oms as its callers see it."""

    def __init__(self, kit: FakeKit, **settings: Any) -> None:
        self.kit = kit
        self.settings = settings
        self.service: Service = wire(kit, Settings(**settings))
        self.risk = Risk(kit)
        kit.bus.answers[subjects.RISK_CHECK.pattern] = self.risk.judge

    @property
    def asked(self) -> list[RiskCheck]:
        return self.risk.asked

    def handler(self, method: str, path: str) -> Any:
        return next(row.handler for row in self.service.serves if (row.method, row.path) == (method, path))

    def advance(self, seconds: float) -> None:
        self.kit.clock.advance(seconds)  # type: ignore[attr-defined]

    # Clients.

    async def submit(self, client_order_id: str | None = "c1", **words: Any) -> Reply:
        given = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "3", "client_order_id": client_order_id} | words
        return await self.handler("POST", "/orders")(SubmitOrder.model_validate(given))

    async def order(self, client_order_id: str = "c1", **words: Any) -> Order:
        return (await self.submit(client_order_id, **words)).body

    async def bracket(self, **words: Any) -> Reply:
        entry = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "4", "client_order_id": "b1"} | words.pop("entry", {})
        given = {"entry": entry, "take_profit": {"price": "120"}, "stop_loss": {"stop_price": "90"}} | words
        return await self.handler("POST", "/orders/bracket")(SubmitBracket.model_validate(given))

    async def pair(self, one: dict[str, Any], other: dict[str, Any], client_order_id: str | None = "p1") -> Reply:
        shared = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "4"}
        given = {"legs": [{**shared, "client_order_id": client_order_id, **one}, {**shared, **other}]}
        return await self.handler("POST", "/orders/oco")(SubmitPair.model_validate(given))

    async def replace(self, order_id: str, **words: Any) -> Order:
        return await self.handler("PATCH", "/orders/{order_id}")(order_id, ReplaceRequest.model_validate(words))

    async def cancel(self, order_id: str) -> Order:
        return await self.handler("DELETE", "/orders/{order_id}")(order_id)

    async def cancel_all(self, **scope: str) -> list[str]:
        return (await self.handler("POST", "/orders/cancel-all")(**scope))["cancelled"]

    async def get(self, path: str, *arguments: Any, **query: Any) -> Any:
        return await self.handler("GET", path)(*arguments, **query)

    async def now(self, order: Order) -> Order:
        """The order as it was committed last."""
        return await self.get("/orders/{order_id}", order.order_id)

    async def status(self, order: Order) -> str:
        return (await self.now(order)).status.value

    async def position(self, account: str = "default") -> Decimal:
        held = await self.get("/positions/{account}", account)
        return held["BTCUSDT"].quantity if held else Decimal(0)

    # The venue and the market.

    async def report(
        self, order: Order, status: str, fill: tuple[str, str, str] | None = None, n: int = 1, **words: Any
    ) -> None:
        execution = None
        if fill is not None:
            id, quantity, price = fill
            execution = VenueFill(
                execution_id=id, price=Decimal(price), quantity=Decimal(quantity), fee=Decimal("0.5"), event_ns=1
            )
        said = Report(
            account=order.account,
            order_id=order.order_id,
            venue="paper",
            sequence=n,
            status=OrderStatus(status),
            fill=execution,
            event_ns=1,
            **{"cumulative_quantity": Decimal(0)} | words,
        )
        await deliver(self.service, subjects.ORDER_REPORT, said)

    async def market(self, bid: str | None, ask: str | None, symbol: str = "BTCUSDT") -> None:
        quote = Quote(
            venue="sim",
            symbol=symbol,
            event_ns=1,
            receive_ns=1,
            bid=None if bid is None else Decimal(bid),
            bid_quantity=Decimal(1),
            ask=None if ask is None else Decimal(ask),
            ask_quantity=Decimal(1),
        )
        await deliver(self.service, subjects.QUOTE, quote)

    # Time.

    async def each(self, name: str) -> None:
        """What is done every so often, once."""
        await next(row.handler for row in self.service.every if row.handler.__name__ == name)()

    async def restarted(self) -> Desk:
        """The next process after a crash."""
        desk = Desk(self.kit.restarted(), **self.settings)
        desk.risk = self.risk
        desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = self.risk.judge
        await desk.kit.journal.recall()
        await desk.service.recovers()
        return desk

    async def said(self, subject: Any) -> list[Any]:
        await self.kit.journal.said()
        return self.kit.bus.heard(subject)

    async def told(self, subject: Any) -> list[str]:
        """The ids of the orders that a venue was told of on a subject."""
        return [message.order_id for message in await self.said(subject)]

    def reserved(self, account: str = "default") -> dict[str, Decimal]:
        held = self.kit.valkey.store.get(keys.reservation(account), {})
        return {order_id: Reservation.decode(words).quantity for order_id, words in held.items()}


def orders_of(reply: Reply) -> tuple[Order, ...]:
    """The orders of a group's answer."""
    assert isinstance(reply.body, GroupOrders)
    return reply.body.orders
