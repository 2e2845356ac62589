"""What HQ tells us about itself: `SyncComplete`, `SyncProgress` and `Error` go into the status file and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncd.redaction import foreign
from syncd.status.report import HubError, SyncCompletion, SyncProgress
from syncd.store.times import parse_time
from syncd.wire.json import Number
from syncd.wire.messages import any_case

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.hub.supervisor import Hub
    from syncd.status.report import Report

MAX_TEXT_CHARACTERS = 500


class Notifications:
    """Handlers for the three methods."""

    def __init__(self, hub: Hub, report: Report, clock: Clock, log: FilteringBoundLogger) -> None:
        self._report = report
        self._clock = clock
        self._log = log
        hub.on("SyncComplete", self._sync_complete)
        hub.on("SyncProgress", self._sync_progress)
        hub.on("Error", self._error)

    async def _sync_complete(self, arguments: list[Any], wants_result: bool) -> object:  # noqa: ARG002 - it has none
        names = _first(arguments)
        completion = SyncCompletion(
            store_id=names.get("storeid") if isinstance(names.get("storeid"), int | str) else None,
            total_items=_count(names.get("totalitems")),
            completed_items=_count(names.get("completeditems")),
            failed_items=_count(names.get("faileditems")),
            completed_at=self._moment(names.get("completedat")),
        )
        self._report.last_sync_complete = completion
        self._report.touch()
        self._log.info("sync_complete", total_items=completion.total_items, failed_items=completion.failed_items)
        return None

    async def _sync_progress(self, arguments: list[Any], wants_result: bool) -> object:  # noqa: ARG002 - it has none
        names = _first(arguments)
        current_item = names.get("currentitem")
        progress = SyncProgress(
            at=self._clock.now(),
            total_items=_count(names.get("totalitems")),
            completed_items=_count(names.get("completeditems")),
            failed_items=_count(names.get("faileditems")),
            progress_percent=_percent(names.get("progresspercent")),
            current_item=current_item if isinstance(current_item, str) else None,
            is_complete=names.get("iscomplete") is True,
        )
        self._report.last_sync_progress = progress
        self._report.touch()
        self._log.info(
            "sync_progress", total_items=progress.total_items, completed_items=progress.completed_items, failed_items=progress.failed_items
        )
        return None

    async def _error(self, arguments: list[Any], wants_result: bool) -> object:  # noqa: ARG002 - it has none
        text = str(arguments[0])[:MAX_TEXT_CHARACTERS] if arguments else "no reason given"
        self._report.last_hub_error = HubError(self._clock.now(), text)
        self._report.touch()
        self._log.warning("hub_error", reason=foreign(text))
        return None

    def _moment(self, value: object) -> datetime:
        parsed = parse_time(value) if isinstance(value, str) else None
        return parsed[0] if parsed else self._clock.now()


def _first(arguments: list[Any]) -> dict[str, Any]:
    return any_case(arguments[0]) if arguments and isinstance(arguments[0], dict) else {}


def _count(value: object) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _percent(value: object) -> float | None:
    """None for what is no number from 0 to 100."""
    if not isinstance(value, int | Number) or isinstance(value, bool):
        return None
    try:
        percent = float(value)
    except OverflowError:
        return None
    return percent if 0 <= percent <= 100 else None
