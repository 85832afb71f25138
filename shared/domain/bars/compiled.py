"""numba's compiler as this package uses it: machine code is kept on disk, and never outlives its source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

from shared.contract.market import Interval

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile at the first call; the machine code is kept beside the source, or under NUMBA_CACHE_DIR."""
    return _compiled(function, inlined=False)


def inlined(function: F) -> F:
    """The same, for what each tick may call: put in where it is called, so that no arrays are handed over."""
    return _compiled(function, inlined=True)


def _compiled(function: F, *, inlined: bool) -> F:
    dispatcher: Any = njit(cache=True, forceinline=inlined)(function)
    # numba compares only the file a function stands in with what it kept, though the machine code holds what the
    # function calls and the constants it names in other files too.
    if cache := getattr(dispatcher, "_cache", None):
        cache._cache_file._source_stamp = FINGERPRINT
    return cast(F, dispatcher)


def _fingerprint() -> str:
    digest = hashlib.sha256(repr([(interval, interval.length_ns) for interval in Interval]).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


FINGERPRINT = _fingerprint()
