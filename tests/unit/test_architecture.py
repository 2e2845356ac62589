"""Who may know whom: the database side never imports the hub, the hub side never the database."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import syncd

PACKAGE = Path(syncd.__file__).parent


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


def imports(file: Path) -> set[str]:
    """What it imports of this package, at run time, for types, or inside a function: `syncd.hub.url` is `hub.url`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.ImportFrom):
            raise AssertionError(f"{file}: a relative import")
    return {name.removeprefix("syncd.") for name in found if name.startswith("syncd.")}


def part(name: str) -> str:
    return name.partition(".")[0]


MODULES = {module_name(file): imports(file) for file in PACKAGE.rglob("*.py")}

FOUNDATION = {"__init__", "__version__", "clock", "console", "document", "errors", "own_files", "protect_home", "redaction", "users"}
"""Modules at the top that anybody may know, and that know only each other."""
MAY_IMPORT: dict[str, set[str]] = {
    "wire": set(),
    "hub": {"config", "wire"},
    "config": set(),
    "log": {"config"},
    "store": {"config", "wire"},
    "status": {"config", "hub", "store"},
    "uplink": {"hub", "store", "status", "wire", "config"},
    "downlink": {"hub", "store", "status", "wire", "config"},
    "heartbeat": {"hub", "status"},
    "systemd": set(),
    "signals": set(),
    "watchdog": {"store", "status", "systemd"},
    "wiring": {"uplink", "downlink", "hub", "store", "status", "config", "heartbeat", "watchdog", "systemd"},
    "daemon": {"wiring", "signals", "uplink", "store", "status", "config", "log", "systemd"},
    "devhub": set(),
    "testing": {"devhub"},
    "commands": {"hub", "store", "status", "config", "log", "devhub", "daemon"},
    "cli": set(),  # commands are loaded by their names
    "__main__": {"cli", "status", "systemd"},
}
"""Every folder and every other module at the top, and which of them it may know besides the foundation."""


def test_every_folder_and_every_module_at_the_top_says_whom_it_knows() -> None:
    assert {part(name) for name in MODULES} == MAY_IMPORT.keys() | FOUNDATION - {"__version__"}


@pytest.mark.parametrize("place", [*MAY_IMPORT, "the foundation"])
def test_a_folder_knows_its_neighbours_only(place: str) -> None:
    inside = {place} if place in MAY_IMPORT else FOUNDATION
    for name, imported in MODULES.items():
        if part(name) in inside:
            assert {part(i) for i in imported} - {place} <= MAY_IMPORT.get(place, set()) | FOUNDATION, name


def test_no_module_knows_itself_by_way_of_others() -> None:
    known = {name: {i if i in MODULES else i.rpartition(".")[0] for i in imported} & MODULES.keys() for name, imported in MODULES.items()}
    TopologicalSorter(known).prepare()


def test_judging_the_status_file_takes_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import syncd.status.reader; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == ["syncd"]


def test_gather_leaves_no_sibling_running_after_an_error() -> None:
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "gather":
                assert {keyword.arg for keyword in node.keywords} == {"return_exceptions"}, f"{file.name}:{node.lineno}"
