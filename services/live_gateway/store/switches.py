"""Kills and modes as they outlive this process: in the store, in a file of ours, and in the kill folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from shared.contract import keys
from shared.contract.base import NAME_PATTERN
from shared.contract.ops import Alert
from shared.contract.risk import Kill
from shared.contract.subjects import ALERT, RISK_KILL
from shared.contract.venue import Mode, ModeChange
from shared.kit import Journal, Valkey

FIRM = "firm"
UNNAMED = "unnamed"
OWNER = "live-gateway"


class SwitchStore:
    """`folder` is where anybody may lay a file named after a scope; `file` holds what we were told."""

    def __init__(self, valkey: Valkey, journal: Journal, folder: Path, file: Path) -> None:
        self._valkey = valkey
        self._journal = journal
        self._folder = folder
        self._file = file

    @property
    def open(self) -> bool:
        """Whether anything can be committed now: after a write of which nobody knows what it did, a recovery comes
        first."""
        return self._journal.broken is None

    def lying(self) -> dict[str, tuple[str, str]]:
        """The files in the kill folder: name → content and owner. A folder that cannot be read kills the firm."""
        try:
            with os.scandir(self._folder) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".")]
                return {name: (_content(self._folder / name), _owner(self._folder / name)) for name in names}
        except FileNotFoundError:
            return {}
        except OSError as error:
            return {FIRM: (f"the kill folder cannot be read: {error.strerror}", UNNAMED)}

    def prepare(self) -> None:
        """Make the kill folder, so that nobody in a hurry has to."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file.parent.mkdir(parents=True, exist_ok=True)

    def told(self) -> list[Kill]:
        """What was told in an earlier life. A file that cannot be read kills the firm."""
        try:
            return [Kill.model_validate(words) for words in json.loads(self._file.read_text())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            return [Kill(scope=FIRM, reason=f"{self._file.name} cannot be read: {type(error).__name__}")]

    def keep_told(self, kills: Iterable[Kill]) -> None:
        """On disk when this returns, whether the store is there or not."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump([kill.model_dump(mode="json") for kill in kills], file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)

    async def keyed(self) -> list[Kill]:
        """What risk has committed, by an index of nothing else: it is asked for many times a second."""
        scopes = sorted(await self._valkey.members(keys.killed()))
        return [kill for kill in await self._valkey.get_many([keys.kill(one) for one in scopes], Kill) if kill]

    async def stands(self, scope: str) -> bool:
        """Whether risk still holds a scope to be killed."""
        return await self._valkey.raw(keys.kill(scope)) is not None

    async def lifted(self) -> dict[str, int]:
        found = await self._of_risk(keys.lifted(""))
        times = [await self._valkey.raw(key) for key in found]
        return {key.partition(":")[2]: int(at) for key, at in zip(found, times, strict=True) if at}

    async def _of_risk(self, prefix: str) -> list[str]:
        """The keys of one kind that risk keeps."""
        return sorted(key for key in await self._valkey.members(keys.kept("risk")) if key.startswith(prefix))

    async def modes(self, venues: Iterable[str]) -> dict[str, Mode]:
        found = {venue: await self._valkey.raw(keys.venue_mode(venue)) for venue in venues}
        return {venue: Mode(mode.decode()) for venue, mode in found.items() if mode}

    async def changes(self, count: int) -> list[ModeChange]:
        """The latest changes of modes, oldest first."""
        return [ModeChange.decode(words) for words in await self._valkey.items(keys.venue_mode_changes(), -count)]

    async def keep(self, changes: Iterable[ModeChange], kills: Iterable[Kill] = ()) -> None:
        """Commit modes with who changed them, and with them tell risk of kills that it does not know."""
        transaction = self._journal.transaction()
        for change in changes:
            transaction.put(keys.venue_mode(change.venue), change.mode.value)
            transaction.push(keys.venue_mode_changes(), change)
            transaction.say(ALERT, _alert(change), account=FIRM, id=f"mode-{change.venue}-{change.at_ns}")
        for kill in kills:
            transaction.say(RISK_KILL, kill, account=FIRM, id=f"{kill.scope}-{kill.at_ns}")
        await self._journal.commit(transaction)


def _alert(change: ModeChange) -> Alert:
    why = f": {change.reason}" if change.reason else ""
    message = f"{change.venue} goes from {change.before} to {change.mode}, says {change.actor}{why}"
    return Alert(service=OWNER, code="MODE_CHANGED", about=change.venue, message=message, at_ns=change.at_ns)


def _content(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[:1000]
    except OSError:
        return ""


def _owner(path: Path) -> str:
    """Who laid a file there, by the name that the system has for him."""
    try:
        owner = path.owner()
    except (OSError, KeyError):
        return UNNAMED
    return owner if re.match(NAME_PATTERN, owner) else UNNAMED
