"""What an operator can set (contract, section 5): `Settings`, and how it is read.

A value comes from the environment (`SYNCD_HUB__URL`), else from the TOML file (`[hub] url`), else from the default
below. Where `hub.access_token_file` or `hub.proxy_file` is not set, a credential that the service manager provides
(`hub_access_token`, `hub_proxy`) takes its place: only the file's name becomes part of the settings, never what is in
it.

    settings = load_settings(Path("/etc/syncd/syncd.toml"))
    settings.hub.keep_alive_interval_seconds  # 15.0
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from syncd.config.entities import EntityDeclaration, check_names
from syncd.config.hub_url import check_url
from syncd.config.otlp import check_endpoint, require_exporter
from syncd.config.problems import describe, only_permissions
from syncd.config.sources import find_credentials, find_file, read_environment, read_toml
from syncd.config.values import absolute_path, at_least, database_file, metrics_file, plain_prefix, readable_file, store_id
from syncd.errors import ConfigurationError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY_SECONDS = 86_400

Seconds = Annotated[float, Field(gt=0, le=DAY_SECONDS, allow_inf_nan=False)]
FilePath = Annotated[Path, PlainValidator(absolute_path)]
DatabaseFile = Annotated[Path, PlainValidator(database_file)]
ReadableFile = Annotated[Path | None, PlainValidator(readable_file)]
MetricsFilePath = Annotated[Path | None, PlainValidator(metrics_file)]
OptionalText = Annotated[str | None, BeforeValidator(lambda value: None if value == "" else value)]
LowerCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)


class Section(BaseModel):
    """Part of the settings; strict, so that `true` is no number and `"15"` is no 15."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


class StoreSettings(Section):
    """Who we are to HQ."""

    id: Annotated[int | str, PlainValidator(store_id)]
    name: str = ""


class DatabaseSettings(Section):
    """Which files, and what the tables in them are called.

    Attributes:
        outbox_path: the POS's file, where that is another.
        state_path: syncd's own; no name in it has the prefix.
        table_prefix: of all tables, indexes, views and triggers of syncd's in the other two.
    """

    path: DatabaseFile
    outbox_path: DatabaseFile = Field(default_factory=lambda data: data["path"])
    state_path: DatabaseFile = Field(default_factory=lambda data: data["path"].with_name(data["path"].name + ".syncd"))

    table_prefix: Annotated[str, PlainValidator(plain_prefix)] = ""

    @field_validator("state_path")
    @classmethod
    def _is_its_own(cls, state_path: Path, info: ValidationInfo) -> Path:
        """Law 1 of the design: the drain never writes to the till's file."""
        for key in ("path", "outbox_path"):
            if state_path == info.data.get(key):
                raise ValueError(f"must be a file of its own, not that of database.{key}")
        return state_path


class HubSettings(Section):
    """Where HQ's hub is, how the connection to it is secured, and its time-outs, delays and limits.

    Attributes:
        allow_insecure: whether http:// may leave this machine.
        url: the hub's address; http(s) and ws(s) mean the same.
        access_token_file: holds the bearer token; read afresh for every attempt.
        ca_file: PEM file of the authorities to trust *instead of* the system's.
        client_certificate_file: PEM file of our own certificate, for mutual TLS.
        client_key_file: PEM file of its key.
        proxy_file: holds the proxy's URL, with user and password; instead of HTTPS_PROXY, and read afresh for every
            attempt.
        skip_negotiation: whether the WebSocket is opened without negotiating first: for farms of hubs without sticky
            sessions.
        connect_timeout_seconds: bound of each step: the token, negotiate, upgrade, SignalR handshake.
        keep_alive_interval_seconds: how often we ping the hub.
        server_timeout_seconds: the hub's silence after which the connection is given up.
        invocation_timeout_seconds: how long an answer to an invocation may take, unless the caller names another time.
        reconnect_delay_seconds: the first delay; it doubles with every failure.
        reconnect_max_delay_seconds: the longest delay, and that between attempts while `offline`.
        max_reconnect_attempts: failures in a row after which the state is `offline`; trying goes on.
        max_message_bytes: the hub's limit of one message, separator included (ASP.NET Core: 32768).
    """

    allow_insecure: bool = False
    url: str
    access_token_file: ReadableFile = None
    ca_file: ReadableFile = None
    client_certificate_file: ReadableFile = None
    client_key_file: ReadableFile = None
    proxy_file: ReadableFile = None
    skip_negotiation: bool = False
    connect_timeout_seconds: Seconds = 15
    keep_alive_interval_seconds: Seconds = 15
    server_timeout_seconds: Seconds = 30
    invocation_timeout_seconds: Seconds = 60
    reconnect_delay_seconds: Seconds = 5
    reconnect_max_delay_seconds: Seconds = 120
    max_reconnect_attempts: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    max_message_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 32_768

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: str, info: ValidationInfo) -> str:
        check_url(url, allow_insecure=info.data.get("allow_insecure", False))
        return url

    @field_validator("client_key_file")
    @classmethod
    def _certificate_and_key_together(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if "client_certificate_file" in info.data and (key is None) != (info.data["client_certificate_file"] is None):
            raise ValueError("hub.client_certificate_file and hub.client_key_file are set together or not at all")
        return key

    @field_validator("server_timeout_seconds")
    @classmethod
    def _outlasts_the_keep_alive(cls, value: float, info: ValidationInfo) -> float:
        """SignalR's own advice is twice the interval; what is not above it drops a healthy connection."""
        return at_least("hub.keep_alive_interval_seconds", value, info, or_equal=False)

    @field_validator("reconnect_max_delay_seconds")
    @classmethod
    def _reaches_the_first_delay(cls, value: float, info: ValidationInfo) -> float:
        return at_least("hub.reconnect_delay_seconds", value, info)


class SyncSettings(Section):
    """How rows are sent and updates fetched."""

    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 50
    batches_in_flight: Annotated[int, Field(ge=1, le=64)] = 32
    retry_base_seconds: Seconds = 30
    retry_max_seconds: Seconds = 480
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    max_wait_minutes: Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)] = 60
    hold_entity_on_failure: bool = False
    entity_types: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)] = ()
    pull_interval_seconds: Seconds = 300
    pull_batch_size: Annotated[int, Field(ge=1, le=100_000)] = 500
    full_pull_interval_hours: Annotated[float, Field(ge=0, le=8760, allow_inf_nan=False)] = 24
    cursor_overlap_seconds: Annotated[float, Field(ge=0, le=DAY_SECONDS, allow_inf_nan=False)] = 5
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 30

    @field_validator("retry_max_seconds")
    @classmethod
    def _reaches_the_base(cls, value: float, info: ValidationInfo) -> float:
        return at_least("sync.retry_base_seconds", value, info)


