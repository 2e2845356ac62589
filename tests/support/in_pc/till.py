"""One statement of the till's: `till.py DATABASE SQL`."""

from __future__ import annotations

import sqlite3
import sys

if __name__ == "__main__":
    database = sqlite3.connect(sys.argv[1], timeout=10)
    database.execute(sys.argv[2])
    database.commit()
    database.close()
