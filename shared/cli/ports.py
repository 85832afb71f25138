"""Ports: which ones a suite wants, and who has those that are taken."""

from __future__ import annotations

import socket

import psutil

from shared.cli.trouble import Trouble
from shared.contract.roster import ROSTER, VALKEY_PORT
from shared.kit.settings import Suite


def wanted(suite: Suite) -> dict[str, int]:
    """Every port this suite listens on, by name; embedded infrastructure only where it is embedded."""
    ports = {} if suite.nats_url else {"nats": nats_port(suite), "nats-monitor": suite.nats_monitor_port}
    if not suite.valkey_url:
        ports["valkey"] = VALKEY_PORT + suite.port_offset
    return ports | {entry.name: suite.port(entry.name) for entry in ROSTER}


def nats_port(suite: Suite) -> int:
    """The embedded NATS server's client port."""
    return int(suite.nats.rsplit(":", 1)[1])


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether someone could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens there, as far as this user may see."""
    try:
        listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        pid = next((c.pid for c in listening if c.laddr and c.laddr.port == port), None)
        return f"pid {pid}, {psutil.Process(pid).name()}" if pid else "a process that cannot be seen from here"
    except psutil.Error:
        return "a process that cannot be seen from here"


def check(suite: Suite) -> None:
    """`Trouble` naming every port that cannot be had, and who has it."""
    taken = [f"{port} ({name}: held by {holder(port)})" for name, port in wanted(suite).items() if not is_free(port)]
    if taken:
        raise Trouble(
            f"taken: port {', port '.join(taken)}; free them, or shift every port with TRADE2026_PORT_OFFSET "
            f"(now {suite.port_offset})"
        )