class HeartbeatSettings(Section):
    """How often a heartbeat is sent."""

    interval_seconds: Seconds = 30


class StatusSettings(Section):
    """Where the status file is."""

    path: FilePath = Path("/run/syncd/status.json")


class MetricsSettings(Section):
    """What is told to a monitoring system.

    Attributes:
        file: for the textfile collector of Prometheus' node_exporter.
        otlp_allow_insecure: whether http:// may leave this machine.
        otlp_endpoint: where metrics are pushed to; needs the extra `otlp`.
        otlp_ca_file: PEM file of the authorities to trust there *instead of* the system's.
        otlp_interval_seconds: how often.
    """

    file: MetricsFilePath = None
    otlp_allow_insecure: bool = False
    otlp_endpoint: OptionalText = None
    otlp_ca_file: ReadableFile = None
    otlp_interval_seconds: Seconds = 60

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_safe(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None:
            check_endpoint(url, allow_insecure=info.data.get("otlp_allow_insecure", False))
            require_exporter()
        return url


class LogSettings(Section):
    """What is logged, and how it looks."""

    level: Annotated[Literal["debug", "info", "warning", "error"], LowerCase] = "info"
    format: Annotated[Literal["auto", "json", "console"], LowerCase] = "auto"


class Settings(BaseSettings):
    """All settings, valid and unchangeable. What is passed in is the TOML file's document.

    The environment wins over it.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=True)

    store: StoreSettings
    database: DatabaseSettings
    hub: HubSettings
    sync: SyncSettings = SyncSettings()
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    status: StatusSettings = StatusSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    entities: Annotated[dict[str, EntityDeclaration], AfterValidator(check_names)] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of precedence: environment, document, and last a credential, which only fills a gap."""
        credentials: dict[str, Any] = {"hub": find_credentials(os.environ)}
        return (
            InitSettingsSource(settings_cls, init_kwargs=read_environment(settings_cls, os.environ)),
            init_settings,
            InitSettingsSource(settings_cls, init_kwargs=credentials),
        )


def load_settings(config_file: Path | None) -> Settings:
    """Read and check the whole configuration.

    Args:
        config_file: the file that somebody named, which must exist; without one `SYNCD_CONFIG` names it, else the
            default is read if it is there.

    Raises:
        ConfigurationError: lists every problem, each with its key, the value and what is allowed.
        PermissionDeniedError: nothing is wrong but that a file may not be read by this user.
    """
    file, named = find_file(config_file, os.environ)
    document: Mapping[str, Any] | None = read_toml(file, required=named)
    try:
        return Settings(**(document or {}))
    except ValidationError as error:
        problems = describe(error, Settings, os.environ)
        source = f"{file}" if document is not None else f"no {file}, only the environment"
        message = "\n  - ".join([f"the configuration cannot be used ({source}):", *problems])
        if only_permissions(error):
            raise PermissionDeniedError(message) from None
        raise ConfigurationError(message) from None
