"""Rows of the outbox as a person reads them, or a program."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from syncd.console import people_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncd.store.admin import EffectiveRow


def show_rows(rows: Sequence[EffectiveRow], *, as_json: bool) -> None:
    """Print them."""
    if as_json:
        for row in rows:
            print(json.dumps(asdict(row), default=_text))  # noqa: T201 - it is what was asked for
        return
    table = Table("id", "status", "what", "entity", "priority", "created", "attempts", "next attempt", "last error")
    for row in rows:
        cells = (
            row.id, row.status, row.operation, f"{_text(row.entity_type)} {_text(row.entity_id)}", row.priority, row.created_at,
            row.attempts, row.next_attempt_at, row.last_error,
        )  # fmt: skip
        table.add_row(*(Text(_text(cell), overflow="fold") for cell in cells))
    people_console().print(table if rows else "No such rows.")


def _text(value: object) -> str:
    """A till may write a BLOB into any column, whatever its type says."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)
