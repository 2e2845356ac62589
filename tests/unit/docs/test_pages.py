from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from syncd.cli import cli
from syncd.config.settings import Settings
from syncd.config.sources import known_keys, sections_of, variable_of
from syncd.errors import ExitCode
from tests.support.settings import clean_environment, make_settings  # noqa: F401  (a fixture)
from tests.support.settings_page import page_text
from tests.support.storefiles import execute, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[3]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))}
PROSE = {name: re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL) for name, text in PAGES.items()}
CODE = [re.sub(r"\s+", " ", span) for text in PROSE.values() for span in re.findall(r"`([^`]+)`", text)]
NOT_THE_PROGRAM = {"-u", "-g", "-o", "-t", "--groups", "--name", "--now", "exec", "edit", "restart", "reload"}
"""What stands before `syncd` where that is a user, a group, a unit or a container."""

pytestmark = pytest.mark.usefixtures("clean_environment")


def blocks(language: str, page: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)
    return found


def table(heading: str, page: str) -> list[list[str]]:
    """The cells of the table with this head, without head and rule."""
    text = PAGES[page]
    lines = text[text.index(heading) :].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def commands() -> Iterator[list[str]]:
    """What follows `syncd` wherever a page calls it."""
    for line in [*CODE, *(line for page in PAGES for block in blocks("sh", page) for line in block.splitlines())]:
        words = line.split("#")[0].split()
        for at, word in enumerate(words[:-1]):
            called = word == "syncd" and re.match(r"[a-z-]", words[at + 1])
            if called and (at == 0 or words[at - 1] not in NOT_THE_PROGRAM):
                yield words[at + 1 :]


def columns(database: Path, name: str) -> set[str]:
    return {row[1] for row in execute(database, f"PRAGMA table_info({name})")}


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    async with opened(tmp_path):
        return tmp_path / "store.db"


def test_every_command_and_option_exists() -> None:
    called = list(commands())
    assert len(called) > 10
    for words in called:
        command: click.Command = cli
        for word in words:
            if word.startswith("-"):
                known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
                assert word in known, f"syncd {' '.join(words)}: no option {word}"
            elif isinstance(command, click.Group):
                assert word in command.commands, f"syncd {' '.join(words)}: no command {word}"
                command = command.commands[word]


def test_the_tables_of_the_configuration_are_what_the_script_makes_of_the_settings() -> None:
    text = PAGES["configuration.md"]
    assert text == page_text(text), "docs/configuration.md is old: run python -m tests.support.settings_page"
    told = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", text, re.MULTILINE)
    assert sorted(told) == sorted(known_keys(Settings))


def test_the_defaults_that_other_keys_give_are_as_told(tmp_path: Path) -> None:
    made = make_settings(tmp_path).database
    assert (made.outbox_path, made.state_path) == (made.path, Path(f"{made.path}.syncd"))


def test_every_key_and_variable_exists() -> None:
    sections = "|".join(sections_of(Settings))
    keys = {span for span in CODE if re.fullmatch(rf"({sections})\.[a-z_]+", span)}
    assert keys <= set(known_keys(Settings))
    variables = {name for text in PAGES.values() for name in re.findall(r"SYNCD_[A-Z]+__[A-Z_]+", text)}
    assert variables
    assert variables <= {variable_of(key) for key in known_keys(Settings)}


def test_the_toml_example_is_a_whole_configuration() -> None:
    [text] = blocks("toml", "configuration.md")
    assert Settings(**tomllib.loads(text)).sync.batch_size == 50


def test_the_json_example_has_the_form_of_the_status_file() -> None:
    schema = json.loads((PROJECT / "config" / "status.schema.json").read_bytes())
    [text] = blocks("json", "status.md")
    require_names(json.loads(text), schema)


def require_names(document: dict[str, Any], schema: dict[str, Any]) -> None:
    for name, value in document.items():
        assert name in schema["properties"]
        if isinstance(value, dict):
            require_names(value, schema["properties"][name])


def test_the_examples_name_columns_that_the_outbox_has(database: Path) -> None:
    for example in ("sale.sql", "csharp/Program.cs", "javascript/till.mjs", "python/till.py"):
        text = (PROJECT / "examples/till" / example).read_text(encoding="utf-8")
        inserts = re.findall(r"INSERT INTO sync_outbox \((.*?)\)", text)
        assert inserts
        for names in inserts:
            assert set(names.split(", ")) <= columns(database, "sync_outbox")


def test_every_example_of_a_page_is_a_file_and_has_nothing_of_its_own() -> None:
    """So that what is printed is what a test runs."""
    for page in ("till.md", "hub.md"):
        for language in ("sql", "csharp", "javascript", "python"):
            for text in blocks(language, page):
                assert re.fullmatch(r'--8<-- "examples/[\w./]+"\n', text), page


def test_the_tables_that_till_and_hq_share_have_the_columns_it_tells(database: Path) -> None:
    assert {row[0].strip("`") for row in table("| column | meaning |", "till.md")} <= columns(database, "sync_outbox")
    common = spans(PROSE["till.md"].partition("Each also has")[2].split("\n\n")[0])
    rows = table("| table | key | what |", "till.md")
    assert len(rows) == 4
    for name, keys, others in rows:
        assert {*spans(keys), *spans(others), *common} == columns(database, name.strip("`"))
    assert execute(database, "SELECT * FROM active_products") == []


def test_every_log_event_exists() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "syncd").rglob("*.py"))
    events = [span for span in spans(PROSE["status.md"].partition("Worth an alert")[2]) if span.islower()]
    assert len(events) > 5
    assert [event for event in events if f'"{event}"' not in source] == []


def test_it_lists_every_exit_code() -> None:
    told = [row[0] for row in table("| code | what it means |", "configuration.md")]
    assert {int(code) for code in told} == set(ExitCode)


def test_every_file_that_a_page_names_is_there() -> None:
    path = re.compile(r"(?<![/\w])((?:scripts|systemd|config|examples)/[\w./-]*\w)")
    named = [name for text in PAGES.values() for name in path.findall(text)]
    assert len(named) > 5
    assert [name for name in named if not (PROJECT / name).exists() and not (PROJECT / "syncd" / name).exists()] == []
    modules = [span for span in spans(PROSE["architecture.md"]) if re.fullmatch(r"\w+(\.py|/)", span)]
    assert [name for name in modules if not list(PROJECT.glob(f"syncd/**/{name}")) and not (PROJECT / name).is_dir()] == []


def test_every_link_leads_to_a_file() -> None:
    for page, text in PROSE.items():
        folder = PROJECT if page == "README.md" else PROJECT / "docs"
        named = re.findall(r"\]\(([^):#]+)(?:#[\w-]+)?\)", text)
        assert [name for name in named if not (folder / name).exists()] == [], page


def test_what_one_sees_when_something_is_wrong_is_what_syncd_says() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "syncd").rglob("*.py"))
    seen = [words for row in table("| you see |", "trouble.md") for span in spans(row[0]) for words in span.split(" … ")]
    assert len(seen) > 20
    unsaid = [words for words in seen if words.strip(" …") not in source]
    assert unsaid == ["readonly", "disk image is malformed", "not a database"], "SQLite's own words, and no others"
