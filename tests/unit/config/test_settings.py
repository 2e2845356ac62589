from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from syncd.config import otlp, sources
from syncd.config.settings import Settings, load_settings
from syncd.config.sources import known_keys
from syncd.config.values import MAX_PREFIX, RESERVED_PREFIXES
from syncd.errors import ConfigurationError, PermissionDeniedError
from tests.support.settings import clean_environment  # noqa: F401  (a fixture)

pytestmark = pytest.mark.usefixtures("clean_environment")

REQUIRED = """
[store]
id = 17
[database]
path = "{folder}/store.db"
[hub]
url = "https://hq.example.com/hubs/sync"
"""
EXAMPLE = Path(__file__).parents[3] / "config" / "syncd.toml"


def write(folder: Path, more: str = "", required: str = REQUIRED) -> Path:
    file = folder / "syncd.toml"
    file.write_text(required.replace("{folder}", str(folder)) + more, encoding="utf-8")
    return file


def refusal(folder: Path, more: str = "", required: str = REQUIRED) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write(folder, more, required))
    return str(caught.value)


def test_the_required_keys_are_enough_and_the_rest_has_the_contract_s_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path))
    assert settings.model_dump(mode="json") == {
        "store": {"id": 17, "name": ""},
        "database": {
            "path": f"{tmp_path}/store.db",
            "outbox_path": f"{tmp_path}/store.db",
            "state_path": f"{tmp_path}/store.db.syncd",
            "table_prefix": "",
        },
        "hub": {
            "url": "https://hq.example.com/hubs/sync",
            "access_token_file": None,
            "ca_file": None,
            "client_certificate_file": None,
            "client_key_file": None,
            "proxy_file": None,
            "skip_negotiation": False,
            "allow_insecure": False,
            "connect_timeout_seconds": 15,
            "keep_alive_interval_seconds": 15,
            "server_timeout_seconds": 30,
            "invocation_timeout_seconds": 60,
            "reconnect_delay_seconds": 5,
            "reconnect_max_delay_seconds": 120,
            "max_reconnect_attempts": 10,
            "max_message_bytes": 32_768,
        },
        "sync": {
            "batch_size": 50,
            "batches_in_flight": 32,
            "retry_base_seconds": 30,
            "retry_max_seconds": 480,
            "max_attempts": 5,
            "max_wait_minutes": 60,
            "hold_entity_on_failure": False,
            "entity_types": [],
            "pull_interval_seconds": 300,
            "pull_batch_size": 500,
            "full_pull_interval_hours": 24,
            "cursor_overlap_seconds": 5,
            "retention_days": 30,
        },
        "heartbeat": {"interval_seconds": 30},
        "status": {"path": "/run/syncd/status.json"},
        "metrics": {
            "file": None,
            "otlp_allow_insecure": False,
            "otlp_endpoint": None,
            "otlp_ca_file": None,
            "otlp_interval_seconds": 60,
        },
        "log": {"level": "info", "format": "auto"},
        "entities": {},
    }


def test_the_example_file_works_as_it_is_and_shows_every_key_with_its_default() -> None:
    settings = load_settings(EXAMPLE)
    uncommented = re.sub(r"^# (\w+ = )", r"\1", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    document = tomllib.loads(uncommented)
    shown = {f"{section}.{key}" for section, keys in document.items() for key in keys}
    assert shown == set(known_keys(Settings))
    assert Settings(**document) == settings


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path))
    with pytest.raises(ValidationError):
        settings.hub.url = "https://elsewhere.example.com"
    with pytest.raises(ValidationError):
        settings.hub = settings.hub


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_SYNC__BATCH_SIZE", "200")
    monkeypatch.setenv("SYNCD_SYNC__HOLD_ENTITY_ON_FAILURE", "true")
    monkeypatch.setenv("SYNCD_LOG__LEVEL", "DEBUG")
    monkeypatch.setenv("SYNCD_HEARTBEAT__INTERVAL_SECONDS", "0.5")
    settings = load_settings(write(tmp_path, "[sync]\nbatch_size = 10\nmax_attempts = 7\n"))
    assert settings.sync.batch_size == 200
    assert settings.sync.max_attempts == 7
    assert settings.sync.hold_entity_on_failure
    assert settings.log.level == "debug"
    assert settings.heartbeat.interval_seconds == 0.5


