"""The pages say what the schemas say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.contract import SCHEMAS, problems
from tests.support.contract_pages import MESSAGES, PAGES, PART, page_text, read_schemas

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_what_the_script_makes_of_the_schemas(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    assert PART.search(text)
    assert text == page_text(text, read_schemas()), f"{page} is old: run python -m tests.support.contract_pages"


def test_every_message_has_its_place() -> None:
    assert set(MESSAGES) == SCHEMAS.keys() - {"common", "methods"}


def test_the_printed_check_finds_the_printed_mistake() -> None:
    page = (PROJECT / "docs/hq.md").read_text(encoding="utf-8")
    [program] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    [price] = re.findall(r"price = (.*)", program)
    assert done.stdout.startswith("$.price ")
    assert len(done.stdout.splitlines()) == len(problems("PriceSync", json.loads(price))) == 1
