"""When something is tried again: every delay and time-out of the uplink, with its unit, and the law for a refused row (contract)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from syncd.config.settings import SyncSettings

# A row that HQ refused, or said nothing of: `sync.retry_base_seconds` and `sync.retry_max_seconds`, and on top
RETRY_JITTER = 0.1  # of the delay, at most

# The hub answers and decides nothing
SEND_BACKOFF_SECONDS = (5.0, 10.0, 20.0, 40.0, 60.0)

# HQ accepts nothing: a few rows are tried
PROBE_SECONDS = (5.0, 10.0)  # HQ well again is noticed that soon
NOTHING_ACCEPTED_SECONDS = 60.0  # before the status says so

# A message without an answer
SHORTEST_TIMEOUT_SECONDS = 5.0  # the longest is `hub.invocation_timeout_seconds`
TIMEOUT_FACTOR = 20.0  # times the slowest usual answer
USUAL_ANSWER_DECAY = 0.99  # an answer: a slow one is forgotten after some hundreds
OTHERS_FIRST_SECONDS = 1.0  # on the next connection, before any suspected row; doubled with every time-out for the row in it
OTHERS_FIRST_MAX_SECONDS = 480.0
TRIAL_SHARE = 0.1  # of the time, at most, may go into trying deferred rows
ALONE_POLL_SECONDS = 0.02  # how often a suspected row looks whether nothing else is in flight

# The hub's limit of a message
LIMIT_PROBE_SECONDS = 3600.0  # how often a known limit is felt for from below
FORGET_LIMIT_SECONDS = 86400.0  # HQ may have raised it meanwhile

_MAX_DOUBLINGS = 32


def doubled(seconds: float, times: int, longest: float) -> float:
    """The delay after so many doublings, capped."""
    return min(longest, seconds * 2.0 ** min(_MAX_DOUBLINGS, times))


def retry_delay(sync: SyncSettings, attempts: int, random: random.Random) -> float:
    """Seconds until a row goes again after its nth attempt: `base * 2^(n-1)`, capped, jittered (contract, sending law 6)."""
    return doubled(sync.retry_base_seconds, attempts - 1, sync.retry_max_seconds) * (1 + RETRY_JITTER * random.random())


def longest_retry_delay(sync: SyncSettings) -> float:
    """Seconds; no retry is later than that."""
    return max(sync.retry_max_seconds, sync.retry_base_seconds) * (1 + RETRY_JITTER)
