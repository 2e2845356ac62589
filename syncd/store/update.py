"""A message of HQ's, read into what its table takes, or refused with the reason. Nothing here touches a database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import TYPE_CHECKING

from syncd.store.field_values import MalformedError, json_text
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
        values: of `EntityType.columns`, without `applied_at` and `change_seq`.
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
    def kind(self) -> str:
        """The name of its kind, as HQ has it where nobody has declared it."""
        return str(self.key[0]) if self.entity_type.is_undeclared else self.entity_type.name

    @property
    def entity_id(self) -> str:
        """The key in one piece, for people."""
        return "/".join(str(part) for part in self.key[self.entity_type.is_undeclared :] if part != "")

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
    is_partial, known = False, 0
    for reader in entity_type.readers:
        column = reader.field.column
        if reader.name in names:
            known += 1
        given = names.get(reader.name)
        if given is None:
            if reader.required:
                if reader.always or not deleted:
                    raise MalformedError(f"{entity_type.name}: {reader.field.wire} is missing")
                is_partial = is_partial or reader.default is None
            values[column] = reader.default
        else:
            try:
                values[column] = reader.read(given)
            except MalformedError as error:
                raise MalformedError(f"{entity_type.name}: {reader.field.wire} {error}") from None
    values["is_deleted"] = int(deleted)
    if values["version"] is None and values["updated_at"] is None and not entity_type.is_undeclared:
        raise MalformedError(f"{entity_type.name}: updatedAt is missing")  # then nothing tells whether it is newer
    extra = None
    if known < len(message):
        extra = {name: value for name, value in message.items() if name.lower() not in entity_type.wire_names} or None
    return Update(
        entity_type=entity_type,
        key=tuple([values[key] for key in entity_type.keys]),
        values=(*values.values(), None if extra is None else json_text(extra)),
        version=values["version"],  # type: ignore[arg-type]
        updated_at=values["updated_at"],  # type: ignore[arg-type]
        correlation_id=values["correlation_id"],  # type: ignore[arg-type]
        deleted=deleted,
        key_only=deleted and (is_partial or _says_only_which(entity_type, names)),
        method=entity_type.method if envelope is None else envelope.method,
        message=message if envelope is None else envelope.content,
    )


def _says_only_which(entity_type: EntityType, names: dict[str, object]) -> bool:
    """Whether none of the kind's own fields is given, besides its key."""
    own = (reader.name for reader in entity_type.readers if reader.field.column not in entity_type.key_and_tail)
    return all(names.get(name) is None for name in own)


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
