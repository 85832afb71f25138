"""numba, for pyright: a compiled function keeps its signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile at the first call; the machine code is kept on disk beside the source, or under NUMBA_CACHE_DIR."""
    return cast(F, njit(cache=True)(function))
