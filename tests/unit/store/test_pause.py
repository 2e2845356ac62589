from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncd.errors import PermissionDeniedError, StorageError
from syncd.store.pause import LONGEST, pause_file, read_pause, remove_pause, write_pause
from tests.support.clock import BEGINNING

if TYPE_CHECKING:
    from pathlib import Path

HOUR = timedelta(hours=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return pause_file(tmp_path / "store.db.syncd")


def test_what_was_written_is_read_and_goes_when_it_is_removed(file: Path) -> None:
    assert read_pause(file) is None
    pause = write_pause(file, BEGINNING, HOUR)
    assert (pause.since, pause.until) == (BEGINNING, BEGINNING + HOUR)
    assert read_pause(file) == pause
    assert write_pause(file, BEGINNING + HOUR, HOUR) == read_pause(file), "the last one counts"
    assert remove_pause(file)
    assert not remove_pause(file)
    assert read_pause(file) is None


def test_none_is_longer_than_the_longest_whoever_wrote_the_file(file: Path) -> None:
    assert write_pause(file, BEGINNING, 2 * LONGEST).length == LONGEST
    file.write_text(json.dumps({"since": "2026-11-23T10:00:00Z", "until": "9999-01-01T00:00:00Z", "by": "x"}))
    found = read_pause(file)
    assert found is not None
    assert found.length == LONGEST


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"since": 1, "until": 2, "by": 3}', '{"since": "x", "until": "y", "by": "z"}', "\0"])
def test_a_file_that_is_none_of_ours_is_an_error_that_says_how_it_goes(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(StorageError, match="`syncd resume` removes it"):
        read_pause(file)
    assert remove_pause(file)


def test_a_link_is_not_followed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionDeniedError, match="is a symbolic link"):
        read_pause(file)
    write_pause(file, BEGINNING, HOUR)
    assert (tmp_path / "elsewhere").read_text() == "{}"


def test_a_tills_user_is_refused_with_words(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65_533)
    with pytest.raises(PermissionDeniedError, match="may not pause this store"):
        write_pause(file, BEGINNING, HOUR)
    assert not file.exists()


def test_a_folder_that_is_not_there_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        write_pause(tmp_path / "nowhere" / "x.pause", BEGINNING, HOUR)
