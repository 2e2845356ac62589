"""A message of HQ's, read into what its table takes, or refused with the reason. Nothing here touches a database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import TYPE_CHECKING

from syncd.store.field_values import MalformedError, json_text
from syncd.wire.json import json_type

if TYPE_CHECKING:
    from syncd.store.entity_type import EntityType
    from syncd.store.fields import Layout

_WHOLE = re.compile(r"-?\d{1,64}", re.ASCII)  # Python refuses to read numbers of thousands of digits


@dataclass(slots=True)
class Update:
    """A message that can be applied; not frozen, since that would take a microsecond more for each.

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
        """See `EntityType.kind_of`."""
        return self.entity_type.kind_of(self.key)

    @property
    def entity_id(self) -> str:
        """See `EntityType.entity_id_of`."""
        return self.entity_type.entity_id_of(self.key)

    @property
    def deletes_group(self) -> bool:
        """It deletes all rows that share its `group_keys`."""
        return self.deleted and self.entity_type.open_key is not None and self.key[-1] == ""


@dataclass(slots=True)
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
    layout = entity_type.layouts[tuple(message)]
    deleted = delete or (layout.delete_flag is not None and message[layout.delete_flag] is True)
    values = list(entity_type.defaults)
    missing = list(layout.missing)
    for place, name, reader in layout.fields:
        given = message[name]
        if given is not None:
            try:
                values[place] = reader.read(given)
            except MalformedError as error:
                raise MalformedError(f"{entity_type.name}: {reader.field.wire} {error}") from None
        elif reader.required:
            missing.append(reader)
    for reader in missing:
        if reader.always or not deleted:
            raise MalformedError(f"{entity_type.name}: {reader.field.wire} is missing")
    places = entity_type.places
    values[places["is_deleted"]] = int(deleted)
    version, updated_at = values[places["version"]], values[places["updated_at"]]
    if version is None and updated_at is None and not entity_type.is_undeclared:
        raise MalformedError(f"{entity_type.name}: updatedAt is missing")  # then nothing tells whether it is newer
    values.append(json_text({name: message[name] for name in layout.unknown}) if layout.unknown else None)
    return Update(
        entity_type=entity_type,
        key=tuple([values[place] for place in entity_type.key_places]),
        values=tuple(values),
        version=version,  # type: ignore[arg-type]
        updated_at=updated_at,  # type: ignore[arg-type]
        correlation_id=values[places["correlation_id"]],  # type: ignore[arg-type]
        deleted=deleted,
        key_only=deleted and (any(reader.default is None for reader in missing) or _says_only_which(entity_type, layout, message)),
        method=entity_type.method if envelope is None else envelope.method,
        message=message if envelope is None else envelope.content,
    )


def _says_only_which(entity_type: EntityType, layout: Layout, message: dict[str, object]) -> bool:
    """Whether none of the kind's own fields is given, besides its key."""
    own = (name for _, name, reader in layout.fields if reader.field.column not in entity_type.key_and_tail)
    return all(message[name] is None for name in own)


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
