"""`trade2026`: the verbs that start, stop and inspect a suite. Each imports what it needs itself: --help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli.backups.verbs import backups
from shared.cli.lakes.verbs import lakes
from shared.cli.switches import switches
from shared.cli.trade import trade
from shared.cli.verb import Json, verb

app = typer.Typer(
    name="trade2026",
    help="Run a trading suite on this machine, and trade with it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@verb(app)
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once all is ready; it runs on.")] = False,
) -> int:
    """Start everything, and keep it running."""
    from shared.cli.running import up as start
    from shared.cli.trouble import suite

    return start(suite(), detach=detach)


@verb(app)
def down() -> None:
    """Stop everything."""
    from shared.cli.running import down as stop
    from shared.cli.trouble import suite

    sys.stdout.write(stop(suite()) + "\n")


@verb(app)
def ps(as_json: Json = False) -> None:
    """List what runs."""
    from dataclasses import asdict

    from shared.cli import show, state
    from shared.cli.trouble import suite

    var = suite().var
    found = state.running(var / "run")
    names = ("service", "pid", "port", "state", "restarts")
    rows: list[dict[str, Any]] = [asdict(row) for row in found.services] if found else []
    listed = [{name: row[name] for name in names} for row in rows]
    show.out(listed, show.columns(names, listed, f"nothing runs in {var}"), as_json=as_json)


@verb(app)
def logs(
    service: Annotated[str | None, typer.Argument(help="One service; all of them when left out.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last ones.")] = 100,
    as_json: Json = False,
) -> None:
    """Show what the services wrote."""
    from shared.cli import logs as files
    from shared.cli import show
    from shared.cli.trouble import suite

    paths = files.paths(suite().var / "log", service)
    new = files.coming(paths)
    recent = files.recent(paths, lines)
    if as_json and not follow:
        show.out(recent, "", as_json=True)
        return
    for line in recent:
        sys.stdout.write(line + "\n")
    for line in new if follow else ():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


@verb(app)
def doctor(as_json: Json = False) -> int:
    """Check that everything is here that a suite needs."""
    from shared.cli import doctor as doctors
    from shared.cli import show
    from shared.cli.trouble import suite

    findings = doctors.examine(suite())
    show.out([one.words for one in findings], "\n".join(one.line for one in findings), as_json=as_json)
    return 0 if all(one.ok for one in findings) else 1


@verb(app)
def secrets(
    folder: Annotated[Path | None, typer.Argument(help="Where; the folder of secrets when left out.")] = None,
    copies: Annotated[int, typer.Option(min=1, max=64, help="Of a service that shares its work, at most.")] = 4,
) -> None:
    """Make a password for everybody who speaks to NATS and Valkey, and write down what each may do there.

    Passwords that are there stay, so that the rules can be renewed when a service may do more or less than before.
    """
    from shared.cli import users
    from shared.cli.preload import prepared
    from shared.cli.trouble import suite

    where = (folder or suite().secrets).absolute()
    users.write_rules(where, {name: life.tables for name, life in prepared(suite()).items()}, copies)
    sys.stdout.write(f"{where}: passwords, {users.NATS_USERS} and {users.VALKEY_USERS}; now restart NATS and Valkey\n")


@verb(app)
def reindex() -> None:
    """Fill the search index from the documents in the lake; the suite may run meanwhile."""
    from shared.cli.reindex import reindex as fill
    from shared.cli.trouble import suite

    sys.stdout.write(f"{fill(suite())} documents are in the index\n")


@verb(app)
def chaos(
    profile: Annotated[str, typer.Option(help="How many loops: pr (minutes), nightly, release (hours).")] = "pr",
    seed: Annotated[int | None, typer.Option(help="Everything follows from it; drawn when left out.")] = None,
    faults: Annotated[list[str] | None, typer.Option("--fault", help="Only this one; may be given again.")] = None,
    loops: Annotated[int | None, typer.Option(min=1, help="At most so many of each fault.")] = None,
    only: Annotated[int | None, typer.Option(min=0, help="Of each fault only the loop of this number.")] = None,
) -> int:
    """Break suites of its own again and again, and check that nothing acknowledged is lost or doubled."""
    from shared.cli.chaos import play

    return play(profile, seed, faults or [], loops, only)


@verb(app)
def version(as_json: Json = False) -> None:
    """Say which code this is."""
    import platform

    from shared.cli import show
    from shared.cli.checkout import commit_of
    from shared.cli.trouble import suite
    from shared.kit.life import VERSION

    words = {"version": VERSION, "git": commit_of(suite().git), "python": platform.python_version()}
    show.out(words, f"trade2026 {VERSION}+{words['git']} on Python {words['python']}", as_json=as_json)


app.add_typer(trade)
app.add_typer(switches)
app.add_typer(backups)
app.add_typer(lakes)
