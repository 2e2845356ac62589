from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.image import Image, build_image

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The container image, built once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "syncd-tests"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="syncd-image-", ignore_cleanup_errors=True) as folder:
        yield from build_image(Path(folder), cache)
