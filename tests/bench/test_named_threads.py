from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.bench.gauges import thread_seconds
from tests.bench.named_threads import name_threads
from tests.support.storefiles import opened

if TYPE_CHECKING:
    from pathlib import Path


async def test_the_thread_of_each_connection_has_a_name_of_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as files:
        before = thread_seconds(os.getpid())
        name_threads(files)
        named = [name for thread, (name, _) in thread_seconds(os.getpid()).items() if before[thread][0] != name]
    assert sorted(named) == ["journal", "journal_mainten", "maintenance", "outbox", "reader"]