def test_without_the_default_file_the_environment_may_say_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_STORE__ID", "17")
    monkeypatch.setenv("SYNCD_DATABASE__PATH", f"{tmp_path}/store.db")
    monkeypatch.setenv("SYNCD_HUB__URL", "https://hq.example.com/hubs/sync")
    assert load_settings(None).store.id == 17


def test_without_the_default_file_and_with_half_an_environment_the_rest_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_STORE__ID", "17")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None)
    assert "database.path: required, and not set (environment SYNCD_DATABASE__PATH)" in str(caught.value)
    assert "hub.url: required" in str(caught.value)
    assert "store.id" not in str(caught.value)


def test_the_default_file_is_read_when_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "DEFAULT_CONFIG_FILE", write(tmp_path))
    assert load_settings(None).store.id == 17


def test_a_file_that_was_named_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"/gone\.toml does not exist"):
        load_settings(tmp_path / "gone.toml")
    monkeypatch.setenv("SYNCD_CONFIG", str(tmp_path / "gone-too.toml"))
    with pytest.raises(ConfigurationError, match=r"/gone-too\.toml does not exist"):
        load_settings(None)


def test_a_syntax_error_is_named_by_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "syncd.toml"
    file.write_text("[store]\nid = = 17\n")
    with pytest.raises(ConfigurationError, match=r"syncd\.toml is not valid TOML: .*line 2, column 6"):
        load_settings(file)


@pytest.mark.parametrize("content", [b"\xff\xfe[\x00", b'[store]\nid = "\xe9"\n'])
def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "syncd.toml").write_bytes(content)
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_settings(tmp_path / "syncd.toml")


def test_the_byte_order_mark_of_a_windows_editor_does_no_harm(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_settings(file).store.id == 17


def test_every_problem_is_in_the_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_HUB__KEEP_ALIVE_INTERVAL_SECONDS", "soon")
    message = refusal(
        tmp_path,
        f'reconnect_delay_seconds = 300\nbatch_size = 5\nclient_key_file = "{tmp_path}/gone.pem"\n'
        '[sync]\nbatch_size = 0\nretry_max_seconds = 10\nmax_attempts = true\n[log]\nlevel = "loud"\n',
        REQUIRED.replace("id = 17", "id = true").replace("https:", "http:"),
    )
    for line in (
        "store.id = true: must be a whole number or a text",
        "hub.url = 'http://hq.example.com/hubs/sync'",
        "hub.keep_alive_interval_seconds (environment SYNCD_HUB__KEEP_ALIVE_INTERVAL_SECONDS) = 'soon': must be a number",
        "hub.reconnect_max_delay_seconds = 120: must be at least hub.reconnect_delay_seconds (300)",
        "hub.batch_size: there is no such key; did you mean sync.batch_size?",
        f"hub.client_key_file = '{tmp_path}/gone.pem': the file does not exist",
        "sync.batch_size = 0: must be greater than or equal to 1",
        "sync.retry_max_seconds = 10: must be at least sync.retry_base_seconds (30)",
        "sync.max_attempts = true: must be a whole number",
        "log.level = 'loud': must be 'debug', 'info', 'warning' or 'error'",
    ):
        assert f"\n  - {line}" in message
    assert message.count("\n") == 10


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ('ulr = "x"', "hub.ulr: there is no such key; did you mean hub.url?"),
        ("keepalive_interval_seconds = 1", "did you mean hub.keep_alive_interval_seconds?"),
        ("[hbu]\nx = 1", "hbu: there is no such key; did you mean hub?"),
        ("[xyzzy]\nx = 1", "xyzzy: there is no such key"),
        ("keep_alive_interval_seconds = 30", "hub.server_timeout_seconds = 30: must be greater than hub.keep_alive_interval_seconds (30)"),
        ("server_timeout_seconds = -1", "hub.server_timeout_seconds = -1: must be greater than 0"),
        ("server_timeout_seconds = inf", "hub.server_timeout_seconds = inf: must be"),
        ("server_timeout_seconds = nan", "hub.server_timeout_seconds = nan: must be"),
        ('server_timeout_seconds = "30"', "hub.server_timeout_seconds = '30': must be a number"),
        ("max_message_bytes = 1e5", "hub.max_message_bytes = 100000.0: must be a whole number"),
        ("allow_insecure = 1", "hub.allow_insecure = 1: must be true or false"),
        ("[sync]\nentity_types = [1]", "sync.entity_types.0 = 1: must be a text"),
        ('[sync]\nentity_types = [""]', "sync.entity_types.0 = '': must not be empty"),
        ('[status]\npath = "status.json"', "status.path = 'status.json': must be an absolute path"),
        ("[database.x]\ny = 1", "database.x: there is no such key"),
    ],
)
def test_a_problem_names_the_key_the_value_and_what_is_allowed(tmp_path: Path, more: str, expected: str) -> None:
    assert expected in refusal(tmp_path, more + "\n")


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("SYNCD_HUB__ULR", "hub.ulr (environment SYNCD_HUB__ULR): there is no such key; did you mean hub.url?"),
        ("SYNCD_HUBB__URL", "SYNCD_HUBB__URL: there is no such key; did you mean SYNCD_HUB__URL?"),
        ("SYNCD_HUB_URL", "SYNCD_HUB_URL: there is no such key; did you mean SYNCD_HUB__URL?"),
        ("SYNCD_STORE", "SYNCD_STORE: there is no such key"),
        ("SYNCD_XYZZY", "SYNCD_XYZZY: there is no such key (variables of syncd are SYNCD_SECTION__KEY)"),
    ],
)
def test_a_variable_that_is_no_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, expected: str) -> None:
    monkeypatch.setenv(variable, "something")
    message = refusal(tmp_path)
    assert expected in message
    assert "something" not in message


