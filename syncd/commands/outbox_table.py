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

    from syncd.store.admin import EffectiveRow, WholeRow


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


def show_row(row: WholeRow, *, as_json: bool) -> None:
    """Print one whole: a line for each of its columns, and last its payload as it stands."""
    columns = asdict(row)
    if as_json:
        print(json.dumps(columns, default=_text))  # noqa: T201 - it is what was asked for
        return
    payload = _text(columns.pop("payload"))
    for name, value in columns.items():
        if value is not None:
            print(f"{name.replace('_', ' '):16}{printable(_text(value))}")  # noqa: T201
    print(f"payload         {printable(payload)}\n")  # noqa: T201


def printable(text: str) -> str:
    """What a till has written may hold anything; a terminal must not act on it."""
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def _text(value: object) -> str:
    """A till may write a BLOB into any column, whatever its type says."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)
