"""How long to wait before the next attempt: a pure policy, its chance injected.

* A failure or a lost connection: 5, 10, 20 ... 120 s, each d becoming a random 0.2 d to d, the first one too: a hub
  that restarts must not meet a stampede.
* 401 or 403: once after 1 to 3 s (the token may just have been renewed), then the longest delay.
* A close with allowReconnect=false: the longest delay. The hub does not want us now, but a store must come back by
  itself. ASP.NET Core's Context.Abort() looks the same without an error, so where the connection had got work done it
  counts as a mere loss.
* A connection that got work done leaves the delay where it was: it is not stable yet, but it is no failure either.
* A close without an error: at least 1 s. A hub that shuts down must not have the stores back at once that it has just
  disconnected (dotnet/aspnetcore#58947).
* Retry-After: at least that, and some chance on top.
* A quick one, where somebody has asked for it: 0.5 to 1.5 s, at most `MAX_QUICK_RETRIES` times in a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.errors import AuthenticationRejected, ClosedByHub, ConnectionFailed, HubError

if TYPE_CHECKING:
    import random

STABLE_SECONDS = 60.0
"""A connection that lived this long resets the delay; a shorter one counts as one more failure."""
LEAST_SHARE = 0.2
"""A delay d becomes a random one between this share of d and d."""
LEAST_AFTER_CLOSE_SECONDS = 1.0
"""The least delay after a close without an error."""
MAX_RETRY_AFTER_SECONDS = 3600.0
"""A hub (or a portal in between) may not send a store away for longer."""
MAX_QUICK_RETRIES = 20
"""Quick reconnects in a row without a stable connection."""


class Backoff:
    """The state of the policy: how often it went wrong since the last stable connection."""

    def __init__(self, *, first_seconds: float, longest_seconds: float, random: random.Random) -> None:
        self._first = first_seconds
        self._longest = max(first_seconds, longest_seconds)
        self._random = random
        self._failures = 0
        self._rejections = 0
        self._quick_retries = 0

    def accepted(self) -> None:
        """A connection came to be: our credentials are good."""
        self._rejections = 0

    def lived(self, seconds: float) -> None:
        """A connection ended after so many seconds."""
        if seconds >= STABLE_SECONDS:
            self._failures = self._quick_retries = 0

    def quick_seconds(self) -> float | None:
        """A quick delay, or None when there have been too many of them."""
        if self._quick_retries >= MAX_QUICK_RETRIES:
            return None
        self._quick_retries += 1
        return self._random.uniform(0.5, 1.5)

    def next_seconds(self, reason: HubError, *, is_slow: bool = False, was_useful: bool = False) -> float:
        """The delay before the next attempt, after one that ended for this reason.

        Args:
            is_slow: the longest one.
            was_useful: the connection had got work done.
        """
        match reason:
            case AuthenticationRejected():
                self._rejections += 1
                delay = self._random.uniform(1.0, 3.0) if self._rejections == 1 else self._jittered(self._longest)
            case _ if is_slow:
                delay = self._jittered(self._longest)
            case ClosedByHub(allow_reconnect=False) if reason.error is not None or not was_useful:
                delay = self._jittered(self._longest)
            case ClosedByHub(error=None):
                delay = self._jittered(max(self._doubled(was_useful), LEAST_AFTER_CLOSE_SECONDS / LEAST_SHARE))
            case _:
                delay = self._jittered(self._doubled(was_useful))
        if isinstance(reason, ConnectionFailed) and reason.retry_after_seconds is not None:
            asked = min(reason.retry_after_seconds, MAX_RETRY_AFTER_SECONDS)
            delay = max(delay, asked + self._random.uniform(0.0, self._first))
        return delay

    def _doubled(self, was_useful: bool) -> float:
        doublings = min(self._failures, 32)
        self._failures += not was_useful
        return float(min(self._first * 2**doublings, self._longest))

    def _jittered(self, delay: float) -> float:
        return self._random.uniform(LEAST_SHARE * delay, delay)
