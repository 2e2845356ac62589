"""The page on the development hub and its `--help` name every fault and every control call."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click

from syncd.commands.devhub import command
from syncd.devhub.control import ENDPOINTS
from syncd.devhub.faults import MEANINGS, Faults, names
from syncd.devhub.headquarters import Headquarters
from syncd.testing import Hub, Store, plugin

PAGE = (Path(__file__).parents[3] / "docs/devhub.md").read_text(encoding="utf-8")


def test_help_and_page_name_every_fault() -> None:
    shown = command.get_help(click.Context(command))
    assert [*MEANINGS] == names()
    for (name, meaning), field in zip(MEANINGS.items(), Faults().to_json(), strict=True):
        option = name.replace("_", "-")
        assert re.search(rf"{option} +{re.escape(meaning)}", shown)
        assert f"| `{option}` | `{field}` | {meaning} |" in PAGE


def test_help_and_page_name_every_call() -> None:
    shown = command.get_help(click.Context(command))
    for call, meaning in ENDPOINTS.items():
        assert f"{call}\n" in shown
        assert f"| `{call}` | {meaning} |" in PAGE


def test_the_page_names_every_option_and_every_count() -> None:
    for option in command.params:
        assert option.opts[0] in PAGE
    counted = Headquarters().state().keys() - {"maxConnections", "orderViolations"}
    assert counted <= set(re.findall(r"`(\w+)`", PAGE))


def test_what_the_page_says_of_the_fixtures_is_there() -> None:
    for kind in (Hub, Store):
        [line] = re.findall(rf"\| a `syncd\.testing\.{kind.__name__}`.*?: (.*) \|", PAGE)
        assert all(hasattr(kind, name) or name == "database" for name in re.findall(r"`(\w+)`", line))
    fixtures = {name for name in vars(plugin) if name.startswith("syncd_")}
    assert fixtures == set(re.findall(r"^\| `(syncd_\w+)` \|", PAGE, re.MULTILINE))
    assert "database" in inspect.signature(Store).parameters
