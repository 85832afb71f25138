"""Arrow as the readers use it. Its package carries no types, so that it is named once, here, as what it is."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute

Column = Any
"""An Arrow array, or a scalar of one."""

compute: Any = pyarrow.compute


def line_numbers(lines: Any) -> Column:
    """Numbers as text, for trades that carry no id of their own."""
    return pa.array(lines).cast(pa.string())