def test_variables_of_other_uses_and_empty_ones_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_REFHUB", "/somewhere")
    monkeypatch.setenv("SYNCD_HUB__URL", "")
    monkeypatch.setenv("SYNCD_CONFIG", str(write(tmp_path)))
    assert load_settings(None).hub.url == "https://hq.example.com/hubs/sync"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", 7), ("007", 7), ('"007"', "007"), ("Nord-7", "Nord-7"), ("-7", "-7"), ('"', '"'), ("\u0667", "\u0667")],
)
def test_an_identifier_of_digits_alone_is_a_number_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: int | str
) -> None:
    monkeypatch.setenv("SYNCD_STORE__ID", text)
    identifier = load_settings(write(tmp_path)).store.id
    assert identifier == expected
    assert type(identifier) is type(expected)


@pytest.mark.parametrize(("text", "expected"), [("17", 17), ('"17"', "17"), ('"Nord 7"', "Nord 7")])
def test_an_identifier_in_the_file_stays_what_it_is(tmp_path: Path, text: str, expected: int | str) -> None:
    identifier = load_settings(write(tmp_path, required=REQUIRED.replace("17", text))).store.id
    assert identifier == expected
    assert type(identifier) is type(expected)


@pytest.mark.parametrize("text", ["true", '""', '"  "', "1.5", "[1]", '"a\\u0000b"', str(2**63)])
def test_what_is_no_identifier_is_refused(tmp_path: Path, text: str) -> None:
    assert "store.id = " in refusal(tmp_path, required=REQUIRED.replace("17", text))


@pytest.mark.parametrize("text", ["Product, Price", '["Product", "Price"]', "Product,Price,"])
def test_a_list_in_the_environment_is_json_or_has_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SYNCD_SYNC__ENTITY_TYPES", text)
    assert load_settings(write(tmp_path)).sync.entity_types == ("Product", "Price")


def test_a_broken_list_in_the_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_SYNC__ENTITY_TYPES", '["Product"')
    assert "sync.entity_types (environment SYNCD_SYNC__ENTITY_TYPES)" in refusal(tmp_path)


def test_certificate_and_key_come_together(tmp_path: Path) -> None:
    pem = tmp_path / "a.pem"
    pem.write_text("-")
    for key in ("client_certificate_file", "client_key_file"):
        assert "are set together or not at all" in refusal(tmp_path, f'{key} = "{pem}"\n')
    both = f'client_certificate_file = "{pem}"\nclient_key_file = "{pem}"\n'
    assert load_settings(write(tmp_path, both)).hub.client_key_file == pem


def test_a_token_file_that_is_not_there_is_named_with_its_key(tmp_path: Path) -> None:
    assert f"hub.access_token_file = '{tmp_path}/token': the file does not exist" in refusal(
        tmp_path, f'access_token_file = "{tmp_path}/token"\n'
    )


