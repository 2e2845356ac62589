"""A till as Microsoft.Data.Sqlite makes one: it meets a taken write lock by sleeping 150 ms and trying again.

Commits a sale and its outbox row at a steady rate for so long, or until SIGTERM, and prints how long each commit took:

    python tests/bench/till.py DATABASE COMMITS_A_SECOND SECONDS  ->  {"commits": …, "p50": …, "p95": …, "p99": …, "max": …}  (ms)
"""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
import time

BUSY_SLEEP_SECONDS = 0.15
BUSY = frozenset({"database is locked", "database table is locked"})


def commit(connection: sqlite3.Connection, number: int) -> int:
    """One sale; the number of times that the lock was taken."""
    waits = 0
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            break
        except sqlite3.OperationalError as error:
            if str(error) not in BUSY:
                raise
            waits += 1
            time.sleep(BUSY_SLEEP_SECONDS)
    connection.execute("INSERT INTO till_sales (total) VALUES ('12.50')")
    connection.execute(
        "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority) VALUES ('Sale', ?, 'Create', ?, 2)",
        (10_000_000 + number, json.dumps({"number": number, "total": "12.50", "lines": ["coffee", "bread", "milk"] * 5})),
    )
    connection.execute("COMMIT")
    return waits


def percentile(sorted_values: list[float], share: float) -> float:
    """The value below which that share lies."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def main(path: str, rate: float, seconds: float) -> None:
    """Sell."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS till_sales (id INTEGER PRIMARY KEY, total TEXT)")
    took, waits = [], 0
    told_to_stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told_to_stop.append(number))
    began = time.perf_counter()
    number = 0
    while not told_to_stop and (due := began + number / rate) < began + seconds:
        if (early := due - time.perf_counter()) > 0:
            time.sleep(early)
        start = time.perf_counter()
        waits += commit(connection, number)
        took.append((time.perf_counter() - start) * 1000)
        number += 1
    connection.close()
    took.sort()
    figures = {f"p{int(share * 100)}": round(percentile(took, share), 2) for share in (0.5, 0.95, 0.99)}
    print(json.dumps({"commits": len(took), **figures, "max": round(took[-1], 2), "waits": waits}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
