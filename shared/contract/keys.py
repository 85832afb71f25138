"""Every Valkey key. The braces are literal: all keys of one account share a hash slot, hence one transaction."""

from __future__ import annotations


def order(account: str, order_id: str) -> str:
    """JSON of the order as last committed."""
    return f"order:{{{account}}}:{order_id}"


def client(account: str, client_order_id: str) -> str:
    """The order id behind a client's own id."""
    return f"client:{{{account}}}:{client_order_id}"


def order_index(account: str) -> str:
    """Sorted set of an account's order ids by creation time (µs)."""
    return f"orders:{{{account}}}"


def open_orders(account: str) -> str:
    """Set of the order ids that may still fill."""
    return f"open:{{{account}}}"


def events(account: str, order_id: str) -> str:
    """List of an order's committed events, oldest first, JSON."""
    return f"events:{{{account}}}:{order_id}"


def verdict(account: str, order_id: str) -> str:
    """JSON of what risk said of the order before it was first committed."""
    return f"verdict:{{{account}}}:{order_id}"


def fill(account: str, fill_id: str) -> str:
    """JSON of one fill; its existence makes a second application impossible."""
    return f"fill:{{{account}}}:{fill_id}"


def fill_index(account: str) -> str:
    """Sorted set of an account's fill ids by commit time (µs)."""
    return f"fills:{{{account}}}"


def position(account: str, symbol: str) -> str:
    """JSON of the net position."""
    return f"position:{{{account}}}:{symbol}"


def account(account: str) -> str:
    """JSON of the balance."""
    return f"account:{{{account}}}"


def outbox(owner: str, account: str) -> str:
    """Hash: message id → subject and payload, committed with the state it speaks of, deleted once published.

    The owner is part of the key because two services keep an outbox for the same account.
    """
    return f"outbox:{{{account}}}:{owner}"


def reservation(account: str) -> str:
    """Hash: order id → JSON of the worst case risk has set aside for it."""
    return f"reservation:{{{account}}}"


def trading_state(account: str) -> str:
    """ACTIVE, REDUCING or HALTED; absent means ACTIVE."""
    return f"trading_state:{{{account}}}"


def limits(account: str) -> str:
    """JSON of an account's limits as changed by hand; absent means those of the configuration."""
    return f"limits:{{{account}}}"


def kill(scope: str) -> str:
    """JSON of an active kill."""
    return f"kill:{scope}"


def blocked(symbol: str) -> str:
    """Set while a symbol is blocked by hand."""
    return f"blocked:{symbol}"


def alert(alert_id: str) -> str:
    """JSON of a risk alert."""
    return f"alert:{alert_id}"


def venue_order(account: str, order_id: str) -> str:
    """JSON of an order as the paper venue knows it."""
    return f"paper:{{{account}}}:{order_id}"


def venue_open(account: str) -> str:
    """Set of the orders resting at the paper venue."""
    return f"paper_open:{{{account}}}"


def bars(interval: str, venue: str, symbol: str) -> str:
    """Hash: start_ns → JSON of the bar; the most recent ones."""
    return f"bars:{interval}:{venue}:{symbol}"


def last(venue: str, symbol: str) -> str:
    """JSON of the most recent quote and trade."""
    return f"last:{venue}:{symbol}"


def checkpoint(service: str) -> str:
    """A service's own snapshot, with the stream position it reaches to."""
    return f"checkpoint:{service}"


def accounts() -> str:
    """Set of all accounts that have ever traded."""
    return "accounts"


def positions(account: str) -> str:
    """Set of the symbols in which an account has a position, flat ones included."""
    return f"positions:{{{account}}}"


def order_fills(account: str, order_id: str) -> str:
    """Set of the fill ids applied to an order."""
    return f"order_fills:{{{account}}}:{order_id}"