def test_a_token_put_where_its_file_belongs_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "s3cr3t" not in refusal(tmp_path, 'access_token_file = "s3cr3t"\n')
    assert "s3cr3t" not in refusal(tmp_path, 'access_token = "s3cr3t"\n')
    monkeypatch.setenv("SYNCD_HUB__ACCESS_TOKEN", "s3cr3t")
    assert "s3cr3t" not in refusal(tmp_path)


def test_secrets_in_the_url_are_refused_and_not_repeated(tmp_path: Path) -> None:
    for url in ("https://me:s3cr3t@hq.example.com/x", "https://hq.example.com/x?access_token=s3cr3t"):
        message = refusal(tmp_path, required=REQUIRED.replace("https://hq.example.com/hubs/sync", url))
        assert "hub.url = " in message
        assert "s3cr3t" not in message


def test_a_refused_permission_alone_is_one_and_among_other_problems_a_configuration_error(tmp_path: Path) -> None:
    def deny(*_: object) -> bool:
        return False

    token = tmp_path / "token"
    token.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "access", deny)  # root, as which tests may run, is refused nothing
        with pytest.raises(PermissionDeniedError, match=r"hub\.access_token_file = .*may not be read by this user"):
            load_settings(write(tmp_path, f'access_token_file = "{token}"\n'))
        assert "may not be read" in refusal(tmp_path, f'access_token_file = "{token}"\nbatch = 1\n')


@pytest.mark.parametrize("name", ["hub_access_token", "syncd_hub_access_token"])
def test_a_credential_of_the_service_manager_is_the_token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    credential = tmp_path / name
    credential.write_text("s3cr3t")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = load_settings(write(tmp_path))
    assert settings.hub.access_token_file == credential
    assert "s3cr3t" not in repr(settings)


def test_a_container_secret_is_the_token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CONTAINER_SECRETS", tmp_path)
    (tmp_path / "hub_access_token").touch()
    assert load_settings(write(tmp_path)).hub.access_token_file == tmp_path / "hub_access_token"


def test_a_token_file_that_somebody_set_goes_before_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hub_access_token").touch()
    (tmp_path / "mine").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load_settings(write(tmp_path, f'access_token_file = "{tmp_path}/mine"\n')).hub.access_token_file == tmp_path / "mine"


def test_the_files_of_the_database_follow_its_path_or_are_set(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path)).database.state_path == tmp_path / "store.db.syncd"
    file = write(tmp_path, required=REQUIRED.replace("[hub]", 'outbox_path = "/a/o.db"\nstate_path = "/a/s.db"\n[hub]'))
    assert load_settings(file).database.model_dump() == {
        "path": tmp_path / "store.db",
        "outbox_path": Path("/a/o.db"),
        "state_path": Path("/a/s.db"),
        "table_prefix": "",
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("store.db", "must be an absolute path"),
        (":memory:", "must be an absolute path"),
        ("{folder}", "is a folder; it must be a file"),
        ("{folder}/syncd.toml/store.db", "is not a folder"),
        ("{folder}/pipe", "is not a regular file"),
    ],
)
def test_a_database_that_cannot_be_one_is_refused(tmp_path: Path, path: str, expected: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    message = refusal(tmp_path, required=REQUIRED.replace("{folder}/store.db", path))
    assert "database.path = " in message
    assert expected in message
    assert message.count("\n") == 1  # what follows from it is not a problem of its own


@pytest.mark.parametrize("key", ["path", "outbox_path"])
def test_the_state_never_shares_the_till_s_file(tmp_path: Path, key: str) -> None:
    files: dict[str, Any] = {"path": f"{tmp_path}/store.db", "outbox_path": f"{tmp_path}/outbox.db"}
    extra = f'outbox_path = "{files["outbox_path"]}"\nstate_path = {json.dumps(files[key])}\n[hub]'
    assert "must be a file of its own" in refusal(tmp_path, required=REQUIRED.replace("[hub]", extra))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ('file = "/tmp/syncd.txt"', "metrics.file = '/tmp/syncd.txt': must end in .prom"),
        ('otlp_endpoint = "http://otel.example.com/v1/metrics"', "http:// would send it in clear text"),
        (
            'otlp_endpoint = "https://u:s3cr3t@otel.example.com/v1/metrics"',
            "metrics.otlp_endpoint = 'https://otel.example.com/v1/metrics': a user",
        ),
        ('otlp_endpoint = "otel.example.com:4318"', "it is no http(s) address with a host"),
        ('otlp_endpoint = "https://otel.example.com:99999/"', "it is not a URL"),
    ],
)
def test_where_metrics_go_is_checked_as_where_rows_go(tmp_path: Path, more: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(write(tmp_path, f"[metrics]\n{more}\n"))
    assert expected in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_metrics_may_go_in_clear_text_to_this_machine_or_where_somebody_says_so(tmp_path: Path) -> None:
    for more in ('otlp_endpoint = "http://[::1]:4318/v1/metrics"', 'otlp_allow_insecure = true\notlp_endpoint = "http://otel/v1/metrics"'):
        assert load_settings(write(tmp_path, f"[metrics]\n{more}\n")).metrics.otlp_endpoint
    assert load_settings(write(tmp_path, '[metrics]\nfile = ""\notlp_endpoint = ""\n')).metrics.otlp_endpoint is None


def test_a_push_without_the_packages_for_it_says_what_brings_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "PACKAGE", "opentelemetry.nowhere.http")
    with pytest.raises(ConfigurationError, match=r"pip install 'syncd\[otlp\]'"):
        load_settings(write(tmp_path, '[metrics]\notlp_endpoint = "https://otel.example.com/v1/metrics"\n'))


