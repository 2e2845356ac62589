"""Who may know whom: the database side never imports the hub, the hub side never the database."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import syncd

PACKAGE = Path(syncd.__file__).parent
KNOW_BOTH = {"uplink", "downlink", "daemon", "watch", "check", "notices", "config", "demo"}
"""`notices` reads HQ's times with store/times.py; `config` checks the hub's url; `check` and `demo` are the whole of it on one screen."""


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


def test_the_hub_side_knows_nothing_of_the_database_and_the_loops() -> None:
    for name, imported in MODULES.items():
        if part(name) == "hub":
            assert not {part(i) for i in imported} & {"store", "uplink", "downlink", "daemon", "sendqueue", "watch"}, name


def test_the_database_side_knows_nothing_of_the_hub_and_the_loops() -> None:
    for name, imported in MODULES.items():
        if part(name) == "store":
            assert not {part(i) for i in imported} & {"hub", "uplink", "downlink", "daemon", "sendqueue", "watch", "status"}, name


def test_only_a_few_modules_know_both() -> None:
    both = {part(name) for name, imported in MODULES.items() if {"hub", "store"} <= {part(i) for i in imported}}
    assert both <= KNOW_BOTH


def test_the_development_hub_shares_no_code_with_what_it_is_to_test() -> None:
    for name, imported in MODULES.items():
        if part(name) == "devhub":
            assert not {part(i) for i in imported} & {"hub", "store", "uplink", "downlink", "sendqueue", "daemon"}, name


def test_judging_the_status_file_takes_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import syncd.status.verdict; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == ["syncd"]
