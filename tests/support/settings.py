"""An environment without settings, and valid settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from syncd.config import sources
from syncd.config.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of ours, no credentials, no configuration of this machine."""
    for name in os.environ:
        if name.startswith("SYNCD_") or name in {"CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM"}:
            monkeypatch.delenv(name)
    monkeypatch.setattr(sources, "CONTAINER_SECRETS", tmp_path / "no-secrets")
    monkeypatch.setattr(sources, "DEFAULT_CONFIG_FILE", tmp_path / "no-default.toml")


def make_settings(folder: Path, **sections: dict[str, Any]) -> Settings:
    """The least that is required, in the folder, and what the test adds."""
    document: dict[str, dict[str, Any]] = {
        "store": {"id": 17},
        "database": {"path": str(folder / "store.db")},
        "hub": {"url": "https://hq.example.com/hubs/sync"},
        "status": {"path": str(folder / "status.json")},
    }
    for section, keys in sections.items():
        document[section] = document.get(section, {}) | keys
    return Settings(**document)  # type: ignore[arg-type]