def test_the_prefix_of_tables_is_a_plain_beginning_of_names(tmp_path: Path) -> None:
    for prefix in ("", "syncd_", "a_", "hq2_tables_", "a" * 19 + "_"):
        file = write(tmp_path, required=REQUIRED.replace("[hub]", f'table_prefix = "{prefix}"\n[hub]'))
        assert load_settings(file).database.table_prefix == prefix


@pytest.mark.parametrize(
    "prefix",
    [
        "syncd", "_", "a__", "Syncd_", "2_", "_syncd_", "syncd-", "syncd_; DROP TABLE products;--", 'a"_', "a]_", "a'_", "a _", "ä_",
        "syncd_\n", "a" * 20 + "_", " ",
    ],
)  # fmt: skip
def test_a_prefix_that_is_no_such_beginning_is_refused_with_what_is_allowed(tmp_path: Path, prefix: str) -> None:
    refused = refusal(tmp_path, required=REQUIRED.replace("[hub]", f"table_prefix = {json.dumps(prefix)}\n[hub]"))
    assert f"database.table_prefix = {prefix!r}: must be lower-case letters, digits and underscores" in refused
    assert "beginning with a letter and ending with one underscore, at most 20 of them, as in syncd_; or empty" in refused


@pytest.mark.parametrize(("prefix", "why"), [("sqlite_", "SQLite's own"), ("sync_", "without a prefix"), ("sync_a_", "without a prefix")])
def test_a_prefix_that_others_names_begin_with_is_refused(tmp_path: Path, prefix: str, why: str) -> None:
    refused = refusal(tmp_path, required=REQUIRED.replace("[hub]", f'table_prefix = "{prefix}"\n[hub]'))
    assert f"database.table_prefix = '{prefix}': must not begin with" in refused
    assert why in refused


@pytest.mark.parametrize("value", ["7", "true", '["a_"]'])
def test_a_prefix_is_a_text(tmp_path: Path, value: str) -> None:
    assert "must be lower-case letters" in refusal(tmp_path, required=REQUIRED.replace("[hub]", f"table_prefix = {value}\n[hub]"))


def test_the_prefix_comes_from_the_environment_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_DATABASE__TABLE_PREFIX", "syncd_")
    assert load_settings(write(tmp_path)).database.table_prefix == "syncd_"
    monkeypatch.setenv("SYNCD_DATABASE__TABLE_PREFIX", "x;")
    assert "database.table_prefix (environment SYNCD_DATABASE__TABLE_PREFIX) = 'x;'" in refusal(tmp_path)


def test_the_page_on_the_prefix_says_how_long_it_may_be() -> None:
    page = (EXAMPLE.parents[1] / "docs" / "beside-a-pos.md").read_text(encoding="utf-8")
    assert f"A prefix has at most {MAX_PREFIX} lower-case letters, digits and underscores" in page
    assert all(f"`{reserved}`" in page for reserved in RESERVED_PREFIXES)
