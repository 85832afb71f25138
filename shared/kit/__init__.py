"""How a service runs: the machinery every service shares, and the only code that speaks to NATS, Valkey or the tape."""

from shared.kit.bus import Bus
from shared.kit.clock import Clock
from shared.kit.journal import Journal
from shared.kit.kit import Kit
from shared.kit.lake import Lake, Span
from shared.kit.meter import Meter
from shared.kit.outbox import Kept
from shared.kit.service import (
    Heard,
    Service,
    SocketStream,
    Unheard,
    answer,
    any_method,
    batch,
    delete,
    each,
    follow,
    get,
    on,
    owned,
    patch,
    post,
    put,
    watch,
    websocket,
)
from shared.kit.settings import Settings, known_instrument
from shared.kit.shard import Shard
from shared.kit.tape import Tape
from shared.kit.transaction import Transaction
from shared.kit.valkey import Valkey
from shared.kit.web import IdempotencyKey, Reply, Request

__all__ = [
    "Bus",
    "Clock",
    "Heard",
    "IdempotencyKey",
    "Journal",
    "Kept",
    "Kit",
    "Lake",
    "Meter",
    "Reply",
    "Request",
    "Service",
    "Settings",
    "Shard",
    "SocketStream",
    "Span",
    "Tape",
    "Transaction",
    "Unheard",
    "Valkey",
    "answer",
    "any_method",
    "batch",
    "delete",
    "each",
    "follow",
    "get",
    "known_instrument",
    "on",
    "owned",
    "patch",
    "post",
    "put",
    "watch",
    "websocket",
]
