from __future__ import annotations

import os
import pty
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def yes() -> Iterator[int]:
    """A terminal at which somebody says yes to whatever is asked."""
    person, terminal = pty.openpty()
    os.write(person, b"y\n" * 20)
    yield terminal
    os.close(terminal)
    os.close(person)
