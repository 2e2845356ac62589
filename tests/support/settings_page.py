"""Writes the tables of docs/configuration.md from the settings' model: `python -m tests.support.settings_page`.

What a key does are the words of its comment in config/syncd.toml; type, bounds and default are the model's.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from syncd.config.settings import Settings
from syncd.config.sources import sections_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs/configuration.md"
PART = re.compile(r"(<!-- made by tests/support/settings_page\.py -->\n).*?(<!-- end -->\n)", re.DOTALL)
UNITS = ("seconds", "minutes", "hours", "days", "bytes")
COUNTED = {
    "batch_size": "rows", "batches_in_flight": "batches", "max_attempts": "attempts", "max_reconnect_attempts": "attempts",
    "pull_batch_size": "updates",
}  # fmt: skip
"""What the numbers count whose names do not say it."""
OF_OTHER_KEYS = {"outbox_path": "as `path`", "state_path": "`path` and `.syncd`"}


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page_text(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def page_text(text: str) -> str:
    """The page with its tables made anew."""
    return PART.sub(lambda part: f"{part[1]}\n{_tables()}\n{part[2]}", text)


def comments() -> dict[str, str]:
    """What config/syncd.toml says of each key: `{"hub.url": "HQ's SignalR hub."}`."""
    said: dict[str, str] = {}
    section, key = "", ""
    for line in (PROJECT / "config/syncd.toml").read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"\[(\w+)\]", line):
            section, key = found[1], ""
        elif found := re.fullmatch(r"(?:# )?([a-z_]+) = .*?  ?# (.*)", line):
            key = f"{section}.{found[1]}"
            said[key] = found[2]
        elif key and (found := re.fullmatch(r"# {30,}(\S.*)", line)):
            said[key] += f" {found[1]}"
        else:
            key = ""
    return said


def _tables() -> str:
    said = comments()
    lines: list[str] = []
    for section, model in sections_of(Settings).items():
        lines += [f"### {section}", "", "| key | value | default | what it does |", "|---|---|---|---|"]
        for name, field in model.model_fields.items():
            words = re.sub(r"(?<=[\s(])([a-z_]+\.[a-z_]+|[a-z]+_[a-z_]+)(?=[\s,.)]|$)", r"`\1`", said[f"{section}.{name}"])
            lines.append(f"| `{section}.{name}` | {_value(name, field)} | {_default(name, field)} | {words} |")
        lines.append("")
    return "\n".join(lines)


def _value(name: str, field: FieldInfo) -> str:
    kinds = {kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None)}
    if get_origin(field.annotation) is Literal:
        return " · ".join(f"`{word}`" for word in get_args(field.annotation))
    if get_origin(field.annotation) is tuple:
        return "list of texts"
    if kinds == {int, str}:
        return "whole number or text"
    if kinds & {int, float}:
        unit = next((unit for unit in UNITS if name.endswith(unit)), COUNTED.get(name, ""))
        return f"{unit}, {_bounds(field)}"
    return {frozenset({bool}): "`true` or `false`", frozenset({str}): "text", frozenset({Path}): "path"}[frozenset(kinds)]


def _bounds(field: FieldInfo) -> str:
    found: dict[str, Any] = {}
    for part in field.metadata:
        for limit in ("gt", "ge", "le"):
            if (value := getattr(part, limit, None)) is not None:
                found[limit] = value
    low = f"above {found['gt']:,}" if "gt" in found else f"{found['ge']:,}"
    return f"{low} to {found['le']:,}"


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "you set it"
    if field.default_factory is not None:
        return OF_OTHER_KEYS[name]
    if field.default is None or field.default == "":
        return "none"
    value = field.default
    return f"`{json.dumps(value) if isinstance(value, bool | tuple) else value}`"


if __name__ == "__main__":
    main()
