"""The fixtures for pytest: `pytest_plugins = ["syncd.testing.plugin"]` in the top `conftest.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from syncd.testing import Hub, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def syncd_hub(tmp_path: Path) -> Iterator[Hub]:
    """A small HQ that this test has for itself."""
    with Hub(tmp_path) as hub:
        yield hub


@pytest.fixture
def syncd_settings() -> dict[str, object]:
    """Settings of the store beside the least that it needs; override it: `return {"store.id": 42}`."""
    return {}


@pytest.fixture
def syncd_store(tmp_path: Path, syncd_hub: Hub, syncd_settings: dict[str, object]) -> Iterator[Store]:
    """A store whose daemon is connected to `syncd_hub`; its `database` has the outbox and HQ's tables."""
    with Store(tmp_path, syncd_hub.url, settings=syncd_settings) as store:
        yield store
