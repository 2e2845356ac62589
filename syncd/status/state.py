"""What all parts of the report amount to in one word, and when a change of it is worth a line in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.status.health import assess

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from syncd.status.report import Report, State


class OverallState:
    """Keeps `report.state` in step with the report's parts, and logs its changes.

    Every sale turns `online` into `syncing` and back; that is a line only at debug, unless a backlog begins or ends with it.

    Args:
        batch_size: more rows than that are a backlog.
    """

    def __init__(self, report: Report, batch_size: int, log: FilteringBoundLogger) -> None:
        self._report = report
        self._batch_size = batch_size
        self._log = log
        self._state: State | None = None
        self._logged: State | None = None  # at info

    def update(self) -> None:
        """Look at the parts again; a state that is `stopping` or `stopped` stays."""
        report = self._report
        if report.state not in ("stopping", "stopped"):
            report.state = state_of(report)
        if report.state != self._logged and not self._is_a_sale():
            self._logged = report.state
            self._log.info("state", **self._facts())
        elif report.state != self._state:
            self._log.debug("state", **self._facts())
        self._state = report.state

    def _is_a_sale(self) -> bool:
        report = self._report
        return report.state == "syncing" and self._logged == "online" and report.outbox.pending_total <= self._batch_size

    def _facts(self) -> dict[str, object]:
        return {"state": self._report.state, "health": assess(self._report)[0], "pending": self._report.outbox.pending_total}


def state_of(report: Report) -> State:
    """What a daemon does whose connection, outbox and catch-up are like this."""
    match report.connection.state:
        case "connected":
            sends = bool(report.outbox.pending_total) and report.outbox.paused is None
            return "syncing" if sends or report.inbound.catching_up else "online"
        case "disconnected":
            return "starting"
        case "connecting" | "reconnecting" | "offline" as state:
            return state


def sentence(report: Report) -> str:
    """For `systemctl status`."""
    error = report.configuration_error
    refused = f"; the new configuration was refused, the old one is in use: {error}" if error else ""
    return f"{report.state}; {report.outbox.pending_total} rows wait for HQ, {report.outbox.failed} failed{refused}"
