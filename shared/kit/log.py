"""Structured logs: one JSON line an event, with the request it belongs to."""

from __future__ import annotations

import contextlib
import logging
import sys
from contextvars import ContextVar
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request being served; carried in `X-Request-Id` over HTTP and NATS alike."""

_SECRET_WORDS = ("secret", "password", "token", "api_key", "authorization")


def _with_request(_logger: object, _method: str, event: EventDict) -> EventDict:
    if current := request_id.get():
        event.setdefault("request_id", current)
    return event


def _without_secrets(_logger: object, _method: str, event: EventDict) -> EventDict:
    for key in event:
        if any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "***"
    return event


class _Patient:
    """Standard output that forgives a full disk: what cannot be written is lost, and nothing else is."""

    def write(self, words: str) -> int:
        with contextlib.suppress(OSError):
            return sys.stdout.write(words)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.flush()


def open_log(service: str, level: str) -> FilteringBoundLogger:
    """The process's log on standard output; libraries' own records go the same way."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_request,
            _without_secrets,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Patient())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(number, logging.WARNING), format="%(name)s: %(message)s", stream=sys.stdout, force=True
    )
    return structlog.get_logger(service=service)
