"""The verbs that ask a running suite: all through its front door, like any other client."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli.verb import Account, Json, verb

trade = typer.Typer()

ORDER = ("order_id", "account", "symbol", "side", "quantity", "filled_quantity", "price", "status", "reason")
POSITION = ("account", "symbol", "quantity", "average_price", "last_price", "realized_pnl", "fees")
BAR = ("timestamp", "open", "high", "low", "close", "volume", "vwap", "count", "revision")


def _door() -> Any:
    from shared.cli.door import Door
    from shared.cli.trouble import suite

    found = suite()
    return Door(found.host, found.port("orchestrator"))


@verb(trade)
def status(as_json: Json = False) -> int:
    """How every service and feed is."""
    from shared.cli import show

    answer = _door().get("/system/status")
    services: dict[str, Any] = answer.get("services", {})
    rows = [
        (
            name,
            one.get("status"),
            "; ".join(f"{c['name']}: {c['detail']}" for c in one.get("checks", []) if not c["ok"]),
        )
        for name, one in services.items()
    ]
    parts = [(name, one.get("status"), one.get("detail")) for name, one in answer.get("infrastructure", {}).items()]
    lines = [show.table(("part", "status", "detail"), [*rows, *parts])]
    if feeds := answer.get("feeds"):
        lines.append(show.columns(("venue", "symbol", "status", "why"), feeds))
    lines.append(f"{answer.get('status')}: {answer.get('ready')} of {answer.get('of')} services are ready")
    show.out(answer, "\n".join(lines), as_json=as_json)
    return 0 if answer.get("status") == "ready" else 1


@verb(trade)
def submit(  # noqa: PLR0913, PLR0917 -- a command's options are its parameters
    symbol: str,
    side: Annotated[str, typer.Argument(help="buy or sell")],
    quantity: str,
    order_type: Annotated[
        str | None, typer.Option("--type", help="market or limit; limit where a price is given")
    ] = None,
    price: Annotated[str | None, typer.Option(help="The worst price of a limit order.")] = None,
    tif: Annotated[str | None, typer.Option(help="gtc, day, ioc or fok")] = None,
    account: Account = None,
    client_order_id: Annotated[str | None, typer.Option(help="Your own id: the same one is one order.")] = None,
    strategy: Annotated[str | None, typer.Option(help="On whose behalf.")] = None,
    as_json: Json = False,
) -> None:
    """Submit an order."""
    from shared.cli import show
    from shared.cli.door import Unanswered
    from shared.cli.trouble import Trouble

    name = client_order_id or f"cli-{uuid.uuid4().hex[:20]}"
    order = {
        "symbol": symbol,
        "side": side,
        "quantity": quantity,
        "order_type": order_type or ("LIMIT" if price is not None else None),
        "price": price,
        "time_in_force": tif,
        "account": account,
        "client_order_id": name,
        "strategy": strategy,
    }
    try:
        answer = _door().post("/api/oms/orders", order)
    except Unanswered as error:
        # It may stand. Under the same id it can be sent again without standing twice.
        raise Trouble(f"{error}; it may stand: send it again with --client-order-id {name}") from None
    show.out(answer, show.columns(ORDER, [answer]), as_json=as_json)


@verb(trade)
def orders(
    account: Account = None,
    status: Annotated[str | None, typer.Option(help="Only those that are, say, FILLED.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol's.")] = None,
    active: Annotated[bool, typer.Option("--active", help="Only those that may still fill.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    as_json: Json = False,
) -> None:
    """List orders, newest first."""
    from shared.cli import show

    query = {"account": account, "status": status, "symbol": symbol, "limit": limit}
    answer = _door().get("/api/oms/orders", **query, active_only=active or None)
    found = answer["orders"]
    text = show.columns(ORDER, found, "no orders")
    if answer.get("next_cursor"):
        text += f"\nthe newest {len(found)}; more with --limit"
    show.out(found, text, as_json=as_json)


@verb(trade)
def cancel(order_id: str, as_json: Json = False) -> None:
    """Ask for what is left of an order to be cancelled."""
    from shared.cli import show
    from shared.cli.door import segment

    answer = _door().post(f"/api/oms/orders/{segment(order_id)}/cancel", {})
    show.out(answer, show.columns(ORDER, [answer]), as_json=as_json)


@verb(trade)
def positions(account: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """Show what is held."""
    from shared.cli import show
    from shared.cli.door import segment

    found = _door().get(f"/api/oms/positions/{segment(account)}" if account else "/api/oms/positions")
    by_account = {account: found} if account else found
    held = [position for positions in by_account.values() for position in positions.values()]
    show.out(found, show.columns(POSITION, held, "no positions"), as_json=as_json)


@verb(trade)
def bars(
    venue: str,
    symbol: str,
    interval: Annotated[str, typer.Argument(help="1m, 5m, 15m, 1h or 1d")],
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """Show the newest bars, oldest first."""
    from shared.cli import show
    from shared.cli.door import segment

    path = f"/api/normalizer/bars/{segment(venue)}/{segment(symbol)}/{segment(interval)}"
    answer = _door().get(path, limit=limit)
    show.out(answer, show.columns(BAR, answer["bars"], f"no bars of {symbol} at {venue} yet"), as_json=as_json)


@verb(trade)
def replay(
    file: Path,
    kind: Annotated[
        str | None, typer.Option("--format", help="csv, parquet, binance-raw, lean-trades, lean-quotes")
    ] = None,
    speed: Annotated[
        str | None, typer.Option(help="1 is as it was, 10 is ten times faster, max is as fast as can be")
    ] = None,
    venue: Annotated[str | None, typer.Option(help="The venue to replay it as.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Where the file does not name it.")] = None,
    date: Annotated[str | None, typer.Option(help="Where the file does not name it: YYYYMMDD.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it has ended.")] = True,
    as_json: Json = False,
) -> None:
    """Replay recorded market data."""
    from shared.cli import replay as replays
    from shared.cli import show

    door = _door()
    options = {"format": kind, "speed": speed, "venue": venue, "symbol": symbol, "date": date}
    begun = replays.start(door, file, options)
    if not wait:
        show.out(begun, f"{begun['id']}: {begun.get('state')}", as_json=as_json)
        return
    ended = replays.watch(door, begun, bar=not as_json)
    show.out(ended, replays.summary(ended), as_json=as_json)
    if trouble := replays.failed(ended):
        raise trouble
