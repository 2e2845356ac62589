"""Waits until HQ has every row of the outbox, or until waiting is of no use."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncd.commands.confirm import rows_of
from syncd.status.reader import NOBODY_WRITES, read_health
from syncd.store.certificate import highest_id, rows_at_hq
from syncd.store.quarantine_admin import quarantined

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.config.settings import Settings
    from syncd.status.reader import DaemonHealth
    from syncd.store.admin import EffectiveRow, OutboxAdmin
    from syncd.store.certificate import RowsAtHQ
    from syncd.store.quarantine_admin import QuarantinedUpdate

LOOK_SECONDS = 0.5
QUIET_SECONDS = 2.0
"""So long the till must have written nothing: one that sells all the time makes every certificate untrue at once."""
ABSENT_SECONDS = 15.0
"""So long nobody may send, before we no longer wait for it: systemd starts a daemon again after 5 s."""
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Drained:
    """How it stood at the last look.

    Attributes:
        at_hq: what HQ has; None where it lacks a row.
        pending, failed: the first rows that HQ lacks.
        pending_total, failed_total: how many those are.
        quarantined: the first entries of the quarantine, and how many there are.
        sold: rows that the till wrote while we waited.
        selling: it still does.
        hints: what the status file says, in plain words.
    """

    at_hq: RowsAtHQ | None
    pending: list[EffectiveRow]
    pending_total: int
    failed: list[EffectiveRow]
    failed_total: int
    quarantined: list[QuarantinedUpdate]
    quarantined_total: int
    sold: int
    selling: bool
    hints: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """HQ has all, and nothing is added."""
        return self.at_hq is not None and not self.selling

    @property
    def certified(self) -> bool:
        """And nothing of HQ's was left unapplied here."""
        return self.complete and not self.quarantined_total


class DrainWait:
    """One wait.

    Args:
        tell: told in words what is waited for, whenever that changes.
        sleep, monotonic: a command has no event loop; a test has a clock of its own.
    """

    def __init__(
        self,
        admin: OutboxAdmin,
        settings: Settings,
        tell: Callable[[str], None],
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._monotonic = monotonic
        self._admin = admin
        self._settings = settings
        self._tell = tell
        self._said = ""
        self._highest = self._first = highest_id(admin)
        self._changed_at = self._monotonic()
        self._seen_at = self._monotonic()

    def run(self, timeout: float) -> Drained:
        """Return as soon as HQ has everything and the till is quiet, or a person is needed, or the time (seconds) is up."""
        until = self._monotonic() + max(timeout, QUIET_SECONDS + LOOK_SECONDS)  # or nobody knows whether the till still sells
        while True:
            lacking = self._admin.rows("pending", 1)
            failed = self._admin.rows("failed", 1)
            at_hq = None if lacking or failed or self._is_selling() else rows_at_hq(self._admin)
            done = at_hq is not None and not self._is_selling()
            if done or (failed and not lacking) or self._monotonic() >= until or not self._somebody_sends(needed=bool(lacking)):
                return self._drained(at_hq)
            self._sleep(LOOK_SECONDS)

    def _is_selling(self) -> bool:
        highest = highest_id(self._admin)
        if highest != self._highest:
            self._highest, self._changed_at = highest, self._monotonic()
        return self._monotonic() - self._changed_at < QUIET_SECONDS

    def _somebody_sends(self, *, needed: bool) -> bool:
        daemon = read_health(self._settings.status.path)
        if daemon.exit_code != NOBODY_WRITES or not needed:
            self._seen_at = self._monotonic()
        pending = (daemon.document or {}).get("outbox", {}).get("pending", {}).get("total", 0)
        waiting = f"{rows_of(pending)} to go" if pending else "rows wait for HQ"
        words = "; ".join([waiting if needed else "waiting until the till is quiet", *daemon.reasons])
        if words != self._said:
            self._said = words
            self._tell(words)
        return self._monotonic() - self._seen_at < ABSENT_SECONDS

    def _drained(self, at_hq: RowsAtHQ | None) -> Drained:
        busy = self._is_selling()
        sold = self._sold()
        selling = busy and sold > 0
        kept, entries = quarantined(self._settings.database, SHOWN)
        daemon = read_health(self._settings.status.path)
        return Drained(
            at_hq=rows_at_hq(self._admin) if at_hq is None and selling else at_hq,
            pending=self._admin.rows("pending", SHOWN), pending_total=len(self._admin.ids(["pending"])),
            failed=self._admin.rows("failed", SHOWN), failed_total=len(self._admin.ids(["failed"])),
            quarantined=entries, quarantined_total=kept,
            sold=sold, selling=selling,
            hints=(*_reasons(daemon), *_deferred(daemon.document)),
        )  # fmt: skip

    def _sold(self) -> int:
        """Rows written since the beginning, as their ids tell."""
        if self._highest is None:
            return 0
        after = -(2**63) if self._first is None else self._first
        sql = "SELECT count(*) FROM [sync_outbox] WHERE id > :after AND id <= :up_to"
        return int(self._admin.read(sql, {"after": after, "up_to": self._highest})[0][0])


def _reasons(daemon: DaemonHealth) -> list[str]:
    """The status file's, but for those that the certificate tells itself, row by row."""
    told = {"rows_failed", "rows_deferred", "updates_quarantined"}
    ours = {finding["reason"] for finding in (daemon.document or {}).get("findings", []) if finding["code"] in told}
    return [reason for reason in daemon.reasons if reason not in ours]


def _deferred(document: dict[str, Any] | None) -> list[str]:
    rows = (document or {}).get("outbox", {}).get("deferred", {}).get("rows", [])
    return [f"{row['entityType']} {row['entityId']} is deferred since {row['since']}: {row['reason']}" for row in rows]
