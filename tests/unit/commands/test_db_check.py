"""What `syncd check --db` finds in real files, and on what they lie."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from syncd.commands import db_check
from syncd.commands.db_check import check_databases
from syncd.store.file_system import FileSystem, file_system_of
from syncd.store.quick_check import quick_check
from tests.support.settings import clean_environment  # noqa: F401  (a fixture)
from tests.support.storefiles import execute, opened, paths, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.commands.findings import Finding

pytestmark = pytest.mark.usefixtures("clean_environment")
MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:40 / /srv rw,relatime shared:2 - nfs4 server:/export rw
24 23 0:41 / /srv/local\\040disk rw,relatime - xfs /dev/sdb1 rw
25 22 0:42 / /run rw - tmpfs tmpfs rw
26 22 0:43 / /mnt rw - ext4 /dev/sdc1 rw
27 26 0:44 / /mnt rw - fuse.sshfs host: rw
odd
"""
LOCAL = FileSystem("ext4", read_only=False, free_bytes=2**40, total_bytes=2**41, free_files=10**6)


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(db_check, "file_system_of", lambda _: LOCAL)
    async with opened(tmp_path):
        write_rows(tmp_path / "store.db", *[("R", f"row {n}" * 50, 3) for n in range(500)])
    return tmp_path


def look(store: Path) -> list[Finding]:
    return list(check_databases(paths(store)))


def wrong(store: Path) -> list[tuple[int, str]]:
    return [(finding.code, finding.text) for finding in look(store) if finding.code or finding.warning]


def test_a_good_store_is_told_file_by_file_and_no_file_is_left_behind(store: Path) -> None:
    before = sorted(os.listdir(store))  # noqa: PTH208
    found = "\n".join(finding.text for finding in look(store))
    assert wrong(store) == []
    quick = "quick_check found nothing wrong"
    for words in ("SQLite: version", "free on ext4", f"store.db: {quick}", f"store.db.syncd: {quick}", "outbox, version"):
        assert words in found
    assert sorted(os.listdir(store)) == before  # noqa: PTH208


def test_a_store_that_is_not_there_yet_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_check, "file_system_of", lambda _: LOCAL)
    assert wrong(tmp_path) == []
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_damaged_file_is_74_and_the_others_are_looked_at_all_the_same(store: Path) -> None:
    path = store / "store.db"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20_000] = b"\xaa" * 20_000
    path.write_bytes(content)
    found = look(store)
    assert {finding.code for finding in found} == {0, 74}
    assert any("store.db is damaged" in finding.text for finding in found if finding.code)
    assert any("store.db.syncd: quick_check found nothing wrong" in finding.text for finding in found)


def test_a_newer_file_is_78(store: Path) -> None:
    execute(store / "store.db", "INSERT INTO sync_schema VALUES ('outbox', 99, 'future', '')")
    assert [code for code, _ in wrong(store)] == [78]


def test_a_file_that_a_till_of_another_user_cannot_write_is_a_warning_with_the_command(store: Path) -> None:
    (store / "store.db").chmod(0o644)
    ((code, words),) = wrong(store)
    assert code == 0
    assert "a till of another user cannot write store.db (chmod 660)" in words


def test_a_file_too_large_for_the_time_is_said_to_be(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.Timer", AtOnce)
    with closing(sqlite3.connect(store / "store.db")) as connection:
        connection.set_progress_handler(connection.interrupt, 1)
        assert quick_check(connection) is None
    monkeypatch.setattr(db_check, "quick_check", lambda _: None)
    assert wrong(store) == []
    assert sum("was not through after 20 s" in finding.text for finding in look(store)) == 2


class AtOnce:
    """A timer that does nothing: the connection is interrupted by its own progress, whatever the machine's speed."""

    def __init__(self, seconds: float, work: object) -> None: ...

    def start(self) -> None: ...

    cancel = join = start


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"kind": "nfs4"}, 74, "is on a network share (nfs4): SQLite's WAL does not work there"),
        ({"kind": "tmpfs"}, 0, "is in memory (tmpfs)"),
        ({"read_only": True}, 74, "mounted read-only"),
        ({"free_bytes": 10 * 2**20}, 74, "10 MiB of 2,097,152 MiB free on ext4: make room, sales are at risk"),
        ({"free_bytes": 100 * 2**20}, 0, "100 MiB of"),
        ({"free_files": 3}, 74, "room for 3 more files only"),
    ],
)
def test_what_the_files_lie_on_may_be_the_trouble(
    store: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], code: int, words: str
) -> None:
    monkeypatch.setattr(db_check, "file_system_of", lambda _: replace(LOCAL, **changes))  # type: ignore[arg-type]
    ((found, text),) = wrong(store)
    assert (found, words in text) == (code, True), text


@pytest.mark.parametrize(("version", "note"), [((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False)])
def test_an_older_sqlite_is_a_note_and_no_error(store: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], note: bool) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", version)
    first = look(store)[0]
    assert (first.code, first.warning) == (0, False)
    assert ("very rare bug" in first.text) == note


@pytest.mark.parametrize(
    ("folder", "kind"), [("", "ext4"), ("srv", "nfs4"), ("srv/local disk/x", "xfs"), ("srv/local", "nfs4"), ("mnt/x", "fuse.sshfs")]
)
def test_the_file_system_is_that_of_the_longest_mount_point(tmp_path: Path, folder: str, kind: str) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.replace(" / /", f" / {tmp_path}/"))
    found = file_system_of(tmp_path / folder, mounts)
    assert found.kind == kind
    assert found.is_network == (kind in {"nfs4", "fuse.sshfs"})
    assert found.free_bytes > 0


def test_the_file_system_of_this_machine_can_be_told(tmp_path: Path) -> None:
    assert file_system_of(tmp_path).kind
