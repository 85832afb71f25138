"""An order's story on a terminal: the words of `GET /orders/{id}/why`, without what went as it should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.cli import show

RULE = ("id", "code", "value", "limit", "scope", "outcome")


def told(why: Mapping[str, Any]) -> str:
    """What was wanted, how it was judged, what became of it, and how long each step took."""
    parts = [f"{wanted(why['intent'])}\n{why['status']}: {why['summary']}", judged(why["verdict"])]
    parts.append(show.table(("at", "status", "what changed"), [commit(one) for one in why["commits"]]))
    if group := why["group"]:
        kin = show.columns(("order_id", "role", "status", "filled_quantity", "reason"), group["others"])
        parts.append(f"as the {group['role']} of group {group['id']}, together with\n{kin}")
    if hops := why["latency"]["hops"]:
        parts.append(show.columns(("from", "to", "us"), hops))
    return "\n\n".join(part for part in parts if part)


def wanted(intent: Mapping[str, Any]) -> str:
    """The order as it was first asked for, in a line."""
    words = [intent["account"], intent["side"], intent["quantity"], intent["symbol"], intent["order_type"]]
    words += [f"at {intent['price']}"] if intent["price"] else []
    words += [f"from {intent['stop_price']}"] if intent["stop_price"] else []
    words += [f"trailing {intent['trail']}"] if intent["trail"] else []
    words.append(intent["time_in_force"])
    words += [flag for flag in ("reduce_only", "post_only") if intent[flag]]
    words += [f"for {intent['strategy']}"] if intent["strategy"] else []
    return " ".join(words)


def judged(verdict: Mapping[str, Any] | None) -> str:
    """Risk's answer; of the rules those that did not simply pass."""
    if verdict is None:
        return "risk has not been asked"
    said = "let through" if verdict["approved"] else "held for a second person" if verdict["pending"] else "denied"
    found: Sequence[Mapping[str, Any]] = verdict["rules"]
    line = f"{said} by risk, {len(found)} findings in {verdict['elapsed_us']} us"
    odd = [one for one in found if one["outcome"] != "PASS"]
    return f"{line}\n{show.columns(RULE, odd)}" if odd else line


def commit(one: Mapping[str, Any]) -> tuple[str, str, str]:
    """When, into which status, and what else."""
    changed: Mapping[str, Mapping[str, Any]] = one["changed"]
    news = [f"{name} {to['to']}" for name, to in changed.items() if name in SHOWN]
    if (asked := changed.get("replacing")) and asked["to"]:
        news.append(f"asked for {terms(asked['to'])}")
    return one["at"], one["status"], "; ".join([*news, *([one["reason"]] if one["reason"] else [])])


SHOWN = ("quantity", "price", "stop_price", "trail", "filled_quantity", "average_fill_price", "fees")


def terms(asked: Mapping[str, Any]) -> str:
    """New terms, as they were asked for."""
    return asked["quantity"] if asked["price"] is None else f"{asked['quantity']} at {asked['price']}"
