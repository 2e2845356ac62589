"""A till that sells until `/tmp/closing-time` is there, fifty times a second, and then tells how it was."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path

SALE = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES ('Live', ?, 'Create', '{}')"


def sell(path: str) -> str:
    """Sell, and say how often and how long the slowest sale took."""
    database = sqlite3.connect(path, timeout=10, isolation_level=None)
    sales, longest = 0, 0.0
    while not Path("/tmp/closing-time").exists():
        begun = time.monotonic()
        database.execute("BEGIN IMMEDIATE")
        database.execute(SALE, (str(sales),))
        database.execute("COMMIT")
        sales, longest = sales + 1, max(longest, time.monotonic() - begun)
        time.sleep(0.02)  # its customers
    return f"{sales} sales, the longest took {longest:.3f} s"


if __name__ == "__main__":
    sys.stdout.write(f"{sell(sys.argv[1])}\n")
