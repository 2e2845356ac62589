"""What HQ sends down, field by field: the contract's four messages, and the tables they live in.

A message becomes an `Update` or says why it cannot. Nothing here touches a database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as attribute
from decimal import Decimal
from functools import cached_property
from typing import Any

import orjson

from syncd.store.times import sortable
from syncd.wire.json import Number
from syncd.wire.messages import any_case

_DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,4})?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,64}", re.ASCII)  # Python refuses to read numbers of thousands of digits
MAX_INTEGER = 2**63 - 1  # SQLite's
MAX_DECIMAL_CHARACTERS = 64
MAX_COEFFICIENT = 2**96 - 1  # a .NET decimal is a coefficient of 96 bits, at most 29 digits, …
MAX_DIGITS = 29
MAX_SCALE = 28  # … with its point at most so far to the left


class MalformedError(ValueError):
    """The message cannot be applied; the text says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        wire: its name there.
        column: its name in the table.
        kind: `identifier`, `text`, `decimal`, `flag`, `time`, `version` or `json`.
        required: a message without it is malformed (unless it is a delete).
        default: what stands in for it.
    """

    wire: str
    column: str
    kind: str
    required: bool = False
    default: object = None


@dataclass(frozen=True)
class EntityType:
    """One of the four.

    Attributes:
        name: as in `SyncItem.entityType`.
        method: the client method that carries it.
        keys: the columns of its primary key.
        open_key: the last of them, where a delete may leave it out to mean all rows of its group; a message may, too, and it is ''.
    """

    name: str
    method: str
    table: str
    keys: tuple[str, ...]
    fields: tuple[Field, ...]
    open_key: str | None = None

    @cached_property
    def group_keys(self) -> tuple[str, ...]:
        """The columns of the key that every message names."""
        return tuple(key for key in self.keys if key != self.open_key)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All that an update writes, in the order of `Update.values`."""
        return (*(field.column for field in self.fields), "extra", "applied_at")

    @cached_property
    def select_sql(self) -> str:
        """What the table has of a group of rows, so that newer can win."""
        where = " AND ".join(f"{key} = ?" for key in self.group_keys)
        last = self.open_key or "''"
        return f"SELECT {last}, version, updated_at, is_deleted FROM {self.table} WHERE {where}"  # noqa: S608 - names from this module only

    @cached_property
    def upsert_sql(self) -> str:
        """Write a row, whatever was there."""
        columns = ", ".join(self.columns)
        marks = ", ".join("?" for _ in self.columns)
        changes = ", ".join(f"{column} = excluded.{column}" for column in self.columns if column not in self.keys)
        return (
            f"INSERT INTO {self.table} ({columns}) VALUES ({marks}) "  # noqa: S608 - names from this module only
            f"ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {changes}"
        )

    @cached_property
    def tombstone_sql(self) -> str:
        """Turn a row into its tombstone; what it said stays readable."""
        where = " AND ".join(f"{key} = ?" for key in self.keys)
        return (
            f"UPDATE {self.table} SET is_deleted = 1, version = coalesce(?, version), "  # noqa: S608 - names from this module only
            f"updated_at = coalesce(?, updated_at), correlation_id = ?, applied_at = ? WHERE {where}"
        )


_TAIL = (
    Field("isDeleted", "is_deleted", "flag", default=0),
    Field("version", "version", "version"),
    Field("updatedAt", "updated_at", "time", required=True),
    Field("correlationId", "correlation_id", "text"),
)

