"""Names the databases whose tables are newer than some versions: `tables.py /etc/syncd journal 3 outbox 2 store 3`.

preinst has it within, for a downgrade, and the syncd that is still installed runs it.
"""

from __future__ import annotations

import sqlite3
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator


def newer_tables(folder: Path, known: dict[str, int]) -> Iterator[str]:
    """A line for each database and component of the stores that are configured in this folder."""
    for file in sorted(folder.glob("*.toml")):
        try:
            settings = tomllib.loads(file.read_text(encoding="utf-8-sig")).get("database", {})
        except ValueError:
            continue  # no daemon runs with it either
        store = settings.get("path", "/var/lib/syncd/store.db")
        record = f"{settings.get('table_prefix') or 'sync_'}schema"
        own = settings.get("state_path") or f"{store}.syncd"
        records = {store: record, settings.get("outbox_path") or store: record, own: "sync_schema"}
        for path in filter(lambda path: Path(path).is_file(), records):
            for component, version in versions(path, records[path]):
                if version > known.get(component, 0):
                    yield f"{path}: its {component} tables have version {version}, it knows them up to {known.get(component, 0)}"


def versions(path: str, record: str) -> list[tuple[str, int]]:
    """The components in this file, each with its version, as the table of this name has them."""
    with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=10)) as database:
        if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (record,)).fetchone():
            return []
        quoted = record.replace('"', '""')  # nobody has checked it here
        return database.execute(f'SELECT component, max(version) FROM "{quoted}" GROUP BY component').fetchall()  # noqa: S608


if __name__ == "__main__":
    for line in newer_tables(Path(sys.argv[1]), dict(zip(sys.argv[2::2], map(int, sys.argv[3::2]), strict=True))):
        print(line)
