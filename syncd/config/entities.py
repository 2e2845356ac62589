"""How a kind of HQ's is declared, ours in `catalog.toml` and the chain's own in the configuration alike.

    [entities.Promotion]
    key = ["promotionId"]
    indexes = [["startsAt"]]

    [entities.Promotion.fields]
    promotionId = "identifier"
    name = { type = "text", required = true }
    percent = "decimal"
    startsAt = "time"

Nothing here becomes SQL that is not a plain name: letters, digits and underscores, beginning with a letter.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)

FieldType = Literal["identifier", "text", "integer", "decimal", "boolean", "time", "json"]
KEY_TYPES = ("identifier", "text", "integer", "time")
DEFAULTS: dict[str, tuple[type, str]] = {
    "identifier": (str, "a text"), "text": (str, "a text"), "integer": (int, "a whole number"), "boolean": (bool, "true or false"),
}  # fmt: skip
"""Of these types a field may have a default, and of this one it is."""
STANDARD_FIELDS = ("isDeleted", "version", "updatedAt", "correlationId")
"""Every kind has them; nobody declares them."""
STANDARD_COLUMNS = ("is_deleted", "version", "updated_at", "correlation_id", "extra", "applied_at", "change_seq")
RESERVED_COLUMNS = frozenset({*STANDARD_COLUMNS, "rowid", "oid", "_rowid_"})
RESERVED_TABLES = frozenset({"entities", "barcodes", "active_products", "current_prices"})
OUR_METHODS = frozenset({"receivesyncitem", "synccomplete", "syncprogress", "heartbeatresponse", "error"})
NAME = r"[A-Za-z][A-Za-z0-9_]*"
MAX_NAME = 60
_ASIDE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake_case(name: str) -> str:
    """`productId` is the column `product_id`."""
    return _ASIDE.sub("_", name).lower()


def _plain_name(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME or not re.fullmatch(NAME, value, re.ASCII):
        raise ValueError(f"must be a plain name: letters, digits and underscores, beginning with a letter, at most {MAX_NAME} of them")
    return value


Name = Annotated[str, PlainValidator(_plain_name)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FieldDeclaration(_Part):
    """One field of a kind's message: its type alone, or a table with more.

    Attributes:
        required: an update without it is not applied; key fields are required anyhow.
        default: what stands in for it.
    """

    type: FieldType
    required: bool = False
    default: bool | int | str | None = None

    @model_validator(mode="after")
    def _default_fits(self) -> FieldDeclaration:
        if self.default is None or (self.type in DEFAULTS and type(self.default) is DEFAULTS[self.type][0]):
            return self
        if self.type not in DEFAULTS:
            raise ValueError(f"a field of type {self.type} has no default; those of type {', '.join(DEFAULTS)} may have one")
        raise ValueError(f"default must be {DEFAULTS[self.type][1]}")


def _field(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


FieldNames = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class EntityDeclaration(_Part):
    """A kind that HQ sends.

    Attributes:
        fields: by their name in HQ's messages.
        key: the fields that tell one row from another.
        open_key: the last field of the key, where it may be left out; a delete without it deletes all of the group.
        table: default: the kind's name in snake_case, and `s`.
        method: the client method that brings it; default: `Receive<Name>Update`.
        indexes: each a list of fields.
    """

    fields: Annotated[dict[Name, Annotated[FieldDeclaration, BeforeValidator(_field)]], Field(min_length=1)]
    key: FieldNames
    open_key: str | None = None
    table: Name | None = None
    method: Name | None = None
    indexes: Annotated[tuple[FieldNames, ...], Field(strict=False)] = ()

    @field_validator("fields")
    @classmethod
    def _columns_are_free(cls, fields: dict[str, FieldDeclaration]) -> dict[str, FieldDeclaration]:
        columns: dict[str, str] = {}
        names = {name.lower(): name for name in STANDARD_FIELDS}
        for name in fields:
            column = snake_case(name)
            if column in RESERVED_COLUMNS:
                raise ValueError(f"{name}: its column {column} is reserved; every kind has {', '.join(STANDARD_COLUMNS)} by itself")
            if columns.setdefault(column, name) != name:
                raise ValueError(f"{name}: {columns[column]} has the same column, {column}")
            if (other := names.setdefault(name.lower(), name)) != name:
                raise ValueError(f"{name}: {other} is the same name, since HQ's are read in any case")
        return fields

    @field_validator("key")
    @classmethod
    def _identifies_rows(cls, key: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        fields = info.data.get("fields", {})
        for name in key if fields else ():
            if name not in fields:
                raise ValueError(f"there is no field {name!r}; declared are {', '.join(fields)}")
            if fields[name].type not in KEY_TYPES:
                raise ValueError(f"{name} is {fields[name].type}; a field of the key is one of {', '.join(KEY_TYPES)}")
        if len(set(key)) < len(key):
            raise ValueError("a field is named twice")
        return key

    @field_validator("open_key")
    @classmethod
    def _is_the_last(cls, open_key: str | None, info: ValidationInfo) -> str | None:
        key = info.data.get("key")
        if open_key is not None and key is not None and (open_key != key[-1] or len(key) == 1):
            raise ValueError("must be the last of several fields of the key")
        return open_key

    @field_validator("indexes")
    @classmethod
    def _are_of_fields(cls, indexes: tuple[tuple[str, ...], ...], info: ValidationInfo) -> tuple[tuple[str, ...], ...]:
        fields = info.data.get("fields", {})
        for name in (name for index in indexes for name in index):
            if fields and name not in (*fields, *STANDARD_FIELDS):
                raise ValueError(f"there is no field {name!r}; declared are {', '.join(fields)}")
        taken = {"change"}  # ours, on `change_seq`
        for index in indexes:
            name = "_".join(map(snake_case, index))
            if name in taken:
                raise ValueError(f"[{', '.join(index)}]: its name by_{name} is there already, for another; leave it out")
            taken.add(name)
        return indexes

    def table_of(self, name: str) -> str:
        """The table of the kind with this name."""
        return self.table or f"{snake_case(name)}s"

    def method_of(self, name: str) -> str:
        """The client method of the kind with this name."""
        return self.method or f"Receive{name}Update"


Declarations = dict[str, EntityDeclaration]
_FILE = TypeAdapter(Declarations)


@cache
def own_kinds() -> Declarations:
    """The kinds that every store has."""
    text = (resources.files("syncd.config") / "catalog.toml").read_text(encoding="utf-8")
    return _FILE.validate_python(tomllib.loads(text))


def spellings(name: str, table: str) -> tuple[str, ...]:
    """What a kind is called in a `SyncItem`: `Product`, `products` and `ProductSync` are the same, in any case."""
    return name.lower(), table.lower(), f"{name.lower()}sync"


def check_names(declared: Declarations) -> Declarations:
    """Pass kinds that keep out of each other's way, and out of ours.

    Raises:
        ValueError: a name is no plain one, or somebody's already.
    """
    taken: dict[str, dict[str, str]] = {
        "name": dict.fromkeys(("entity", "entities"), "syncd"), "table": dict.fromkeys(RESERVED_TABLES, "syncd"),
        "method": dict.fromkeys(OUR_METHODS, "syncd"),
    }  # fmt: skip
    for name, kind in own_kinds().items():
        _take(taken, name, kind, owner=f"syncd's own {name}")
    for name, kind in declared.items():
        try:
            table = kind.table_of(_plain_name(name))
        except ValueError as error:
            raise ValueError(f"{name!r} {error}") from None
        if table.lower().startswith(("sqlite_", "sync_")):
            raise ValueError(f"{name}: the table {table} is reserved; choose a `table` that does not begin with sqlite_ or sync_")
        _take(taken, name, kind, owner=name)
    return declared


def _take(taken: dict[str, dict[str, str]], name: str, kind: EntityDeclaration, owner: str) -> None:
    table, method = kind.table_of(name), kind.method_of(name)
    for what, found in (("name", spellings(name, table)), ("table", (table.lower(),)), ("method", (method.lower(),))):
        for spelling in dict.fromkeys(found):
            by = taken[what].setdefault(spelling, owner)
            if by != owner:
                raise ValueError(f"{name}: the {what} {spelling} is taken, by {by}; choose another {what}")
