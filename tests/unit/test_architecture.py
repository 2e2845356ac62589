"""Who may know whom: the database side never imports the hub, the hub side never the database."""

from __future__ import annotations

import ast
import subprocess
import sys
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

MAY_IMPORT: dict[str, set[str]] = {
    "wire": set(),
    "hub": {"wire"},
    "store": {"config", "wire"},
    "devhub": set(),
    "config": {"hub"},  # the form of hub.url
    "status": {"config", "hub", "store"},
    "uplink": {"hub", "store", "status", "wire", "config"},
    "downlink": {"hub", "store", "status", "wire", "config"},
    "commands": {"hub", "store", "status", "config", "devhub", "daemon"},
}
"""Every folder of the package, and the folders that it may know; the modules at the top wire them together."""
FOUNDATION = {"clock", "console", "document", "errors", "log", "own_files", "redaction", "__version__"}
"""Modules at the top that any folder may know."""


def test_every_folder_says_whom_it_knows() -> None:
    assert {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").exists()} == MAY_IMPORT.keys()


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_knows_its_neighbours_only(folder: str) -> None:
    for name, imported in MODULES.items():
        if part(name) == folder:
            assert {part(i) for i in imported} - {folder} <= MAY_IMPORT[folder] | FOUNDATION, name


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
