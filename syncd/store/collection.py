"""Python's search for garbage stops all threads, and also one that holds the till's lock: it has to wait for that one."""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_turn = threading.Lock()
_holders = 0
_was_enabled = True


@contextmanager
def no_collection() -> Iterator[None]:
    """Within this, on whatever thread, no search for garbage begins; one takes 100 ms where a flood of updates waits."""
    global _holders, _was_enabled  # noqa: PLW0603 - the collector is the process's, too
    with _turn:
        if not _holders:
            _was_enabled = gc.isenabled()
            gc.disable()
        _holders += 1
    try:
        yield
    finally:
        with _turn:
            _holders -= 1
            if not _holders and _was_enabled:
                gc.enable()
