"""`syncd run` whose database threads have names, for the kernel and for Python: those of the fields of `StoreFiles`."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from syncd.store import opening
from syncd.store.database import Database
from syncd.store.opening import StoreFiles
from syncd.store.write_budget import PacedWriter

PYTHON_OPTIONS = ("-c", "from tests.bench.named_threads import run; run()")
"""For `Store.python_options`; what follows is `-m syncd` and its arguments."""
NAME_BYTES = 15


def name_threads(files: StoreFiles) -> None:
    """Give the thread of each connection its name; that of a connection with two is its first."""
    seen = set()
    for field in fields(files):
        value = getattr(files, field.name)
        for part in value if isinstance(value, list) else [value]:
            database = part.database if isinstance(part, PacedWriter) else part
            if isinstance(database, Database) and (thread := database._connection._thread) not in seen:
                seen.add(thread)
                thread.name = field.name
                Path(f"/proc/self/task/{thread.native_id}/comm").write_text(field.name[:NAME_BYTES], encoding="ascii")


def run() -> None:
    """Run syncd."""
    from syncd.__main__ import main  # noqa: PLC0415

    def named(*parts: Any) -> StoreFiles:
        files = StoreFiles(*parts)
        name_threads(files)
        return files

    opening.StoreFiles = named  # type: ignore[assignment, misc]
    sys.argv = ["syncd", *sys.argv[3:]]
    main()
