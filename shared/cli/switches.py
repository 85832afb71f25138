"""The verbs that stop trading, and let it go on."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.cli.trade import front_door
from shared.cli.verb import Account, Json, verb

switches = typer.Typer()

Actor = Annotated[str | None, typer.Option("--as", help="Who you are; left out, your login name.")]


@verb(switches)
def kill(
    scope: Annotated[str, typer.Argument(help="firm, account.NAME, strategy.NAME, venue.NAME or symbol.NAME")],
    reason: Annotated[str, typer.Option(help="Why, for whoever has to lift it.")],
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Let nothing more out in a scope, and cancel what is open there."""
    from shared.cli import show
    from shared.cli.door import Away
    from shared.cli.trouble import Trouble, suite

    words = {"scope": scope, "reason": reason, "actor": actor or _login()}
    try:
        answer = front_door().post("/api/risk/kill", words)
    except Away as error:
        # It must be possible with nearly everything down.
        raise Trouble(f"{error}; a file does it too: write the reason to {suite().var / 'kill' / scope}") from None
    show.out(answer, answer["message"], as_json=as_json)


@verb(switches)
def lift(scope: str, actor: Actor = None, as_json: Json = False) -> None:
    """Let a killed scope trade again; that takes somebody else than who killed it."""
    from shared.cli import show
    from shared.cli.door import segment

    answer = front_door().delete(f"/api/risk/kill/{segment(scope)}", actor=actor or _login())
    show.out(answer, answer["message"], as_json=as_json)


@verb(switches)
def release(
    what: Annotated[str, typer.Argument(help="The id of an order that waits over a soft limit, or a killed scope.")],
    reason: Annotated[str, typer.Option(help="Why the order may pass.")] = "by hand",
    account: Account = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Let one order pass that is over a soft limit, or lift a kill; that takes a second person."""
    from shared.cli import show
    from shared.cli.door import segment

    if what == "firm" or "." in what:  # no order id has a dot
        lift(what, actor, as_json)
        return
    words = {"actor": actor or _login(), "reason": reason, "account": account}
    answer = front_door().post(f"/api/risk/risk/releases/{segment(what)}", words)
    show.out(answer, answer["message"], as_json=as_json)


def _login() -> str:
    import getpass

    from shared.cli.trouble import Trouble

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise Trouble("nobody knows who you are; say it with --as NAME") from None
