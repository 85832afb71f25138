"""Many short strings as one column of UTF-8, made into Python strings only where somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:  # the contract stands on the standard library and pydantic alone; who makes columns has numpy
    import numpy as np
    from numpy.typing import NDArray


class Texts(Sequence[str]):
    """Text i is `data[offsets[i]:offsets[i + 1]]`: what an Arrow utf8 column holds, and what compiled code reads."""

    def __init__(self, offsets: NDArray[np.int32], data: NDArray[np.uint8]) -> None:
        self.offsets = offsets
        self.data = data

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """These strings as a column; a column is returned as it is."""
        if isinstance(texts, Texts):
            return texts
        import numpy as np

        encoded = [text.encode() for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int32)
        np.cumsum([len(one) for one in encoded], out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(encoded), np.uint8))

    @classmethod
    def blank(cls, count: int) -> Texts:
        """So many empty strings."""
        import numpy as np

        return cls(np.zeros(count + 1, np.int32), np.empty(0, np.uint8))

    def chosen(self, rows: NDArray[np.int64]) -> Texts:
        """The texts in these rows."""
        import numpy as np

        starts, lengths = self.offsets[:-1][rows], np.diff(self.offsets)[rows]
        offsets = np.zeros(len(rows) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Texts(offsets, self.data[places])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Texts: ...

    def __getitem__(self, index: int | slice) -> str | Texts:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            assert step == 1, "neighbours only; `chosen` takes any rows"
            return Texts(self.offsets[start : max(start, stop) + 1], self.data)
        at = range(len(self))[index]
        return self.data[self.offsets[at] : self.offsets[at + 1]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        return iter(self.strings())

    def strings(self) -> list[str]:
        """All of them as Python strings."""
        whole = self.data.tobytes()
        bounds = self.offsets.tolist()
        if whole.isascii():
            text = whole.decode("ascii")
            return [text[start:end] for start, end in pairwise(bounds)]
        return [whole[start:end].decode() for start, end in pairwise(bounds)]