PRODUCT = EntityType(
    "Product", "ReceiveProductUpdate", "products", ("product_id",),
    (
        Field("productId", "product_id", "identifier", required=True), Field("sku", "sku", "text", required=True),
        Field("name", "name", "text", required=True), Field("barcode", "barcode", "text"), Field("description", "description", "text"),
        Field("category", "category", "text"), Field("unit", "unit", "text"), Field("taxRate", "tax_rate", "decimal"),
        Field("isActive", "is_active", "flag", required=True, default=1), *_TAIL,
    ),
)  # fmt: skip
PRICE = EntityType(
    "Price", "ReceivePriceUpdate", "prices", ("product_id", "price_list", "effective_from"),
    (
        Field("productId", "product_id", "identifier", required=True), Field("priceList", "price_list", "text", default="default"),
        Field("price", "price", "decimal", required=True), Field("currency", "currency", "text", required=True),
        Field("costPrice", "cost_price", "decimal"), Field("effectiveFrom", "effective_from", "time", default=""),
        Field("effectiveTo", "effective_to", "time"), *_TAIL,
    ),
    open_key="effective_from",
)  # fmt: skip
INVENTORY = EntityType(
    "Inventory", "ReceiveInventoryUpdate", "inventory", ("product_id", "location_id"),
    (
        Field("productId", "product_id", "identifier", required=True), Field("locationId", "location_id", "identifier", default="default"),
        Field("quantityOnHand", "quantity_on_hand", "decimal", required=True), Field("reorderLevel", "reorder_level", "decimal"), *_TAIL,
    ),
)  # fmt: skip
TRANSACTION = EntityType(
    "Transaction", "ReceiveTransaction", "transactions", ("transaction_id",),
    (
        Field("transactionId", "transaction_id", "identifier", required=True), Field("storeId", "store_id", "identifier", required=True),
        Field("type", "type", "text", required=True), Field("total", "total", "decimal", required=True),
        Field("currency", "currency", "text", required=True), Field("occurredAt", "occurred_at", "time", required=True),
        Field("payload", "payload", "json"), *_TAIL,
    ),
)  # fmt: skip
ENTITY_TYPES = (PRODUCT, PRICE, INVENTORY, TRANSACTION)
_BY_NAME = {
    name: entity_type
    for entity_type in ENTITY_TYPES
    for name in (entity_type.name.lower(), entity_type.table.lower(), f"{entity_type.name.lower()}sync")
}


def entity_type_of(name: object) -> EntityType:
    """The type of a `SyncItem`: `Product`, `products` and `ProductSync` are the same, in any case.

    Raises:
        MalformedError: it is none of the four.
    """
    found = _BY_NAME.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        raise MalformedError(f"unknown entityType {name!r}; known are {', '.join(e.name for e in ENTITY_TYPES)}")
    return found


