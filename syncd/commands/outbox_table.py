"""Rows of the outbox as a person reads them, or a program."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncd.store.admin import ManagedRow

WIDTH_WITHOUT_TERMINAL = 160


def show_rows(rows: Sequence[ManagedRow], *, as_json: bool) -> None:
    """Print them."""
    if as_json:
        for row in rows:
            print(json.dumps(asdict(row)))  # noqa: T201 - it is what was asked for
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_WITHOUT_TERMINAL)
    table = Table("id", "status", "what", "entity", "priority", "created", "attempts", "next attempt", "last error")
    for row in rows:
        table.add_row(
            str(row.id), row.status, row.operation, f"{row.entity_type} {row.entity_id}", str(row.priority), row.created_at,
            str(row.attempts),
            row.next_attempt_at or "", row.last_error or "",
        )  # fmt: skip
    console.print(table if rows else "No such rows.")
