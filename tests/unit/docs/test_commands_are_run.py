"""Every shell command in the documentation is run by a test: here is by which.

Blocks are read from the page. Those of syncd's own within a sentence are read from it too (`test_inline_commands.py`).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.pages import commands_of, lines_of

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
    "docs/roll-back.md": [PACKAGE, VENV, COMPOSE, PACKAGE],
    "docs/several-stores.md": [PACKAGE] * 3,
    "docs/till.md": ["tests/flow/examples/test_own_machine.py"],
    "docs/trouble.md": [HERE, HERE],
    "docs/uninstall.md": [PACKAGE, VENV, COMPOSE],
    "docs/upgrade.md": [HERE, PACKAGE, VENV, COMPOSE],
}
"""The files that run a page's blocks, in the order of the page."""
NOT_FROM_THE_PAGE = {
    "tests/support/debs.py": "scripts/deb",
    "tests/unit/status/test_alerts_and_board.py": 'promtool("test", "rules", RULES_TEST',
}
"""Where a file does by itself what the block says: what it calls."""
PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (PROJECT / "docs").glob("*.md"))]
OF_THE_SYSTEM = re.compile(r"(sudo (?!syncd|-u)|apt|docker|git|journalctl|ls|pip|promtool|python|systemctl|\./scripts/|\.venv/)\S* \S")
INLINE_RUN_BY = {
    "apt remove": PACKAGE,
    "journalctl -u syncd -f": PACKAGE,
    "journalctl -u syncd -n 50": PACKAGE,
    "journalctl -u syncd -p warning": VENV,
    "ls -d /opt/syncd-*": VENV,
    "promtool test rules alerts_test.yml": "tests/unit/status/test_alerts_and_board.py",
    "sudo install -m 400 -o syncd TOKEN /etc/syncd/hub_access_token": VENV,
    "sudo rm -r /opt/syncd-OLD": VENV,
    "sudo systemctl restart 'syncd@*'": PACKAGE,
    "sudo userdel syncd": PACKAGE,
    "systemctl reload syncd": VENV,
    "systemctl restart syncd": VENV,
    "systemctl status syncd": VENV,
}
"""The files that run a line within a sentence."""
INLINE_NOT_RUN = {
    "./scripts/commands-page > docs/commands.md": "tests compare what it makes",
    "./scripts/test tests/unit -k outbox": "it is what runs this",
    ".venv/bin/mkdocs serve": "it serves until it is stopped; tests build the same site",
    "apt purge": "the block above has it whole",
    "docker compose": "the block above has it whole",
    "docker compose up -d": "the block below has more",
    "git pull": "there is nothing to pull from",
    "git checkout vOLD && sudo ./scripts/install": "there is no release yet; the same script installs a version in a test",
    "pip install 'syncd[otlp]'": "it is in no registry yet; what it names is in the lock files",
    "python -m tests.support.contract_pages": "tests compare what it makes",
    "python -m tests.support.settings_page": "tests compare what it makes",
    "python scripts/docs_picture.py": "a test compares what it makes",
    "sudo apt-get install sqlite3": "it asks Debian's registry",
    "systemctl edit syncd": "it opens an editor; tests write the same file",
}
"""Whole commands that no test runs, each with its reason."""


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_has_a_test_that_runs_it(page: str) -> None:
    runners = RUN_BY.get(page, [])
    assert len(commands_of(page)) == len(runners), f"{page}: say in RUN_BY which test runs each block of commands"
    for runner in runners:
        text = (PROJECT / runner).read_text(encoding="utf-8")
        assert NOT_FROM_THE_PAGE.get(runner, page) in text, f"{runner} does not read {page}"


def test_every_command_within_a_sentence_is_run_by_a_test_or_has_its_reason() -> None:
    lines = {line for page in PAGES for line in lines_of(page) if OF_THE_SYSTEM.match(line) and "…" not in line}
    assert lines == INLINE_RUN_BY.keys() | INLINE_NOT_RUN.keys()
    for line, runner in INLINE_RUN_BY.items():
        assert NOT_FROM_THE_PAGE.get(runner, line) in (PROJECT / runner).read_text(encoding="utf-8"), f"{runner} does not run {line}"


def test_no_block_of_commands_hides_behind_another_name() -> None:
    """`sh` is the one word for commands; `console` and `text` would be what nobody runs."""
    for page in (PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        assert [name for name in ("```bash", "```shell", "```console", "```\n$ ") if name in text] == [], page.name
