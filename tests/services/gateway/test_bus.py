"""A replay over a real NATS: every frame stored once and in order, and quotes in their place."""

from __future__ import annotations

from pathlib import Path

import structlog
from nats import connect

from services.gateway.feeds.requests import ReplayState
from shared.contract.subjects import FEED, FRAME, QUOTE, TICKS
from shared.kit.bus import NatsBus
from shared.kit.clock import SystemClock
from shared.kit.fakes import fake_kit
from shared.kit.frames import decode_frame
from shared.kit.meter import Meter
from tests.conftest import Closer
from tests.servers import Server
from tests.services.gateway.files import text_file
from tests.services.gateway.running import RunningGateway

START_MS = 1704067200000


async def replayed(nats: Server, closing: Closer, path: str, speed: float | str, venue: str) -> list[float]:
    """What the stream holds of a replay: every price, ticks and bids alike, in the order in which they are kept."""
    clock = SystemClock()
    bus = NatsBus("gateway", f"nats://127.0.0.1:{nats.port}", clock, Meter("gateway"), structlog.get_logger())
    bus.permit(frozenset(subject.pattern for subject in (FRAME, QUOTE, FEED)))
    closing(bus.close)
    await bus.connect()
    kit = fake_kit("gateway", clock=clock)  # type: ignore[arg-type]
    kit.__dict__["bus"] = bus
    gateway = RunningGateway(kit, simulate=False, frame_rows=10)

    status = await gateway.replayed(path, speed, venue=venue)

    assert (status.state, status.error) == (ReplayState.DONE, None)
    await bus.line.flush()  # the last quotes were told, not stored
    client = await connect(f"nats://127.0.0.1:{nats.port}")
    closing(client.close)
    stream = client.jetstream()
    prices: list[float] = []
    for sequence in range(1, (await stream.stream_info(TICKS.name)).state.last_seq + 1):
        kept = await stream.get_msg(TICKS.name, sequence)
        if kept.subject == f"frames.{venue}":
            prices += decode_frame(kept.data or b"", venue).price.tolist()
        elif kept.subject == f"quotes.{venue}.X":
            prices.append(float(QUOTE.decode(kept.data or b"", kept.subject or "").bid or 0))
    return prices


async def test_frames_in_flight_together_are_stored_in_order(tmp_path: Path, nats: Server, closing: Closer) -> None:
    lines = [f"X,{START_MS},{n},1" for n in range(1, 2001)]
    path = text_file(tmp_path, "a.csv", "symbol,timestamp,price,quantity", *lines)
    assert await replayed(nats, closing, path, "max", "full") == list(range(1, 2001))


async def test_quotes_are_stored_in_their_place_among_the_frames(tmp_path: Path, nats: Server, closing: Closer) -> None:
    lines = [f"X,{START_MS + n * 30}," + (f"{n + 1},1," if n % 3 else f",,{n + 1}") for n in range(40)]
    path = text_file(tmp_path, "a.csv", "symbol,timestamp,price,quantity,bid", *lines)
    assert await replayed(nats, closing, path, 1, "paced") == list(range(1, 41))