@dataclass(frozen=True, slots=True)
class Update:
    """A message that can be applied.

    Attributes:
        key: the values of the table's primary key.
        values: of `EntityType.columns`, without `applied_at`.
        deleted: the row becomes (or stays) a tombstone.
        key_only: a delete that says no more than which row: what the row said stays.
        method: by which it came.
        message: as it came, for the quarantine.
    """

    entity_type: EntityType
    key: tuple[object, ...]
    values: tuple[object, ...]
    version: int | str | None
    updated_at: str | None
    correlation_id: str | None
    deleted: bool
    key_only: bool
    method: str = attribute(compare=False)
    message: object = attribute(compare=False, repr=False)

    @property
    def entity_id(self) -> str:
        """The key in one piece, for people."""
        return "/".join(str(part) for part in self.key if part != "")

    @property
    def deletes_group(self) -> bool:
        """It deletes all rows that share its `group_keys`."""
        return self.deleted and self.entity_type.open_key is not None and self.key[-1] == ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What carried a message: for a `SyncItem` the payload is the message, and the quarantine keeps the whole item."""

    method: str
    content: object


def read_update(entity_type: EntityType, message: object, *, delete: bool = False, envelope: Envelope | None = None) -> Update:
    """Make an update of a message.

    Args:
        delete: it came as a `Delete`, so all but the key may be missing.
        envelope: what it came in, where that is not the type's own method.

    Raises:
        MalformedError: says which field is missing or wrong.
    """
    if not isinstance(message, dict):
        raise MalformedError(f"{entity_type.name}: an object is needed, this is {_kind(message)}")
    names = any_case(message)
    deleted = delete or names.get("isdeleted") is True
    values: dict[str, object] = {}
    for field in entity_type.fields:
        given = names.pop(field.wire.lower(), None)
        if given is None:
            if field.required and not (deleted and field.column not in entity_type.keys):
                raise MalformedError(f"{entity_type.name}: {field.wire} is missing")
            values[field.column] = field.default
        else:
            try:
                values[field.column] = _READERS[field.kind](given)
            except MalformedError as error:
                raise MalformedError(f"{entity_type.name}: {field.wire} {error}") from None
    values["is_deleted"] = int(deleted)
    if values["version"] is None and values["updated_at"] is None:  # nothing would tell whether it is news
        raise MalformedError(f"{entity_type.name}: updatedAt is missing")
    known = {field.wire.lower() for field in entity_type.fields}
    extra = {name: value for name, value in message.items() if name.lower() not in known}
    return Update(
        entity_type=entity_type,
        key=tuple(values[key] for key in entity_type.keys),
        values=(*(values[field.column] for field in entity_type.fields), json_text(extra) if extra else None),
        version=values["version"],  # type: ignore[arg-type]
        updated_at=values["updated_at"],  # type: ignore[arg-type]
        correlation_id=values["correlation_id"],  # type: ignore[arg-type]
        deleted=deleted,
        key_only=deleted and any(field.required and values[field.column] is None for field in entity_type.fields),
        method=entity_type.method if envelope is None else envelope.method,
        message=message if envelope is None else envelope.content,
    )


def is_newer(update: Update, version: object, updated_at: object) -> bool:
    """Whether the update replaces what is there: `version` decides where both sides have it, else `updatedAt`; equal is a no-op."""
    if update.version is not None and version is not None:
        return _order(update.version) > _order(version)
    if update.updated_at is not None and isinstance(updated_at, str):
        return update.updated_at > updated_at
    # One side has no date at all: the side that has one is taken to know more.
    return update.updated_at is not None or updated_at is None


def json_text(value: object) -> str:
    """JSON text in which every number stands as it stood on the wire."""
    try:
        return orjson.dumps(_exact(value)).decode()
    except (TypeError, RecursionError) as error:
        raise MalformedError(f"it holds what no JSON text can say: {error}") from None


def raw_text(message: object) -> str:
    """The message as it is kept in the quarantine."""
    try:
        return json_text(message)
    except MalformedError:  # half a surrogate pair, or nested without end: as Python shows it
        return ascii(message)


def _exact(value: object) -> object:
    if isinstance(value, Number):
        return orjson.Fragment(str(value))
    if isinstance(value, dict):
        return {name: _exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_INTEGER:
        return orjson.Fragment(str(value))
    return value


def _order(version: object) -> tuple[int, int, str]:
    text = str(version)
    return (0, int(text), "") if _WHOLE.fullmatch(text) else (1, 0, text)


def _kind(value: object) -> str:
    return {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", Number: "a number"}.get(
        type(value), "null"
    )


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MalformedError("holds half of a surrogate pair, which is no text") from None
    return str(text)


def _identifier(value: object) -> int | str:
    if isinstance(value, bool | Number) or not isinstance(value, int | str) or value == "":
        raise MalformedError(f"must be a whole number or text, this is {_kind(value)}")
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise MalformedError("is a number above 64 bits")
        return value
    return _encodable(value)


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise MalformedError(f"must be text, this is {_kind(value)}")
    return _encodable(str(value))


def _decimal(value: object) -> str:
    """To the digit, in plain notation, within what .NET's `decimal` and SQL's DECIMAL(38, …) can hold."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if len(text) > MAX_DECIMAL_CHARACTERS or not _DECIMAL.fullmatch(text):
        raise MalformedError(f"must be a decimal number, this is {_kind(value) if not isinstance(value, str) else repr(value[:40])}")
    is_plain = "e" not in text.lower()
    if is_plain and len(text) < MAX_DIGITS:  # nearly all are
        return text
    _, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)  # neither NaN nor Infinity: those are no digits
    coefficient = int("".join(map(str, digits)))
    is_too_large = coefficient > 0 and len(digits) + exponent > MAX_DIGITS
    if is_too_large or -exponent > MAX_SCALE or coefficient * 10 ** max(0, exponent if coefficient else 0) > MAX_COEFFICIENT:
        raise MalformedError(
            f"must be a decimal of at most {MAX_DIGITS} digits, {MAX_SCALE} of them behind the point, as .NET has it; this is {text!r}"
        )
    return text if is_plain else format(Decimal(text), "f")


def _flag(value: object) -> int:
    if not isinstance(value, bool):
        raise MalformedError(f"must be true or false, this is {_kind(value)}")
    return int(value)


def _time(value: object) -> str:
    text = sortable(value) if isinstance(value, str) else None
    if text is None:
        raise MalformedError(f"must be a time in ISO 8601, this is {repr(value[:40]) if isinstance(value, str) else _kind(value)}")
    return text


def _version(value: object) -> int | str:
    if isinstance(value, Number):
        raise MalformedError("must be a whole number or text, this is a fraction")
    return _identifier(value)


def _json(value: object) -> str:
    return _encodable(value) if isinstance(value, str) and not isinstance(value, Number) else json_text(value)


_READERS: dict[str, Any] = {
    "identifier": _identifier, "text": _text, "decimal": _decimal, "flag": _flag, "time": _time, "version": _version, "json": _json,
}  # fmt: skip
