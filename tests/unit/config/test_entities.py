"""Declarations that cannot be: each is refused with its key and what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from syncd.config.entities import own_kinds, snake_case
from syncd.config.settings import load_settings
from syncd.errors import ConfigurationError
from tests.support.settings import clean_environment  # noqa: F401  (a fixture)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("clean_environment")

GOOD = """
[entities.Promotion]
key = ["promotionId"]
indexes = [["startsAt"], ["name", "updatedAt"]]
fields = { promotionId = "identifier", name = { type = "text", required = true }, percent = "decimal", startsAt = "time", terms = "json" }
"""


def write(folder: Path, more: str) -> Path:
    file = folder / "syncd.toml"
    least = f'[store]\nid = 7\n[database]\npath = "{folder}/store.db"\n[hub]\nurl = "https://hq.example.com/hubs/sync"\n'
    file.write_text(least + more, encoding="utf-8")
    return file


def test_a_kind_of_the_chains_own_is_declared_as_ours_are(tmp_path: Path) -> None:
    kind = load_settings(write(tmp_path, GOOD)).entities["Promotion"]
    assert (kind.table_of("Promotion"), kind.method_of("Promotion")) == ("promotions", "ReceivePromotionUpdate")
    assert kind.fields["name"].required
    assert list(own_kinds()) == ["Product", "Price", "Inventory", "Transaction"]


def test_where_there_is_no_file_the_environment_declares_them_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_ENTITIES", '{"GiftCard": {"key": ["code"], "fields": {"code": "text", "balance": "decimal"}}}')
    assert load_settings(write(tmp_path, "")).entities["GiftCard"].table_of("GiftCard") == "gift_cards"
    monkeypatch.setenv("SYNCD_ENTITIES", "GiftCard")
    with pytest.raises(ConfigurationError, match=r"entities .*SYNCD_ENTITIES.* = 'GiftCard': must be a section"):
        load_settings(write(tmp_path, ""))


FIELDS = 'fields = { promotionId = "identifier", percent = "decimal" }'
BAD = {
    "an unknown type": (
        'key = ["a"]\nfields = { a = "money" }',
        r"entities\.Promotion\.fields\.a\.type = 'money': must be 'identifier', 'text'",
    ),
    "a key that is no field": (
        f'key = ["id"]\n{FIELDS}',
        r"entities\.Promotion\.key = .*there is no field 'id'; declared are promotionId, percent",
    ),
    "a key that is no identifier": (
        f'key = ["percent"]\n{FIELDS}',
        r"\.key = .*percent is decimal; a field of the key is one of identifier",
    ),
    "no key": (FIELDS, r"entities\.Promotion\.key: required"),
    "no fields": ('key = ["a"]', r"entities\.Promotion\.fields: required"),
    "SQL in a field": (
        'key = ["a"]\n[entities.Promotion.fields]\na = "text"\n"b); DROP TABLE prices; --" = "text"',
        "must be a plain name",
    ),
    "SQL in the table": (f'key = ["promotionId"]\ntable = "x; DROP TABLE prices"\n{FIELDS}', r"Promotion\.table = .*must be a plain name"),
    "a reserved column": ('key = ["a"]\nfields = { a = "text", changeSeq = "integer" }', "changeSeq: its column change_seq is reserved"),
    "a field that every kind has": (
        'key = ["a"]\nfields = { a = "text", UpdatedAt = "time" }',
        "UpdatedAt: its column updated_at is reserved",
    ),
    "two fields for one column": (
        'key = ["a"]\nfields = { a = "text", unitId = "text", unit_id = "text" }',
        "unitId has the same column, unit_id",
    ),
    "a table of ours": (f'key = ["promotionId"]\ntable = "prices"\n{FIELDS}', "prices is taken, by syncd's own Price"),
    "a table of SQLite's": (f'key = ["promotionId"]\ntable = "sqlite_stat1"\n{FIELDS}', "the table sqlite_stat1 is reserved"),
    "a method of ours": (f'key = ["promotionId"]\nmethod = "ReceiveSyncItem"\n{FIELDS}', "the method receivesyncitem is taken, by syncd"),
    "a default that does not fit": (
        'key = ["a"]\nfields = { a = "text", n = { type = "integer", default = "x" } }',
        "default must be a whole number",
    ),
    "an index of what is no field": (f'key = ["promotionId"]\nindexes = [["nme"]]\n{FIELDS}', r"indexes = .*there is no field 'nme'"),
    "an unknown key": (f'key = ["promotionId"]\nkeys = 1\n{FIELDS}', r"entities\.Promotion\.keys: there is no such key"),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_a_declaration_that_cannot_be_is_refused_with_its_key_and_what_is_allowed(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_settings(write(tmp_path, f"[entities.Promotion]\n{text}\n"))
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Product", "the name product is taken, by syncd's own Product"),
        ("prices", "the name prices is taken, by syncd's own Price"),
        ("'promotion'", "the name promotion is taken, by Promotion"),
        ("'Promotion; DROP TABLE prices'", "must be a plain name"),
        ("Entities", "the name entities is taken, by syncd"),
    ],
)
def test_a_name_that_is_somebodys_already_is_refused(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_settings(write(tmp_path, f'{GOOD}\n[entities.{name}]\nkey = ["a"]\nfields = {{ a = "text" }}\n'))


@pytest.mark.parametrize(
    ("wire", "column"),
    [("productId", "product_id"), ("SKU", "sku"), ("HTMLText", "html_text"), ("taxRate2", "tax_rate2"), ("unit_id", "unit_id")],
)
def test_a_column_is_the_fields_name_in_snake_case(wire: str, column: str) -> None:
    assert snake_case(wire) == column
