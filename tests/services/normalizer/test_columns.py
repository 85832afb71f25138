"""Single ticks as columns: what the quick way cannot take, the contract decides."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.normalizer.core.columns import columns_of, tick_of
from shared.contract.market import TickWords

WORDS = (
    b'{"venue": "sim", "symbol": "SPY", "event_ns": 1, "receive_ns": 1, "price": "1", "quantity": "1", "sequence": %d}'
)


def words(sequence: int) -> TickWords:
    return TickWords(venue="sim", symbol="SPY", payload=WORDS % sequence)


@pytest.mark.parametrize("sequence", [2**63 - 1, -(2**63)])
def test_a_number_that_fits_into_a_column_is_taken(sequence: int) -> None:
    [columns] = columns_of([tick_of(words(sequence))])
    assert list(columns.sequence) == [sequence]


@pytest.mark.parametrize("sequence", [2**63, 10**23])
def test_one_that_does_not_is_refused(sequence: int) -> None:
    with pytest.raises(ValidationError, match="sequence"):
        tick_of(words(sequence))
