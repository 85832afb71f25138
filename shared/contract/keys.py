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
    """Hash of the order's version → its committed event, JSON."""
    return f"events:{{{account}}}:{order_id}"


def verdict(account: str, order_id: str) -> str:
    """JSON of what risk said of the order before it was first committed."""
    return f"verdict:{{{account}}}:{order_id}"


def shape(name: str) -> str:
    """JSON of what the findings of many verdicts have in common."""
    return f"shape:{name}"


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


def venue_fills(account: str, order_id: str) -> str:
    """List of a venue's reports that brought a fill of an order, oldest first, JSON; none for one filled at once."""
    return f"paper_fills:{{{account}}}:{order_id}"


def venue_trades(account: str) -> str:
    """Sorted set of the order ids that a venue has filled anything of, by the latest fill (µs)."""
    return f"paper_trades:{{{account}}}"


def venue_mode(venue: str) -> str:
    """How far orders for a venue go, as set by hand; absent means PAPER."""
    return f"venue_mode:{venue}"


def venue_mode_changes() -> str:
    """List of every change of a venue's mode, oldest first, JSON."""
    return "venue_mode_changes"


def bars(interval: str, venue: str, symbol: str) -> str:
    """Hash: start_ns → JSON of the bar; the most recent ones."""
    return f"bars:{interval}:{venue}:{symbol}"


def last(venue: str, symbol: str) -> str:
    """JSON of the most recent quote and trade."""
    return f"last:{venue}:{symbol}"


def checkpoint(shard: str) -> str:
    """A service's own snapshot, with the stream position it reaches to; of each copy where there are several."""
    return f"checkpoint:{shard}"


def shard(shard: str) -> str:
    """Where one of several copies of a service is reached by the others, host:port."""
    return f"shard:{shard}"


def accounts() -> str:
    """Set of all accounts that have ever traded."""
    return "accounts"


def positions(account: str) -> str:
    """Set of the symbols in which an account has a position, flat ones included."""
    return f"positions:{{{account}}}"


def order_fills(account: str, order_id: str) -> str:
    """Set of the fill ids applied to an order."""
    return f"order_fills:{{{account}}}:{order_id}"


def epoch(account: str) -> str:
    """Which life of risk may approve orders of an account; an approval of another life is void."""
    return f"epoch:{{{account}}}"


def epochs() -> str:
    """Set of the accounts that have an epoch: of those that never traded, an approval may still be on its way."""
    return "epochs"


def entries(account: str) -> str:
    """List of an account's double entries, oldest first, JSON."""
    return f"entries:{{{account}}}"


def strategies(account: str) -> str:
    """Set of the strategies that have traded in an account."""
    return f"strategies:{{{account}}}"


def strategy_position(account: str, strategy: str, symbol: str) -> str:
    """JSON of a strategy's own share of a position."""
    return f"strategy_position:{{{account}}}:{strategy}:{symbol}"


def strategy_positions(account: str, strategy: str) -> str:
    """Set of the symbols in which a strategy has a share."""
    return f"strategy_positions:{{{account}}}:{strategy}"


def group(account: str, group: str) -> str:
    """Set of the order ids of one bracket or OCO pair."""
    return f"group:{{{account}}}:{group}"


def release(account: str, order_id: str) -> str:
    """JSON of a second person's release of an order that is over a soft limit."""
    return f"release:{{{account}}}:{order_id}"


def released(account: str, order_id: str) -> str:
    """JSON of the release that an order was let through by, for good."""
    return f"released:{{{account}}}:{order_id}"


def baseline(scope: str) -> str:
    """JSON of what losses of a scope are measured from."""
    return f"baseline:{scope}"


def killed() -> str:
    """Set of the scopes that risk holds to be killed."""
    return "killed"


def lifted(scope: str) -> str:
    """When a kill of the scope was last lifted (ns); a kill set before that is old news."""
    return f"lifted:{scope}"


def disabled(scope: str, symbol: str) -> str:
    """JSON of a strategy or account that may not go on by itself in a symbol."""
    return f"disabled:{scope}:{symbol}"


def limits_history(scope: str) -> str:
    """List of every version of a scope's limits, oldest first, JSON."""
    return f"limits_history:{scope}"


def kept(owner: str) -> str:
    """Set of the keys that a service keeps besides those of its accounts, so that nobody need search for them."""
    return f"kept:{owner}"


def dealt(account: str) -> str:
    """Set of the venues that an account's orders were for."""
    return f"dealt:{{{account}}}"


def reconciled(account: str) -> str:
    """Hash: venue → JSON of how far the account has been reconciled with it."""
    return f"reconciled:{{{account}}}"


def tally(account: str) -> str:
    """JSON of what the account's fills add up to, by venue, up to one of them."""
    return f"tally:{{{account}}}"


def subscriptions() -> str:
    """Hash: subscription id → JSON of what people have asked the gateway to follow at a venue."""
    return "subscriptions"
