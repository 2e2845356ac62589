"""How long the loops wait before they try again with a database that cannot be used; nothing is lost meanwhile."""

from __future__ import annotations

READ_RETRY_SECONDS = 1.0  # counting and loading the outbox, looking for commits
APPLY_RETRY_SECONDS = 1.0  # updates of HQ's, and their disk sync: none is acknowledged meanwhile
JOURNAL_RETRY_SECONDS = 1.0  # recording outcomes: no row counts as sent meanwhile
MARK_RETRY_SECONDS = 2.0  # the till's `status` column: nobody waits for it
PURGE_RETRY_SECONDS = 30.0  # old rows
TRUNCATE_RETRY_SECONDS = 10.0  # cutting the write-ahead log, where somebody is reading from it
