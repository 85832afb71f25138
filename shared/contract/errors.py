"""The three ways to fail.

Refused       the caller is wrong       4xx problem   acknowledged   info
Unavailable   the world is not ready    503 problem   handed back    warning
(any other)   a bug                     500 problem   parked         error with trace
"""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):
    """The caller is wrong; asking again in the same words will fail again.

    `code` is stable and upper case, `status` is its 4xx, `detail` says what is wrong and how to mend it.
    `field` names the part of the request at fault, `extra` is added to the problem document.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int = 422,
        field: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.field = field
        self.extra = dict(extra or {})


class NotFound(Refused):
    """There is no such thing here."""

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__("NOT_FOUND", detail, status=404, field=field)


class Conflict(Refused):
    """The request contradicts something already committed."""

    def __init__(self, code: str, detail: str, *, field: str | None = None) -> None:
        super().__init__(code, detail, status=409, field=field)


class Unavailable(Exception):
    """The world is not ready; the same request may succeed after `retry_after_s`."""

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s
