from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.image import Image, build_image, cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The container image, built once."""
    with tempfile.TemporaryDirectory(prefix="syncd-image-", ignore_cleanup_errors=True) as folder:
        yield from build_image(Path(folder), cache_folder())
