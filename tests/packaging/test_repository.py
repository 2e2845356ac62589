from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.requirements import need

PROJECT = Path(__file__).parents[2]
NEIGHBOUR = "../" + "shared"
WORKPLACE = "/" + "work" + "/"


def tracked_files() -> list[Path]:
    """What the repository holds, and what is about to be added to it."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    need("git", (PROJECT / ".git").exists(), "this is no git repository")
    listing = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return [file for line in listing.splitlines() if (file := PROJECT / line).is_file()]


def test_the_project_stands_on_its_own_wherever_it_lies() -> None:
    found = []
    for file in tracked_files():
        text = file.read_text(encoding="utf-8", errors="replace")
        name = file.relative_to(PROJECT).as_posix()
        found += [f"{name} names {place}" for place in (NEIGHBOUR, WORKPLACE) if place in text and (name, place) != (".ci/run", NEIGHBOUR)]
    assert found == []


@pytest.mark.parametrize(
    "script", sorted(file for file in (PROJECT / "scripts").iterdir() if not file.suffix and file.is_file()), ids=lambda script: script.name
)
def test_a_script_is_posix_shell_and_can_be_run(script: Path) -> None:
    assert script.stat().st_mode & 0o111 == 0o111
    result = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_thing_that_was_promised_may_not_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_REQUIRE", "buildah,refhub")
    need("refhub", True, "it is there")
    with pytest.raises(pytest.fail.Exception, match="promises refhub, but it is not there"):
        need("refhub", False, "it is not there")
    with pytest.raises(pytest.skip.Exception, match="no node"):
        need("node", False, "no node")
