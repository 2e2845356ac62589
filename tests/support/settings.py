"""An environment without settings, valid settings, and a clock that a test turns by hand."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncd.config import sources
from syncd.config.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

BEGINNING = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


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


class HandClock:
    """A clock that stands until `advance`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.seconds + seconds, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everybody who waits for it go on until they wait again."""
        self.seconds += seconds
        for until, future in self._sleepers:
            if until <= self.seconds and not future.done():
                future.set_result(None)
        self._sleepers = [(until, future) for until, future in self._sleepers if not future.done()]
        await settle()


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)
