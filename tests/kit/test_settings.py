"""Settings: where they come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.kit.settings import Settings, SettingsError, Suite, load, load_instruments, load_suite


class Knobs(Settings):
    """A service's knobs, for these tests."""

    speed: int = 1
    """How fast."""

    api_key: str = ""
    """Who we are."""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(config=tmp_path, secrets=tmp_path / "secrets")


def test_the_environment_goes_before_the_file(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    (suite.config / "fan.yaml").write_text("speed: 2\n")
    assert load(Knobs, "fan", suite).speed == 2

    monkeypatch.setenv("FAN_SPEED", "3")
    assert load(Knobs, "fan", suite).speed == 3


def test_a_secret_comes_from_its_file(suite: Suite) -> None:
    suite.secrets.mkdir()
    (suite.secrets / "fan_api_key").write_text("hush\n")

    assert load(Knobs, "fan", suite).api_key == "hush"


def test_an_unknown_key_is_an_error_that_names_it(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    (suite.config / "fan.yaml").write_text("sped: 2\n")
    with pytest.raises(SettingsError, match=r"unknown key 'sped'; known: api_key, speed"):
        load(Knobs, "fan", suite)

    (suite.config / "fan.yaml").write_text("")
    monkeypatch.setenv("FAN_SPED", "2")
    with pytest.raises(SettingsError, match="FAN_SPED is not a setting"):
        load(Knobs, "fan", suite)


def test_a_wrong_value_is_an_error_that_names_its_key(suite: Suite) -> None:
    (suite.config / "fan.yaml").write_text("speed: quick\n")

    with pytest.raises(SettingsError, match="fan: speed: .*integer"):
        load(Knobs, "fan", suite)


def test_origins_are_listed_with_commas_and_are_none_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_suite().origins == frozenset()
    monkeypatch.setenv("TRADE2026_ORIGINS", "")
    assert load_suite().origins == frozenset()

    monkeypatch.setenv("TRADE2026_ORIGINS", "https://Desk.example.org, http://10.0.0.5:3000")
    assert load_suite().origins == {"https://desk.example.org", "http://10.0.0.5:3000"}


@pytest.mark.parametrize(
    "wrong", ["*", "null", "desk.example.org", "https://*.example.org", "https://desk.example.org/"]
)
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("TRADE2026_ORIGINS", f"https://desk.example.org,{wrong}")
    with pytest.raises(SettingsError, match="TRADE2026_ORIGINS: .*such as https://desk.example.org"):
        load_suite()


def test_only_loopback_may_be_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADE2026_HOST", "0.0.0.0")

    with pytest.raises(SettingsError, match="loopback"):
        load_suite()


def test_in_a_container_a_service_listens_to_all_of_it_and_finds_the_others_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = load_suite()
    assert (alone.listens_on, alone.url("oms")) == ("127.0.0.1", "http://127.0.0.1:8099")

    monkeypatch.setenv("TRADE2026_CONTAINED", "true")
    contained = load_suite()
    assert (contained.listens_on, contained.url("oms")) == ("0.0.0.0", "http://oms:8099")
    assert contained.url("live-gateway") == "http://live-gateway:8200"


def test_an_unknown_suite_setting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADE2026_PORTOFFSET", "1")

    with pytest.raises(SettingsError, match="TRADE2026_PORTOFFSET is not a setting"):
        load_suite()


def test_the_offset_shifts_every_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADE2026_PORT_OFFSET", "1000")
    suite = load_suite()

    assert suite.port("oms") == 9099
    assert suite.nats == "nats://127.0.0.1:5222"
    assert suite.valkey == "redis://127.0.0.1:7379"


def test_a_bad_instrument_is_an_error_that_names_its_field(suite: Suite) -> None:
    (suite.config / "instruments.yaml").write_text("instruments: [{symbol: BTCUSDT, price_tick: 0}]\n")

    with pytest.raises(SettingsError, match="price_tick"):
        load_instruments(suite)


@pytest.mark.parametrize("name", ["TRADE2026_NATS_URL", "TRADE2026_VALKEY_URL"])
def test_an_address_with_a_password_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "nats://oms:hush@10.0.0.1:4222")

    with pytest.raises(SettingsError, match=f"{name}: must name no user and no password") as refused:
        load_suite()

    assert "hush" not in str(refused.value)


def test_a_password_is_found_beside_the_servers_that_ask_for_it(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "var" / "secrets", tmp_path / "secrets"
    for folder, word in ((ours, "embedded"), (theirs, "elsewhere")):
        folder.mkdir(parents=True)
        (folder / "live_gateway_password").write_text(f"{word}\n")
    suite = Suite(var=tmp_path / "var", secrets=theirs, nats_url="nats://10.0.0.1:4222")

    assert (suite.nats_password("live-gateway"), suite.valkey_password("live-gateway")) == ("elsewhere", "embedded")
    assert suite.nats_password("oms") == ""
