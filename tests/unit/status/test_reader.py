from __future__ import annotations

import ast
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import syncd.status.reader
from syncd.status.reader import find_status_file, read_health
from syncd.status.report import Report
from syncd.status.snapshot import snapshot
from tests.support.clock import BEGINNING
from tests.support.settings import clean_environment, make_settings  # noqa: F401  (a fixture)

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """What a healthy daemon wrote at the beginning; good for 90 seconds."""
    report = Report(store_id=17, hub_url="https://hq.example.com/hubs/sync", started_at=BEGINNING)
    report.state = "online"
    return snapshot(report, make_settings(tmp_path), BEGINNING)


def health_of(folder: Path, document: object, after_seconds: float = 1) -> tuple[str, int]:
    file = folder / "status.json"
    file.write_text(json.dumps(document))
    daemon = read_health(file, BEGINNING + timedelta(seconds=after_seconds))
    assert daemon.health == "healthy" or daemon.reasons
    return daemon.health, daemon.exit_code


@pytest.mark.parametrize(("health", "code"), [("healthy", 0), ("warning", 0), ("degraded", 1), ("critical", 1)])
def test_a_fresh_file_is_believed(tmp_path: Path, document: dict[str, Any], health: str, code: int) -> None:
    assert health_of(tmp_path, document | {"health": health, "reasons": ["why"]}) == (health, code)


def test_an_expired_file_is_stale_whatever_it_says(tmp_path: Path, document: dict[str, Any]) -> None:
    assert health_of(tmp_path, document, 90) == ("healthy", 0)
    assert health_of(tmp_path, document, 90.001) == ("stale", 2)


def test_the_last_word_of_a_daemon_that_was_stopped_is_stale_at_once(tmp_path: Path, document: dict[str, Any]) -> None:
    assert health_of(tmp_path, document | {"state": "stopped"}) == ("stale", 2)


def test_a_file_from_the_future_is_stale(tmp_path: Path, document: dict[str, Any]) -> None:
    assert health_of(tmp_path, document, -4) == ("healthy", 0)
    assert health_of(tmp_path, document, -3600) == ("stale", 2)


def test_no_file_is_missing(tmp_path: Path) -> None:
    daemon = read_health(tmp_path / "gone.json")
    assert (daemon.health, daemon.exit_code) == ("missing", 2)
    assert "gone.json is not there" in daemon.reasons[0]
    assert read_health(tmp_path).health == "missing"


@pytest.mark.parametrize("content", [[], {}, {"writtenAt": "x", "expiresAt": 5}, None, "text"])
def test_a_file_of_another_form_is_missing(tmp_path: Path, content: object) -> None:
    assert health_of(tmp_path, content) == ("missing", 2)


def test_a_health_that_nobody_knows_is_not_taken_for_good(tmp_path: Path, document: dict[str, Any]) -> None:
    assert health_of(tmp_path, document | {"health": "splendid"}) == ("missing", 2)


def test_half_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_bytes(b'{"schema": 1, "sta\xff')
    assert read_health(tmp_path / "status.json").health == "missing"


def test_the_file_is_found_by_option_environment_configuration_and_default(tmp_path: Path) -> None:
    config = tmp_path / "syncd.toml"
    config.write_text('[status]\npath = "/from/toml"\n')
    environ = {"SYNCD_STATUS__PATH": "/from/environment", "SYNCD_CONFIG": str(config)}
    assert find_status_file(Path("/given"), config, environ) == Path("/given")
    assert find_status_file(None, config, environ) == Path("/from/environment")
    del environ["SYNCD_STATUS__PATH"]
    assert find_status_file(None, None, environ) == Path("/from/toml")
    assert find_status_file(None, config, {}) == Path("/from/toml")
    config.write_text("[store]\nid = 1\n")
    assert find_status_file(None, config, {}) == Path("/run/syncd/status.json")


def test_a_configuration_that_was_named_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_status_file(None, tmp_path / "gone.toml", {})


def test_only_the_standard_library_is_needed() -> None:
    tree = ast.parse(Path(syncd.status.reader.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
