"""The page on the log's events and the code agree."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "log.md").read_text(encoding="utf-8")
LEVELS = {"debug", "info", "warning", "error", "critical"}


def logged(module: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Every event, its level and a field: `log.info("event", field=…)`, either branch of a conditional, and what a function is given."""
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for level, call in log_calls(function):
                event = call.args[0]
                names = [*texts(event), *(given(module, function, event.id) if isinstance(event, ast.Name) else ())]
                fields = [keyword.arg or f"**{ast.unparse(keyword.value)}" for keyword in call.keywords]
                yield from ((name, level, field) for name in names for field in fields or [""])


def log_calls(function: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS and node.args:
            owner = ast.unparse(node.func.value)
            if owner.endswith("log") or owner == "structlog.get_logger()":
                yield node.func.attr, node


def texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)


def given(module: ast.Module, function: ast.FunctionDef | ast.AsyncFunctionDef, parameter: str) -> Iterator[str]:
    at = [argument.arg for argument in function.args.args if argument.arg != "self"].index(parameter)
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {function.name, f"self.{function.name}"}:
            yield from texts(node.args[at])


def found() -> dict[tuple[str, str], set[str]]:
    """The fields of every event and level that the code logs; `**…` stands for those that it passes on."""
    fields: dict[tuple[str, str], set[str]] = {}
    for path in (PROJECT / "syncd").rglob("*.py"):
        if "devhub" not in path.parts:
            for event, level, field in logged(ast.parse(path.read_text(encoding="utf-8"))):
                fields.setdefault((event, level), set()).update({"exception" if field == "exc_info" else field} - {""})
    return fields


def told() -> dict[tuple[str, str], set[str]]:
    """The same of the page."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .* \| ([^|]*) \|$", PAGE, re.MULTILINE)
    return {(event, level): set(re.findall(r"`(\w+)`", fields)) for event, level, fields in rows}


def test_the_page_names_every_event_with_its_level() -> None:
    assert found().keys() - told().keys() == {("hub_connect_failed", "debug")}  # one line of the page tells both levels
    assert told().keys() - found().keys() == set()


def test_the_page_names_every_field() -> None:
    page, code = told(), found()
    for event in page:
        plain = {field for field in code[event] if not field.startswith("**")}
        assert plain <= page[event], event
        assert plain == page[event] or plain != code[event], f"{event}: a field that is not logged"
