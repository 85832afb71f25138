"""What risk wants people to see, and what a switch that was thrown leaves to be committed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.contract import keys
from shared.contract.base import Message
from shared.contract.errors import NotFound, Refused
from shared.contract.risk import Kill, Release, RiskAlert

ALERTS_MAX = 10_000
"""The oldest give way; the stream and the audit trail keep them."""

UNNAMED = "unnamed"

Write = tuple[str, Message | str | None]
"""A key and what to put there; None: drop it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A switch thrown: everything to commit in one transaction, and what is said of it.

    `key` and `value` are the switch itself (None: dropped; an empty key: there is only the alert), `also` what goes
    with it, `history` a list and the entry to push on it. `say` is a Kill for RISK_KILL
    or a Release for RISK_RELEASE.
    """

    key: str
    value: Message | str | None
    alert: RiskAlert
    also: tuple[Write, ...] = ()
    history: tuple[str, Message] | None = None
    say: Kill | Release | None = None


class Alerts:
    """Every alert of late, oldest first. Two of one moment get two ids, also after a restart."""

    def __init__(self) -> None:
        self._kept: dict[str, RiskAlert] = {}
        self._newest_ns = 0

    def restore(self, alerts: Iterable[RiskAlert]) -> None:
        for alert in sorted(alerts, key=lambda alert: alert.at_ns):
            self._kept[alert.alert_id] = alert
            self._newest_ns = max(self._newest_ns, alert.at_ns)

    def tell(self, code: str, message: str, scope: str, now_ns: int) -> RiskAlert:
        """A new alert. `scope` is `firm`, or kinds and names (`account.alice`, `account.alice.symbol.SPY`)."""
        self._newest_ns = max(now_ns, self._newest_ns + 1)
        words = scope.split(".")
        named = {kind: name for kind, name in zip(words[::2], words[1::2], strict=False) if name != "*"}
        alert = RiskAlert(
            alert_id=str(self._newest_ns),
            account=named.get("account", "firm"),
            code=code,
            message=message,
            symbol=named.get("symbol"),
            at_ns=self._newest_ns,
        )
        self._kept[alert.alert_id] = alert
        return alert

    def changed(
        self,
        alert: RiskAlert,
        key: str = "",
        value: Message | str | None = None,
        *also: Write,
        history: tuple[str, Message] | None = None,
        say: Kill | Release | None = None,
    ) -> Change:
        """A change told of by `alert`; drops the oldest alert when there are too many."""
        if len(self._kept) > ALERTS_MAX:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            also = (*also, (keys.alert(oldest), None))
        return Change(key, value, alert, also, history, say)

    def acknowledge(self, alert_id: str) -> RiskAlert:
        if alert_id not in self._kept:
            raise NotFound(f"there is no alert {alert_id}")
        self._kept[alert_id] = self._kept[alert_id].altered(acknowledged=True)
        return self._kept[alert_id]

    def recent(self, count: int) -> list[RiskAlert]:
        """Newest first."""
        return list(self._kept.values())[: -count - 1 : -1]

    def __len__(self) -> int:
        return len(self._kept)


def person(actor: str, *others: str | None) -> str:
    """The actor, if that is somebody with a name and none of `others`: what is under control may not control itself."""
    name = actor.casefold()
    if name in ("", UNNAMED):
        raise Refused("ACTOR_NEEDED", "say who does this: a person's name", field="actor")
    if any(other is not None and name == other.casefold() for other in others):
        raise Refused("SECOND_PERSON_NEEDED", f"this needs somebody other than {actor}", status=403, field="actor")
    return actor
