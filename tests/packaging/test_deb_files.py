"""What the .deb is made of, apart from its life on a PC: the man page, and how a downgrade knows whether it may be."""

from __future__ import annotations

import hashlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from syncd import __version__
from syncd.cli import cli
from syncd.config.settings import Settings
from syncd.store.migrate import migrations
from tests.support.pages import commands_of
from tests.support.requirements import need
from tests.support.storefiles import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

DEB = Path(__file__).parents[2] / "deb"


def run(program: str, *arguments: str | Path) -> str:
    """What one of the folder's programs prints."""
    command = [sys.executable, str(DEB / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def page() -> str:
    """The man page's source."""
    return run("manpage.py")


def all_commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if not command.hidden:
            yield f"{path} {name}", command
            if isinstance(command, click.Group):
                yield from all_commands(command, f"{path} {name}")


def test_the_man_page_has_every_command_with_its_options(page: str) -> None:
    shown = page.replace("\\-", "-")
    assert f'.TH SYNCD 1 "" "syncd {__version__}"' in page
    for path, command in all_commands(cli, "syncd"):
        [section] = re.findall(rf'^\.SS "{path} \[OPTIONS\].*?(?=^\.S[SH] )', shown, re.MULTILINE | re.DOTALL)
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[-1] in section, f"{path} {parameter.opts}"


def test_man_has_nothing_to_complain_of(page: str, tmp_path: Path) -> None:
    need("groff", shutil.which("groff") is not None, "there is no groff")
    (tmp_path / "syncd.1").write_text(page)
    command = ["groff", "-k", "-man", "-Tutf8", "-ww", "-z", str(tmp_path / "syncd.1")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.parametrize("component", ["outbox", "store", "journal"])
async def test_a_downgrade_is_told_of_every_file_whose_tables_are_too_new_for_it(component: str, tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    (tmp_path / "syncd.toml").write_text(f'[database]\npath = "{tmp_path}/store.db"\n')
    (tmp_path / "broken.toml").write_text("no TOML")
    known = {name: migrations(name)[-1].version for name in ("journal", "outbox", "store")}
    words = [str(word) for pair in known.items() for word in pair]
    assert run("tables.py", tmp_path, *words) == ""
    file = tmp_path / ("store.db.syncd" if component == "journal" else "store.db")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("INSERT INTO sync_schema VALUES (?, ?, 'of_tomorrow', '')", (component, known[component] + 1))
    told = f"{file}: its {component} tables have version {known[component] + 1}, it knows them up to {known[component]}\n"
    assert run("tables.py", tmp_path, *words) == told


async def test_a_downgrade_is_told_of_tables_with_a_prefix_too(tmp_path: Path) -> None:
    async with opened(tmp_path, table_prefix="syncd_"):
        pass
    (tmp_path / "syncd.toml").write_text(f'[database]\npath = "{tmp_path}/store.db"\ntable_prefix = "syncd_"\n')
    with closing(sqlite3.connect(tmp_path / "store.db")) as database, database:
        database.execute("CREATE TABLE sync_schema (mine)")  # the POS's
    versions = {name: migrations(name)[-1].version for name in ("journal", "outbox", "store")}
    assert run("tables.py", tmp_path, *[str(word) for pair in versions.items() for word in pair]) == ""
    told = run("tables.py", tmp_path, "journal", "0", "outbox", "0", "store", "0")
    assert [line.split(" tables ")[0].rpartition(" ")[2] for line in told.splitlines()] == ["outbox", "store", "journal"]


def test_the_configuration_that_the_package_brings_needs_the_two_keys_that_are_the_stores_own() -> None:
    text = (DEB / "syncd.toml").read_text()
    assert {key for key, value in tomllib.loads(text).items() if value} == {"database"}
    settings = Settings(**tomllib.loads(re.sub(r"^#(id|url) ", r"\1 ", text, flags=re.MULTILINE)))
    assert settings.hub.url == "https://hq.example.com/hubs/sync"


def test_it_never_changes_because_dpkg_would_ask_a_person_on_every_pc_which_one_to_keep() -> None:
    digest = hashlib.sha256((DEB / "syncd.toml").read_bytes()).hexdigest()
    assert digest == "59d3723952690d641e8776c9de3738ac13867da9725da0d4ba760781a002cea6", (
        "what is new belongs into config/syncd.toml, which is documentation on a PC"
    )


def test_the_readmes_three_commands_are_those_of_the_page_on_installing() -> None:
    [three] = commands_of("README.md", "Install it on a store PC")
    commands = [line.partition("#")[0].strip() for line in three.splitlines()]
    assert len(commands) == 3
    assert set(commands) <= {line.partition("#")[0].strip() for block in commands_of("docs/install.md") for line in block.splitlines()}
