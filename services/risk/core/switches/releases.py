"""R23: an order over a soft limit waits, and a second person may let exactly that order pass, once and for a while.

A release never lets anything pass a hard limit, and holds for the very words of the order: another price or quantity is
another order (RTS 6 Art. 15(6)).
"""

from __future__ import annotations

from collections.abc import Iterable

from services.risk.core.switches.alerts import Alerts, Change, person
from shared.contract import keys
from shared.contract.base import Message, Nanos, plain_text
from shared.contract.errors import NotFound
from shared.contract.orders import Order
from shared.contract.risk import Release, RiskCheck

NS = 1_000_000_000

Key = tuple[str, str]
"""Account and order id."""


class Pending(Message):
    """An order that waits for a release: whose it is, what exactly it wants, and over which limits it is."""

    account: str
    order_id: str
    strategy: str | None
    intent: str
    codes: tuple[str, ...] = ()
    at_ns: Nanos


class Released(Message):
    """A release with the intent it holds for, kept under keys.release(account, order_id)."""

    release: Release
    intent: str
    at_ns: Nanos


class Releases:
    """What waits, and what was let through and has not gone out yet."""

    def __init__(self, alerts: Alerts, valid_s: float = 60.0, pending_s: float = 3600.0) -> None:
        """A release holds for `valid_s`; an order nobody released within `pending_s` is no longer remembered."""
        self._alerts = alerts
        self._valid_ns = round(valid_s * NS)
        self._pending_ns = round(pending_s * NS)
        self._waiting: dict[Key, Pending] = {}
        self._released: dict[Key, Released] = {}

    def pend(self, check: RiskCheck, codes: Iterable[str], now_ns: int) -> None:
        """Remember an order that is over soft limits. Asked again in the same words, it waits since when it did."""
        if check.order_id is None:
            return
        words, key = intent(check), (check.account, check.order_id)
        known = self._waiting.get(key)
        self._waiting[key] = Pending(
            account=check.account,
            order_id=check.order_id,
            strategy=check.strategy,
            intent=words,
            codes=tuple(codes),
            at_ns=known.at_ns if known is not None and known.intent == words else now_ns,
        )

    def release(self, account: str, order_id: str, actor: str, reason: str, now_ns: int) -> Change:
        """A named person, neither the account nor the strategy, lets it pass. The change's `say` is the Release."""
        waiting = self._waiting.get((account, order_id))
        if waiting is None or now_ns - waiting.at_ns >= self._pending_ns:
            raise NotFound(f"order {order_id} of {account} waits for no release", field="order_id")
        person(actor, account, waiting.strategy)
        release = Release(
            account=account, order_id=order_id, actor=actor, reason=reason, until_ns=now_ns + self._valid_ns
        )
        released = Released(release=release, intent=waiting.intent, at_ns=now_ns)
        self._released[account, order_id] = released
        over = ", ".join(waiting.codes) or "a soft limit"
        message = f"{actor} lets order {order_id} of {account} pass over {over}: {reason}"
        alert = self._alerts.tell("RISK_RELEASED", message, f"account.{account}", now_ns)
        return self._alerts.changed(alert, keys.release(account, order_id), released, say=release)

    def valid(self, check: RiskCheck, now_ns: int) -> Release | None:
        """The release that lets this very intent pass the soft limits, or None."""
        if not self._released:
            return None
        released = self._released.get((check.account, check.order_id or ""))
        if released is None or now_ns >= released.release.until_ns or released.intent != intent(check):
            return None
        return released.release

    def forget(self, account: str, order_id: str) -> str | None:
        """The order went out or is over: a release of it is spent, and nothing waits. The key to drop, or None."""
        self._waiting.pop((account, order_id), None)
        spent = self._released.pop((account, order_id), None)
        return keys.release(account, order_id) if spent is not None else None

    def waiting(self) -> list[Pending]:
        """Oldest first."""
        return sorted(self._waiting.values(), key=lambda pending: pending.at_ns)

    def restore(self, released: Iterable[Released], waiting: Iterable[Order]) -> None:
        """After a restart: what stands under release:*, and the orders that are PENDING_RISK."""
        self._released = {(entry.release.account, entry.release.order_id): entry for entry in released}
        self._waiting = {
            (order.account, order.order_id): Pending(
                account=order.account,
                order_id=order.order_id,
                strategy=order.strategy,
                intent=intent(order),
                at_ns=order.updated_ns,
            )
            for order in waiting
        }

    def sweep(self, now_ns: int) -> list[str]:
        """Forget what lapsed; the keys to drop."""
        self._waiting = {key: p for key, p in self._waiting.items() if now_ns - p.at_ns < self._pending_ns}
        lapsed = [key for key, entry in self._released.items() if now_ns >= entry.release.until_ns]
        for key in lapsed:
            del self._released[key]
        return [keys.release(account, order_id) for account, order_id in lapsed]


def intent(wanted: RiskCheck | Order) -> str:
    """The words of an order that a release holds for. A check and the order that becomes of it have the same."""
    expire_ns = wanted.expire_ns or 0
    terms = (wanted.symbol, wanted.side, wanted.order_type, wanted.time_in_force, wanted.venue, wanted.strategy or "-")
    numbers = (wanted.quantity, wanted.price, wanted.stop_price)
    written = ("-" if number is None else plain_text(number) for number in numbers)
    flags = (wanted.trail or "-", str(expire_ns), str(wanted.reduce_only), str(wanted.post_only))
    return " ".join((*terms, *written, *flags))
