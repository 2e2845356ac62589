"""`syncd run` whose database threads have names, for the kernel and for Python: those of the fields of `StoreFiles`."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from syncd.store import opening
from syncd.store.opening import StoreFiles
from syncd.store.write_budget import PacedWriter

PYTHON_OPTIONS = ("-c", "from tests.bench.named_threads import run; run()")
"""For `Store.python_options`; what follows is `-m syncd` and its arguments."""
NAME_BYTES = 15


def named(*connections: Any) -> StoreFiles:
    """The files, the thread of each connection named."""
    files = StoreFiles(*connections)
    seen = set()
    for field in fields(files):
        value = getattr(files, field.name)
        for part in value if isinstance(value, list) else [value]:
            thread = (part.database if isinstance(part, PacedWriter) else part)._connection._thread
            if thread not in seen:  # `store` may be the same as `outbox`
                seen.add(thread)
                thread.name = field.name
                Path(f"/proc/self/task/{thread.native_id}/comm").write_text(field.name[:NAME_BYTES], encoding="ascii")
    return files


def run() -> None:
    """Run syncd."""
    from syncd.__main__ import main  # noqa: PLC0415

    opening.StoreFiles = named  # type: ignore[assignment, misc]
    sys.argv = ["syncd", *sys.argv[3:]]
    main()
