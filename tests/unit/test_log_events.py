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


def logged(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Every event and its level: `log.info("event")`, either branch of a conditional, and what a function is given to be logged."""
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for level, event in log_calls(function):
                yield from ((name, level) for name in texts(event))
                if isinstance(event, ast.Name):
                    yield from ((name, level) for name in given(module, function, event.id))


def log_calls(function: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS and node.args:
            owner = ast.unparse(node.func.value)
            if owner.endswith("log") or owner == "structlog.get_logger()":
                yield node.func.attr, node.args[0]


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


def test_the_page_names_every_event_with_its_level() -> None:
    told = set(re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
    modules = [path for path in (PROJECT / "syncd").rglob("*.py") if "devhub" not in path.parts]
    found = {event for path in modules for event in logged(ast.parse(path.read_text(encoding="utf-8")))}
    assert found - told == {("hub_connect_failed", "debug")}  # one line of the page tells both levels
    assert told - found == set()
