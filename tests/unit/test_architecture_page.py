"""The page on the architecture names modules and functions that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")


def functions(module: Path) -> set[str]:
    """`Class.method` of every class."""
    classes = [node for node in ast.parse(module.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return {
        f"{owner.name}.{node.name}" for owner in classes for node in owner.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_module_it_names_is_there() -> None:
    named = set(re.findall(r"`((?:\w+/)*\w+\.py|(?:\w+/)+)`", PAGE))
    assert len(named) > 20
    assert [name for name in sorted(named) if not ((PROJECT / "syncd" / name).exists() or (PROJECT / name).exists())] == []


def test_every_hop_is_a_function_of_its_module() -> None:
    hops = re.findall(r"^\| \d+ \|.*\| `([\w/]+\.py)` \| `(\w+\.\w+)` \|$", PAGE, re.MULTILINE)
    assert len(hops) == len(re.findall(r"^\| \d+ \|", PAGE, re.MULTILINE)) > 20
    assert [hop for hop in hops if hop[1] not in functions(PROJECT / "syncd" / hop[0])] == []
