"""Commands as the documentation prints them."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def commands_of(page: str, heading: str = "") -> list[str]:
    """The blocks of shell commands on a page, or of the section below this heading."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    section = text[text.index(f"## {heading}\n") :].partition("\n## ")[0] if heading else text
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
