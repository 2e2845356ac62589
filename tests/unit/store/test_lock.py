from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from syncd.errors import StorageError
from syncd.store.lock import StoreLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[StoreLock]:
    lock = StoreLock(tmp_path / "store.db")
    lock.acquire()
    yield lock
    lock.release()


def test_a_lock_file_that_is_still_there_is_the_same(lock: StoreLock) -> None:
    lock.require_same()


def test_a_lock_file_that_somebody_deleted_is_told(tmp_path: Path, lock: StoreLock) -> None:
    (tmp_path / "store.db.syncd.lock").unlink()
    with pytest.raises(StorageError, match=r"store\.db\.syncd\.lock has gone while it was in use"):
        lock.require_same()


def test_who_has_lost_the_lock_notices_it_and_leaves_the_other_ones_pid_alone(tmp_path: Path, lock: StoreLock) -> None:
    (tmp_path / "store.db.syncd.lock").unlink()
    other = StoreLock(tmp_path / "store.db")
    other.acquire()
    with pytest.raises(StorageError, match=r"store\.db\.syncd\.lock was replaced by another file"):
        lock.require_same()
    lock.release()
    assert (tmp_path / "store.db.syncd.pid").exists()
    other.require_same()
    other.release()
    assert not (tmp_path / "store.db.syncd.pid").exists()
