"""The fields of a kind's message, and how a message is read that has some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.store.field_values import READERS

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        wire: its name there.
        column: its name in the table.
        kind: `identifier`, `text`, `integer`, `decimal`, `boolean`, `time`, `json`, `version` or `barcodes`.
        required: a message without it is malformed (unless it is a delete).
        default: what stands in for it.
    """

    wire: str
    column: str
    kind: str
    required: bool = False
    default: object = None


@dataclass(frozen=True, slots=True)
class FieldReader:
    """How a field is read, worked out once: this is done for every field of every update.

    Attributes:
        name: of the field, in lower case.
        always: an update cannot do without it, not even a delete.
    """

    name: str
    read: Callable[[object], int | str]
    field: Field
    default: object
    required: bool
    always: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """How messages with the same names are read.

    Attributes:
        fields: those that they have: place in `Update.values`, name, reader.
        missing: the required ones that they do not have.
        delete_flag: the name of `isDeleted` in them.
        unknown: names that no field has.
    """

    fields: tuple[tuple[int, str, FieldReader], ...]
    missing: tuple[FieldReader, ...]
    delete_flag: str | None
    unknown: tuple[str, ...]


def reader_of(field: Field, *, in_key: bool) -> FieldReader:
    """Its reader, of a field that is part of the primary key or not."""
    return FieldReader(field.wire.lower(), READERS[field.kind], field, field.default, field.required, field.required and in_key)


def layout_of(readers: tuple[FieldReader, ...], names: tuple[str, ...]) -> Layout:
    """The layout of messages with these names, matched in any case."""
    given = {name.lower(): name for name in names}
    known = {reader.name for reader in readers}
    return Layout(
        tuple((place, given[reader.name], reader) for place, reader in enumerate(readers) if reader.name in given),
        tuple(reader for reader in readers if reader.required and reader.name not in given),
        given.get("isdeleted"),
        tuple(name for name in names if name.lower() not in known),
    )
