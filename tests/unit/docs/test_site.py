"""The documentation as a site, made by MkDocs without a network; every complaint of it is an error, anchors included."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PROJECT = Path(__file__).parents[3]
PAGES = sorted((PROJECT / "docs").glob("*.md"))
LOADED = re.compile(r'<(?:script|img|iframe|source)[^>]*\ssrc="?([^" >]+)|<link[^>]*rel="?(?:stylesheet|preload|preconnect|icon)"?[^>]*>')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", made],
        cwd=PROJECT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return made


def test_the_site_is_made_without_a_complaint_and_has_every_page(site: Path) -> None:
    assert {page.stem for page in PAGES} <= {page.stem for page in site.glob("*.html")}


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        remote = [found[0] for found in LOADED.finditer(text) if re.search(r'(?:src|href)="?(?:https?:)?//', found[0])]
        assert remote == [], page.name


def test_a_link_to_elsewhere_is_an_https_address() -> None:
    for page in (PROJECT / "README.md", *PAGES):
        for address in re.findall(r"\]\(([a-z]+:[^)]*)\)", page.read_text(encoding="utf-8")):
            parts = urlsplit(address)
            assert (parts.scheme, bool(parts.hostname), " " in address) == ("https", True, False), f"{page.name}: {address}"


def test_the_picture_is_what_the_script_draws() -> None:
    drawn = subprocess.run(
        [sys.executable, "-c", "import docs_picture; print(docs_picture.picture(), end='')"],
        cwd=PROJECT / "scripts", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (PROJECT / "docs/pictures/architecture.svg").read_text(encoding="utf-8") == drawn.stdout
