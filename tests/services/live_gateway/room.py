"""One running live gateway over the kit's twins, with a real venue in memory when asked for."""

from __future__ import annotations

from typing import Any

from services.live_gateway import service as module
from services.live_gateway.settings import Settings
from shared.contract import subjects
from shared.contract.orders import Report
from shared.contract.venue import Mode, ModeRequest
from shared.kit import Service
from shared.kit.fakes import FakeKit, deliver
from tests.services.live_gateway.venue import FakeVenue

ENABLED = {"binance_enabled": True, "binance_key": "k", "binance_secret": "s", "rate_burst": 1000}


class Room:
    def __init__(self, kit: FakeKit, venue: FakeVenue | None = None, **words: Any) -> None:
        self.kit = kit
        self.words = words
        self.venue = venue or FakeVenue()
        settings = Settings(**words)
        opened = module.open_venues
        module.open_venues = lambda *_: {"binance": self.venue} if settings.binance_enabled else {}
        try:
            self.service: Service = module.wire(kit, settings)
        finally:
            module.open_venues = opened
        orders = next(row for row in self.service.hears if row.subject == subjects.ORDER_NEW)  # type: ignore
        self.gateway: module.LiveGateway = orders.handler.__self__  # type: ignore

    async def begin(self) -> Room:
        await self.kit.journal.recall()
        await self.service.recovers()
        self.kit.journal.mend()
        return self

    async def killed(self) -> Room:
        """The gateway after kill -9: only what was committed is left, and the files."""
        await self.gateway.errands.close()
        kit = self.kit.restarted()
        kit.suite = self.kit.suite
        kit.__dict__["earlier"] = self.kit
        return await Room(kit, self.venue, **self.words).begin()

    async def hear(self, subject: Any, message: Any) -> None:
        await deliver(self.service, subject, message)

    async def settled(self) -> None:
        """Every errand is done."""
        await self.gateway.errands.done()

    async def after(self, seconds: float) -> None:
        """Some time later, with everything done that was due then."""
        self.kit.clock.advance(seconds)  # type: ignore[attr-defined]
        await self.gateway.dealer.go_on()
        await self.settled()

    async def said(self) -> list[tuple[str, str, int]]:
        await self.kit.journal.said()
        return [(r.order_id, r.status.value, r.sequence) for r in self.reports()]

    async def statuses(self) -> list[str]:
        await self.settled()
        return [status for _, status, _ in await self.said()]

    def reports(self) -> list[Report]:
        return self.kit.bus.heard(subjects.ORDER_REPORT)

    async def call(self, path: str, *args: Any, method: str = "GET") -> Any:
        routes = (r for r in self.service.serves if (r.path, r.method) == (path, method))
        return await next(routes).handler(*args)

    async def live(self) -> Room:
        """The venue armed."""
        wanted = ModeRequest(mode=Mode.LIVE, venue="binance", sentence="send all orders to binance")
        await self.call("/mode", wanted, method="POST")
        return self
