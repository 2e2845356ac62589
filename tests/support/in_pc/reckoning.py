"""What the till has written against what the small HQ has taken: `reckoning.py DATABASE PORT`."""

from __future__ import annotations

import json
import sqlite3
import sys
import urllib.request
from typing import Any


def reckon(path: str, port: str) -> dict[str, int]:
    """The figures, by what they count."""

    def ask(what: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/control/{what}", timeout=30) as answer:
            return json.load(answer)

    written = [row[0] for row in sqlite3.connect(path).execute("SELECT correlation_id FROM sync_outbox")]
    taken, state = ask("arrivals?count=1000000"), ask("state")
    return {
        "written": len(written),
        "lost": len(set(written) - set(taken)),
        "doubled": len(taken) - len(set(taken)),
        "repeats": state["duplicates"],
        "out of order": state["orderViolationCount"],
    }


if __name__ == "__main__":
    json.dump(reckon(*sys.argv[1:]), sys.stdout)
    sys.stdout.write("\n")
