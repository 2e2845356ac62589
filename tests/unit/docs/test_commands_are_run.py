"""Every block of shell commands in the documentation is run by a test, which reads it from the page: here is by which."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pages import commands_of

PROJECT = Path(__file__).parents[3]
HERE = "tests/process/test_documented_commands.py"
PACKAGE = "tests/support/deb_exam.py"  # in a booted Debian, by tests/packaging/test_deb.py
VENV = "tests/packaging/test_install.py"  # likewise
COMPOSE = "tests/packaging/test_compose.py"
RUN_BY = {
    "README.md": [HERE, "tests/packaging/test_deb_files.py"],
    "docs/devhub.md": [HERE, HERE],
    "docs/install.md": ["tests/support/debs.py", *[PACKAGE] * 2, VENV, *[PACKAGE] * 2],
    "docs/install-container.md": [COMPOSE],
    "docs/install-venv.md": [VENV],
    "docs/operations.md": ["tests/unit/status/test_metrics.py"],
    "docs/roll-back.md": [PACKAGE, VENV, COMPOSE],
    "docs/several-stores.md": [PACKAGE] * 3,
    "docs/till.md": ["tests/flow/examples/test_own_machine.py"],
    "docs/trouble.md": [HERE, HERE],
    "docs/uninstall.md": [PACKAGE, VENV, COMPOSE],
    "docs/upgrade.md": [HERE, PACKAGE, VENV, COMPOSE],
}
"""The files that run a page's blocks, in the order of the page."""
NOT_FROM_THE_PAGE = {"tests/support/debs.py": "scripts/deb"}
"""Where a file does by itself what the block says: what it calls."""


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{page.name}" for page in (PROJECT / "docs").glob("*.md"))])
def test_every_block_of_a_page_has_a_test_that_runs_it(page: str) -> None:
    runners = RUN_BY.get(page, [])
    assert len(commands_of(page)) == len(runners), f"{page}: say in RUN_BY which test runs each block of commands"
    for runner in runners:
        text = (PROJECT / runner).read_text(encoding="utf-8")
        assert NOT_FROM_THE_PAGE.get(runner, page) in text, f"{runner} does not read {page}"


def test_no_block_of_commands_hides_behind_another_name() -> None:
    """`sh` is the one word for commands; `console` and `text` would be what nobody runs."""
    for page in (PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        assert [name for name in ("```bash", "```shell", "```console", "```\n$ ") if name in text] == [], page.name
