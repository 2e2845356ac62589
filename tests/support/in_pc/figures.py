"""What a test waits for in the status file, a word and a value a line: `figures.py [FILE]`. Nothing while nobody writes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def figures(file: Path) -> dict[str, object]:
    """Those of a daemon that runs."""
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    if document["state"] == "stopped":
        return {}
    return {
        "version": document["version"],
        "state": document["state"],
        "sent": document["outbox"]["sentTotal"],
        "pending": document["outbox"]["pending"]["total"],
    }


if __name__ == "__main__":
    for word, value in figures(Path((sys.argv[1:] or ["/run/syncd/status.json"])[0])).items():
        sys.stdout.write(f"{word} {value}\n")
