"""The verbs that ask a running suite: all through its front door, like any other client."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli.verb import Account, Json, verb

trade = typer.Typer()

ORDER = (
    *("order_id", "account", "symbol", "side", "order_type", "quantity", "filled_quantity", "price", "stop_price"),
    *("status", "reason"),
)
POSITION = ("account", "symbol", "quantity", "average_price", "last_price", "realized_pnl", "fees")

Limit = Annotated[str | None, typer.Option("--price", help="The worst price of a limit order.")]
Stop = Annotated[str | None, typer.Option(help="Wait until the market gets there.")]
Trail = Annotated[str | None, typer.Option(help="Follow the market so far behind: 250, or 1.5%.")]
Strategy = Annotated[str | None, typer.Option(help="On whose behalf.")]

BAR = ("timestamp", "open", "high", "low", "close", "volume", "vwap", "count", "revision")


def front_door() -> Any:
    """The way in to this suite."""
    from shared.cli.door import Door
    from shared.cli.trouble import suite

    found = suite()
    return Door(found.host, found.port("orchestrator"))


@verb(trade)
def status(as_json: Json = False) -> int:
    """How every service and feed is."""
    from shared.cli import show

    answer = front_door().get("/system/status")
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
    order_type: Annotated[str | None, typer.Option("--type", help="Left out, it follows from what is given.")] = None,
    price: Limit = None,
    stop: Stop = None,
    trail: Trail = None,
    tif: Annotated[str | None, typer.Option(help="gtc, day, ioc, fok or gtd")] = None,
    expire: Annotated[str | None, typer.Option(help="When a gtd order ends: 2030-01-31T16:00Z.")] = None,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Never more than closes the position.")] = False,
    post_only: Annotated[bool, typer.Option("--post-only", help="Rest, and never trade at once.")] = False,
    strategy: Strategy = None,
    account: Account = None,
    client_order_id: Annotated[str | None, typer.Option(help="Your own id: the same one is one order.")] = None,
    as_json: Json = False,
) -> None:
    """Submit an order."""
    order = {
        "symbol": symbol,
        "side": side,
        "quantity": quantity,
        "order_type": _kind(order_type, price, stop, trail),
        "price": price,
        "stop_price": stop,
        "trail": trail,
        "time_in_force": tif or ("GTD" if expire is not None else None),
        "expire_at": expire,
        "reduce_only": reduce_only or None,
        "post_only": post_only or None,
        "strategy": strategy,
        "account": account,
        "client_order_id": client_order_id or f"cli-{uuid.uuid4().hex[:20]}",
    }
    _send(order, as_json=as_json)


def _kind(given: str | None, price: str | None, stop: str | None, trail: str | None) -> str | None:
    """The type of an order, by the prices that it has."""
    if given is not None:
        return given.replace("-", "_")
    if trail is not None:
        return "TRAILING_STOP"
    if stop is not None:
        return "STOP" if price is None else "STOP_LIMIT"
    return None if price is None else "LIMIT"


def _send(order: Mapping[str, object], *, as_json: bool) -> None:
    from shared.cli import show
    from shared.cli.door import Unanswered
    from shared.cli.trouble import Trouble

    try:
        answer = front_door().post("/api/oms/orders", order)
    except Unanswered as error:
        # It may stand. Under the same id it can be sent again without standing twice.
        again = f"send it again with --client-order-id {order['client_order_id']}"
        raise Trouble(f"{error}; it may stand: {again}") from None
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
    answer = front_door().get("/api/oms/orders", **query, active_only=active or None)
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

    answer = front_door().post(f"/api/oms/orders/{segment(order_id)}/cancel", {})
    show.out(answer, show.columns(ORDER, [answer]), as_json=as_json)


@verb(trade)
def replace(
    order_id: str,
    price: Limit = None,
    quantity: Annotated[str | None, typer.Option(help="The new whole, what is filled included.")] = None,
    stop: Stop = None,
    trail: Trail = None,
    as_json: Json = False,
) -> None:
    """Give an open order new terms; what is left out stays."""
    from shared.cli import show, story
    from shared.cli.door import segment

    terms = {"price": price, "quantity": quantity, "stop_price": stop, "trail": trail}
    answer = front_door().patch(f"/api/oms/orders/{segment(order_id)}", terms)
    text = show.columns(ORDER, [answer])
    if wanted := answer.get("replacing"):
        text += f"\non its way to {answer['venue']}: {story.terms(wanted)}"
    show.out(answer, text, as_json=as_json)


@verb(trade)
def cancel_all(
    account: Account = None,
    strategy: Strategy = None,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol's.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="Every open order there is.")] = False,
    as_json: Json = False,
) -> None:
    """Ask for all open orders of an account, a strategy or a symbol to be cancelled."""
    from shared.cli import show
    from shared.cli.trouble import Trouble

    wanted = {"account": account, "strategy": strategy, "symbol": symbol}
    if any(wanted.values()) is everything:
        raise Trouble("say whose: --account, --strategy, --symbol or several of them, or else --everything")
    answer = front_door().post("/api/oms/orders/cancel-all", {}, **wanted)
    asked = answer["cancelled"]
    show.out(answer, "\n".join([*asked, f"asked for the end of {len(asked)} orders"]), as_json=as_json)


@verb(trade)
def why(order_id: str, as_json: Json = False) -> None:
    """Tell an order's whole story: what was wanted, how it was judged, what became of it, how long each step took."""
    from shared.cli import show, story
    from shared.cli.door import segment

    answer = front_door().get(f"/api/oms/orders/{segment(order_id)}/why")
    show.out(answer, story.told(answer), as_json=as_json)


@verb(trade)
def positions(account: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """Show what is held."""
    from shared.cli import show
    from shared.cli.door import segment

    found = front_door().get(f"/api/oms/positions/{segment(account)}" if account else "/api/oms/positions")
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
    answer = front_door().get(path, limit=limit)
    show.out(answer, show.columns(BAR, answer["bars"], f"no bars of {symbol} at {venue} yet"), as_json=as_json)


@verb(trade)
def replay(
    file: Path,
    kind: Annotated[
        str | None, typer.Option("--format", help="csv, parquet, raw, binance-raw, lean-trades, lean-quotes")
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

    door = front_door()
    options = {"format": kind, "speed": speed, "venue": venue, "symbol": symbol, "date": date}
    begun = replays.start(door, file, options)
    if not wait:
        show.out(begun, f"{begun['id']}: {begun.get('state')}", as_json=as_json)
        return
    ended = replays.watch(door, begun, bar=not as_json)
    show.out(ended, replays.summary(ended), as_json=as_json)
    if trouble := replays.failed(ended):
        raise trouble
