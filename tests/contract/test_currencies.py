"""Conversion rates: stated, or refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from shared.contract.currencies import Rates
from shared.contract.errors import Refused
from shared.kit.fakes import fake_kit
from shared.kit.settings import SettingsError, Suite, load_rates

RATES = Rates.model_validate({"rates": {"EUR": {"USD": "1.0837"}}})


def test_a_currency_is_worth_itself() -> None:
    assert Rates().rate("USD", "USD") == 1


def test_a_stated_rate_leads_one_way() -> None:
    assert RATES.rate("EUR", "USD") == Decimal("1.0837")
    with pytest.raises(Refused, match="no rate from USD to EUR is stated"):
        RATES.rate("USD", "EUR")


def test_what_is_not_stated_is_refused_and_never_taken_for_one() -> None:
    with pytest.raises(Refused) as refused:
        RATES.rate("USDT", "USD")

    assert refused.value.code == "NO_CONVERSION_RATE"
    assert "add USDT: {USD: …} to config/currencies.yaml" in refused.value.detail


@pytest.mark.parametrize("rate", ["0", "-1", "much", "NaN"])
def test_a_rate_that_is_none_is_a_setting_that_is_wrong(tmp_path: Path, rate: str) -> None:
    (tmp_path / "currencies.yaml").write_text(f"rates: {{USDT: {{USD: {rate!r}}}}}\n")

    with pytest.raises(SettingsError, match=r"currencies\.yaml: rates\.USDT\.USD: "):
        load_rates(Suite(config=tmp_path))


def test_the_shipped_accounts_can_hold_the_shipped_instruments() -> None:
    kit = fake_kit()
    for account in kit.config("accounts").values():
        for instrument in kit.instruments.values():
            assert kit.rates.rate(instrument.currency, account["currency"]) == 1
