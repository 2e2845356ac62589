"""The status file's document (contract, section 4), made from the report."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncd import __version__
from syncd.clock import iso_ms
from syncd.document import document, text
from syncd.status.health import findings, worst

if TYPE_CHECKING:
    from datetime import datetime

    from syncd.config.settings import Settings
    from syncd.status.report import Report

SCHEMA = 1
"""Version of the file's form; a new number only where a reader of the old form would be misled."""
SHORTEST_LIFE = timedelta(seconds=30)
MISSED_HEARTBEATS = 3


def snapshot(report: Report, settings: Settings, now: datetime) -> dict[str, Any]:
    """The document: no payload, no secret, and every text of others cut."""
    life = max(SHORTEST_LIFE, MISSED_HEARTBEATS * timedelta(seconds=settings.heartbeat.interval_seconds))
    found = findings(report)
    sections = document(report)
    head = {
        "schema": SCHEMA,
        "version": __version__,
        "pid": os.getpid(),
        "storeId": sections.pop("storeId"),
        "startedAt": sections.pop("startedAt"),
        "writtenAt": iso_ms(now),
        "expiresAt": iso_ms(now + life),
        "state": sections.pop("state"),
        "health": worst(found),
        "reasons": [text(finding.reason) for finding in found],
        "findings": [document(finding) for finding in found],
    }
    sections["inbound"]["shed"] = report.connection.shed_total  # counted where they are left out, shown with what comes in
    return head | sections
