"""Where settings come from, in which order: config/<service>.yaml, environment, secrets/. Unknown keys are errors."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.contract.currencies import Rates
from shared.contract.errors import Refused
from shared.contract.market import Instrument
from shared.contract.roster import BY_NAME, COPIES_MAX, NATS_MONITOR_PORT, NATS_PORT, VALKEY_PORT

HOME = Path(__file__).resolve().parents[2]
ORIGIN = r"https?://([\w.-]+|\[[\da-f:]+\])(:\d+)?"


class SettingsError(Exception):
    """The configuration is wrong; the text says which key of which source, and what would be right."""


class Suite(BaseSettings):
    """What every process of one suite shares; environment `TRADE2026_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="TRADE2026_", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    port_offset: int = Field(default=0, ge=0, le=50_000)
    """Added to every port, so that two suites can run side by side."""

    var: Path = Path("var")
    """Where all state lives: stores, logs, the tape."""

    config: Path = HOME / "config"
    """The folder of the YAML files, one per service."""

    secrets: Path = HOME / "secrets"
    """The folder of secret files, one per secret, named <service>_<field>."""

    host: str = "127.0.0.1"
    """Where services listen. Loopback only, until requests are authenticated."""

    contained: bool = False
    """Whether each service has a container to itself: it then listens to all of it, its networks being the fence, and
    reaches the others by their names on the roster."""

    nats_url: str = ""
    """NATS, without a user; empty means the embedded server on this machine."""

    valkey_url: str = ""
    """Valkey, without a user; empty means the embedded server on this machine."""

    questdb_http: str = ""
    """QuestDB's HTTP address (host:port) for writes; empty means that the tape is SQLite under `var`."""

    questdb_pg: str = "127.0.0.1:8812"
    """QuestDB's PostgreSQL address (host:port) for reads."""

    lake: str = ""
    """Where the lake is: a folder, or s3://bucket/prefix; empty means `lake` under `var`."""

    lake_endpoint: str = ""
    """The address of the lake's S3 (http://host:port); empty means Amazon's. Its key: the secret seaweedfs_s3."""

    lake_region: str = "us-east-1"
    """The region of the lake's S3; SeaweedFS takes any."""

    opensearch: str = Field(default="", pattern=r"^(https?://[^\s/@]+)?$")
    """OpenSearch's address (http://host:9200); empty means that the index of documents is SQLite under `var`."""

    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """Lowest level that is written."""

    origins: Annotated[frozenset[str], NoDecode] = frozenset()
    """Whose pages may read the sockets from a browser, besides those of this machine: origins such as
    https://desk.example.org, with commas between them. Empty means nobody's."""

    shard: int = Field(default=1, ge=1)
    """Which of several copies this one is. Only the services that share their work (oms, normalizer) take note."""

    shards: int = Field(default=1, ge=1, le=COPIES_MAX)
    """How many copies there are. Each is told the same number; an account or a symbol belongs to one of them."""

    git: str = "unknown"
    """The commit this code was built from, as shown by /version."""

    @field_validator("shards")
    @classmethod
    def _counted(cls, value: int, info: ValidationInfo) -> int:
        if (shard := info.data.get("shard", 1)) > value:
            raise ValueError(f"TRADE2026_SHARD says that this is copy {shard}; there must be at least as many")
        return value

    @field_validator("host")
    @classmethod
    def _loopback(cls, value: str) -> str:
        if not (value == "localhost" or ip_address(value).is_loopback):
            raise ValueError("only a loopback address may be listened on while requests are not authenticated")
        return value

    @field_validator("origins", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [one for one in re.split(r"[,\s]+", value.lower()) if one] if isinstance(value, str) else value

    @field_validator("origins")
    @classmethod
    def _origins(cls, value: frozenset[str]) -> frozenset[str]:
        for one in sorted(value):
            if not re.fullmatch(ORIGIN, one):
                raise ValueError(f"{one} is not an origin, such as https://desk.example.org or http://10.0.0.5:3000")
        return value

    def port(self, service: str) -> int:
        """The port of a service on the roster, shifted."""
        return BY_NAME[service].port + self.port_offset

    def url(self, service: str) -> str:
        """Where another service of this suite is reached."""
        return f"http://{service if self.contained else self.host}:{self.port(service)}"

    @property
    def listens_on(self) -> str:
        """The address at which a service listens."""
        return "0.0.0.0" if self.contained else self.host

    @cached_property
    def nats(self) -> str:
        return self.nats_url or f"nats://127.0.0.1:{NATS_PORT + self.port_offset}"

    @cached_property
    def nats_monitor_port(self) -> int:
        return NATS_MONITOR_PORT + self.port_offset

    @cached_property
    def valkey(self) -> str:
        return self.valkey_url or f"redis://127.0.0.1:{VALKEY_PORT + self.port_offset}"

    @property
    def users(self) -> Path:
        """The folder of what the embedded NATS and Valkey know their users by."""
        return self.var / "secrets"

    def nats_password(self, user: str) -> str:
        """A user's password at NATS; empty where none was made, for a server without users."""
        return _password(self.secrets if self.nats_url else self.users, user)

    def valkey_password(self, user: str) -> str:
        """A user's password at Valkey; empty where none was made, for a server without users."""
        return _password(self.secrets if self.valkey_url else self.users, user)


def password_file(user: str) -> str:
    """Under this name in the folder of secrets a service, or the operator, has its password for NATS and Valkey."""
    return f"{user.replace('-', '_')}_password"


def _password(folder: Path, user: str) -> str:
    path = folder / password_file(user)
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(f"{path} cannot be read by user {os.getuid()}: {error.strerror}") from None


class Settings(BaseSettings):
    """A service's knobs. Subclass in its `settings.py`; every field has a default and a sentence."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


S = TypeVar("S", bound=BaseSettings)


def load_suite() -> Suite:
    """The suite's settings; `SettingsError` names what is wrong."""
    known = {f"TRADE2026_{field.upper()}" for field in Suite.model_fields}
    allowed = known | {"TRADE2026_DATA", "TRADE2026_QUESTDB_JAR", "TRADE2026_OPENSEARCH_ZIP"}
    unknown = sorted(key for key in os.environ if key.startswith("TRADE2026_") and key not in allowed)
    if unknown:
        raise SettingsError(f"{unknown[0]} is not a setting; known: {', '.join(sorted(known))}")
    for name in ("TRADE2026_NATS_URL", "TRADE2026_VALKEY_URL"):
        if "@" in os.environ.get(name, ""):
            raise SettingsError(f"{name}: must name no user and no password; these are files: see `trade2026 secrets`")
    try:
        return Suite()
    except ValidationError as error:
        raise SettingsError(_first(error, "TRADE2026_")) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, {} when the file is absent; `SettingsError` when it cannot be read as one."""
    try:
        words = yaml.safe_load(path.read_text()) if path.exists() else {}
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not YAML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read by user {os.getuid()}: {error.strerror}") from None
    if words is None:
        return {}
    if not isinstance(words, dict):
        raise SettingsError(f"{path}: must be a mapping of keys to values")
    return {str(key): value for key, value in words.items()}


def load(kind: type[S], service: str, suite: Suite) -> S:
    """A service's settings from its YAML, then the environment, then its secrets."""
    path = suite.config / f"{service}.yaml"
    words = read_yaml(path)
    for key in words:
        if key not in kind.model_fields:
            raise SettingsError(f"{path}: unknown key {key!r}; known: {', '.join(sorted(kind.model_fields))}")
    prefix = service.replace("-", "_")
    words |= _environment(kind, prefix) | _secrets(kind, prefix, suite.secrets)
    try:
        return kind.model_validate(words)
    except ValidationError as error:
        raise SettingsError(f"{service}: {_first(error, '')}") from None


def _environment(kind: type[BaseSettings], prefix: str) -> dict[str, Any]:
    start = prefix.upper() + "_"
    found: dict[str, Any] = {}
    for key, value in os.environ.items():
        if not key.startswith(start):
            continue
        field = key[len(start) :].lower()
        if field not in kind.model_fields:
            known = ", ".join(start + name.upper() for name in sorted(kind.model_fields))
            raise SettingsError(f"{key} is not a setting; known: {known}")
        found[field] = yaml.safe_load(value) if value[:1] in "[{" else value
    return found


def _secrets(kind: type[BaseSettings], prefix: str, folder: Path) -> dict[str, Any]:
    paths = {field: folder / f"{prefix}_{field}" for field in kind.model_fields}
    try:
        return {field: path.read_text().strip() for field, path in paths.items() if path.is_file()}
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be read by user {os.getuid()}: {error.strerror}") from None


def _first(error: ValidationError, prefix: str) -> str:
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"{prefix}{where.upper() if prefix else where}: {fault['msg']} (given: {fault.get('input')!r})"


def load_instruments(suite: Suite) -> Mapping[str, Instrument]:
    """config/instruments.yaml by symbol; `SettingsError` when one is not an instrument."""
    path = suite.config / "instruments.yaml"
    try:
        listed = TypeAdapter(list[Instrument]).validate_python(read_yaml(path).get("instruments", []))
    except ValidationError as error:
        raise SettingsError(f"{path}: {_first(error, '')}") from None
    return {instrument.symbol: instrument for instrument in listed}


def load_rates(suite: Suite) -> Rates:
    """config/currencies.yaml; `SettingsError` when a rate in it is not one."""
    path = suite.config / "currencies.yaml"
    try:
        return Rates.model_validate(read_yaml(path))
    except ValidationError as error:
        raise SettingsError(f"{path}: {_first(error, '')}") from None


def known_instrument(instruments: Mapping[str, Instrument], symbol: str) -> Instrument:
    """The instrument behind a symbol; Refused when it is not listed."""
    if symbol not in instruments:
        known = ", ".join(sorted(instruments))
        raise Refused("UNKNOWN_SYMBOL", f"symbol {symbol} is not listed; known: {known}", field="symbol")
    return instruments[symbol]
