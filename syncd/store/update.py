"""A message of HQ's, read into what its table takes, or refused with the reason. Nothing here touches a database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import TYPE_CHECKING

from syncd.store.field_values import READERS, MalformedError, json_text
from syncd.wire.json import json_type
from syncd.wire.messages import any_case

if TYPE_CHECKING:
    from syncd.store.entity_type import EntityType

_WHOLE = re.compile(r"-?\d{1,64}", re.ASCII)  # Python refuses to read numbers of thousands of digits


@dataclass(frozen=True, slots=True)
class Update:
    """A message that can be applied.

    Attributes:
        key: the values of the table's primary key.
        values: of `EntityType.columns`, without `applied_at`.
        deleted: the row becomes (or stays) a tombstone.
        key_only: a delete with no more than the key: the row's other columns keep their values.
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
        delete: its operation is `Delete`, so that all but the key may be missing.
        envelope: what carried it, where that is not the type's own method.

    Raises:
        MalformedError: says which field is missing or wrong.
    """
    if not isinstance(message, dict):
        raise MalformedError(f"{entity_type.name}: an object is needed, this is {json_type(message)}")
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
                values[field.column] = READERS[field.kind](given)
            except MalformedError as error:
                raise MalformedError(f"{entity_type.name}: {field.wire} {error}") from None
    values["is_deleted"] = int(deleted)
    if values["version"] is None and values["updated_at"] is None:  # then nothing tells whether it is newer
        raise MalformedError(f"{entity_type.name}: updatedAt is missing")
    extra = {name: value for name, value in message.items() if name.lower() not in entity_type.wire_names}
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
    """Whether the update replaces the row: `version` decides where both have it, else `updatedAt`; equal does not.

    Only whole numbers have an order: of two texts, such as hashes, nobody knows which is newer but by `updatedAt`.
    """
    if update.version is not None and version is not None:
        had, given = str(version), str(update.version)
        if had == given:
            return False
        if _WHOLE.fullmatch(had) and _WHOLE.fullmatch(given):
            return int(given) > int(had)
    if update.updated_at is not None and isinstance(updated_at, str):
        return update.updated_at > updated_at
    # One side has no date at all: the side that has one is taken to know more.
    return update.updated_at is not None or updated_at is None
