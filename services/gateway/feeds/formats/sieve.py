"""The sieve: columns are turned into numbers and times, and every row that cannot be is set aside with its reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds
from numpy.typing import NDArray

from services.gateway.feeds.formats.arrow import Column, compute
from services.gateway.feeds.formats.rows import BAD_LINES_KEPT, Account, Floats, Ints, Mask

SMALLEST, LARGEST = 1e-12, 1e20
NANOS_MAX = 9.2e18
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INTEGER = r"^[+-]?\d{1,18}$|^\d{19}$"
_ZONED = r"([zZ]|[+-]\d\d:?\d\d)$"
_SIDES = {
    "buy": 1,
    "buyer": 1,
    "b": 1,
    "1": 1,
    "sell": -1,
    "seller": -1,
    "s": -1,
    "-1": -1,
    "": 0,
    "0": 0,
    "unknown": 0,
}


class Sieve:
    """The rows of one block. `ok` says which are still good; `close` enters the others in the account."""

    def __init__(self, lines: Ints, account: Account) -> None:
        self.lines = lines
        self.ok: Mask = np.ones(len(lines), np.bool_)
        self._account = account
        self._reasons: list[tuple[int, str]] = []
        self._bad = 0

    def refuse(self, mask: Mask, reason: str, shown: Callable[[int], object] | None = None) -> None:
        """These rows are bad; `shown` gives what stands there."""
        rows = np.flatnonzero(mask & self.ok)
        self.ok[rows] = False
        self._bad += len(rows)
        for row in rows[:BAD_LINES_KEPT]:
            given = f", not {str(shown(int(row)))[:60]!r}" if shown else ""
            self._reasons.append((int(self.lines[row]), reason + given))

    def leave_out(self, mask: Mask) -> None:
        """These rows are of another kind."""
        rows = mask & self.ok
        self._account.other += int(rows.sum())
        self.ok &= ~rows

    def close(self) -> None:
        for line, reason in sorted(self._reasons):
            self._account.note_bad(line, reason)
        self._account.bad += self._bad - len(self._reasons)

    # Columns.

    def numbers(self, column: Column, name: str) -> Floats:
        """Floats, NaN where nothing stands."""
        column = _filled(column)
        if not kinds.is_string(column.type):
            return _float(column)
        try:
            return _float(column)
        except pa.ArrowInvalid:
            column = compute.utf8_trim_whitespace(column)
            right = compute.match_substring_regex(column, _NUMBER)
            self.refuse(_mask(compute.invert(right)), f"{name}: must be a number", lambda row: column[row])
            return _float(compute.if_else(right, column, None))

    def positive(self, values: Floats, name: str, where: Mask | None = None) -> None:
        """Refuse what is not a positive number of a size that can be traded; `where` limits the rows looked at."""
        wrong = ~((values >= SMALLEST) & (values <= LARGEST))
        if where is not None:
            wrong &= where
        self.refuse(wrong, f"{name}: must be a positive number", lambda row: values[row])

    def times(self, column: Column, name: str) -> Ints:
        """Nanoseconds UTC, from epoch times in ms, µs or ns (told apart by their size) or from RFC 3339."""
        column = _filled(column)
        if kinds.is_timestamp(column.type):
            return self._known(column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()), name)
        if not kinds.is_string(column.type):
            return self._epoch(column, name)
        try:
            return self._epoch(column.cast(pa.int64()), name)
        except pa.ArrowInvalid:
            return self._texts_as_times(compute.utf8_trim_whitespace(column), name)

    def nanos(self, column: Column, name: str) -> Ints:
        """Nanoseconds UTC that are said to be just that."""
        column = _filled(column)
        if kinds.is_string(column.type):
            column = compute.utf8_trim_whitespace(column)
            right = compute.match_substring_regex(column, _INTEGER)
            self.refuse(_mask(compute.invert(right)), f"{name}: must be whole nanoseconds", lambda row: column[row])
            column = compute.if_else(right, column, None)
        return self._known(self._whole(column, name), name)

    def sides(self, column: Column) -> NDArray[np.int8]:
        """1 where a buyer took, -1 a seller, 0 unknown."""
        texts = compute.utf8_lower(compute.utf8_trim_whitespace(_text(column))).dictionary_encode()
        taken = np.array([_SIDES.get(word, 9) for word in texts.dictionary.to_pylist()] or [0], np.int8)
        sides = taken[texts.indices.to_numpy(zero_copy_only=False)]
        self.refuse(sides == 9, "side: must be buy, sell or unknown", lambda row: column[row])
        return sides

    def texts(self, column: Column, name: str, length_max: int) -> Column:
        """Text, empty where nothing stands."""
        texts = _text(column)
        self.refuse(_mask(compute.greater(compute.utf8_length(texts), length_max)), f"{name}: longer than {length_max}")
        return texts

    def codes(self, columns: tuple[Column, ...], code: Callable[..., int]) -> NDArray[np.int32]:
        """Rows numbered by `code` of their words; -1 is of another kind, and a ValueError makes them bad."""
        encoded = [_encoded(column) for column in columns]
        sizes = [len(each.dictionary) for each in encoded]
        places = [each.indices.to_numpy(zero_copy_only=False).astype(np.int64) for each in encoded]
        met = pa.array(np.ravel_multi_index(places, sizes)).dictionary_encode()
        inverse = met.indices.to_numpy(zero_copy_only=False)
        words = [each.dictionary.to_pylist() for each in encoded]
        codes = np.empty(len(met.dictionary), np.int32)
        for row, place in enumerate(zip(*np.unravel_index(met.dictionary.to_numpy(), sizes), strict=True)):
            try:
                codes[row] = code(*(some[at] for some, at in zip(words, place, strict=True)))
            except ValueError as error:
                codes[row] = 0
                self.refuse(inverse == row, str(error))
        codes = codes[inverse]
        self.leave_out(codes == -1)
        return codes

    def _texts_as_times(self, column: Column, name: str) -> Ints:
        whole = compute.match_substring_regex(column, _INTEGER)
        epoch = self._epoch_ns(compute.if_else(whole, column, None).cast(pa.int64()))
        zoned = compute.if_else(
            compute.match_substring_regex(column, _ZONED), column, compute.binary_join_element_wise(column, "Z", "")
        )
        dated = _dates(compute.if_else(whole, None, zoned))
        known = compute.coalesce(epoch, dated)
        wrong = _mask(compute.is_null(known))
        self.refuse(wrong, f"{name}: must be RFC 3339 or an epoch time in ms or ns", lambda row: column[row])
        return self._known(known, name)

    def _epoch(self, column: Column, name: str) -> Ints:
        return self._known(self._epoch_ns(self._whole(column, name)), name)

    def _epoch_ns(self, column: Column) -> Column:
        filled = compute.fill_null(column, 0).to_numpy(zero_copy_only=False)
        unit = np.select([filled < 10**13, filled < 10**16], [10**6, 10**3], 1)
        outside = (filled.astype(np.float64) * unit > NANOS_MAX) | (filled < 0)
        at_ns = np.where(outside, 0, filled) * np.where(outside, 0, unit)
        return pa.array(at_ns, mask=_mask(compute.is_null(column)))

    def _whole(self, column: Column, name: str) -> Column:
        try:
            return column.cast(pa.int64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values = _float(column)
            wrong = ~((np.abs(values) < NANOS_MAX) & (values == np.floor(values)))
            self.refuse(wrong, f"{name}: must be a whole number", lambda row: column[row])
            return pa.array(np.where(wrong, 0, values).astype(np.int64))

    def _known(self, column: Column, name: str) -> Ints:
        missing = _mask(compute.is_null(column))
        self.refuse(missing, f"{name}: is missing")
        values = compute.fill_null(column, 0).to_numpy(zero_copy_only=False)
        self.refuse(values <= 0, f"{name}: must be a time after 1970")
        return values


def _dates(column: Column) -> Column:
    try:
        return column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    except pa.ArrowInvalid:
        # At least one is no date; only such blocks are read one value at a time.
        return pa.array([_date(text) for text in column.to_pylist()], pa.int64())


def _date(text: str | None) -> int | None:
    try:
        return pa.scalar(text).cast(pa.timestamp("ns", "UTC")).value
    except pa.ArrowInvalid:
        return None


def _filled(column: Column) -> Column:
    """Plain values; empty text counts as nothing."""
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kinds.is_large_string(column.type):
        column = column.cast(pa.string())
    if kinds.is_string(column.type):
        empty = compute.equal(column, "")
        column = compute.if_else(empty, None, column) if compute.any(empty).as_py() else column
    return column


def _encoded(column: Column) -> Column:
    """Text as a dictionary, which it mostly is already."""
    is_one = kinds.is_dictionary(column.type) and kinds.is_string(column.type.value_type)
    if is_one and len(column.dictionary) and not column.null_count and not column.dictionary.null_count:
        return column
    return _text(column).dictionary_encode()


def _text(column: Column) -> Column:
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    return compute.fill_null(column.cast(pa.string()), "")


def _float(column: Column) -> Floats:
    values: Any = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.array(values, np.float64)


def _mask(column: Any) -> Mask:
    return compute.fill_null(column, False).to_numpy(zero_copy_only=False)
