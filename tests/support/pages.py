"""Commands as the documentation prints them."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def commands_of(page: str, heading: str = "") -> list[str]:
    """The blocks of shell commands on a page, or of the section below this heading."""
    return blocks_of(page, "sh", heading)


def blocks_of(page: str, language: str, heading: str = "") -> list[str]:
    """The same of any language."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    section = text[text.index(f"## {heading}\n") :].partition("\n## ")[0] if heading else text
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def lines_of(page: str) -> list[str]:
    """Commands within the sentences of a page, and those that `--help` gives as examples: each a line that one could type."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    sentences = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    inline = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", sentences)]
    examples = re.findall(r"^  Examples?: +((?:.+\n)+)", text, re.MULTILINE)
    return [*inline, *(line.strip() for example in examples for line in example.splitlines())]
