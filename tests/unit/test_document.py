from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from syncd import redaction
from syncd.document import IDENTIFIER, INTERNAL, LARGEST_NUMBER, LONGEST_NAME, LONGEST_TEXT, TEXT, document, shown_as
from syncd.redaction import LONGEST_SECRET, KnownSecrets
from tests.support.clock import BEGINNING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass
class Row:
    entity_id: int | str = field(metadata=IDENTIFIER)
    at: datetime = BEGINNING


@dataclass
class Section:
    last_error: str | None = field(default=None, metadata=TEXT)
    wanted_by: str = ""
    seen_total: int = 0
    is_open: bool = False
    ratio: float = 0.5
    recent_rows: deque[Row] = field(default_factory=deque)
    entity_types: frozenset[str] = frozenset()
    pending: dict[int, int] = field(default_factory=dict, metadata=shown_as(lambda pending: sum(pending.values())))
    on_change: object = field(default=None, metadata=INTERNAL)


def test_a_section_is_shown_under_its_names_in_camel_case_and_without_what_is_internal() -> None:
    assert document(Section(pending={1: 2, 3: 4}, entity_types=frozenset({"Price", "Inventory"}))) == {
        "lastError": None,
        "wantedBy": "",
        "seenTotal": 0,
        "isOpen": False,
        "ratio": 0.5,
        "recentRows": [],
        "entityTypes": ["Inventory", "Price"],
        "pending": 6,
    }


def test_sections_in_sections_are_shown_the_same_way() -> None:
    rows = deque([Row(7), Row("x" * 300), Row(2**70)])
    shown = document(Section(recent_rows=rows))["recentRows"]
    assert shown[0] == {"entityId": 7, "at": "2026-11-23T10:00:00.000Z"}
    assert [row["entityId"] for row in shown[1:]] == ["x" * (LONGEST_NAME - 1) + "…", str(2**70)]


def test_what_others_have_written_is_cut_and_errors_have_no_secrets() -> None:
    shown = document(Section(last_error="Bearer s3cr3t " + "x" * 2000, wanted_by="y" * 2000, seen_total=2**70))
    assert shown["lastError"].startswith("Bearer *** xxx")
    assert (len(shown["lastError"]), len(shown["wantedBy"]), shown["seenTotal"]) == (LONGEST_TEXT, LONGEST_NAME, LARGEST_NUMBER)


@pytest.mark.parametrize("secret", ["opaque-4711-token", "k" * LONGEST_SECRET])
def test_a_secret_is_shown_in_no_text_of_others_whatever_kind_of_field_it_is_in(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "known_secrets", KnownSecrets())
    redaction.known_secrets.add(secret)
    says = f"for {secret}"
    shown = document(Section(last_error=says, wanted_by=says, recent_rows=deque([Row(secret)]), entity_types=frozenset({secret})))
    assert (shown["lastError"], shown["wantedBy"], shown["entityTypes"]) == ("for ***", "for ***", ["***"])
    assert shown["recentRows"][0]["entityId"] == "***"
