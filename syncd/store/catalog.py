"""The kinds that HQ sends: those that every store has, the chain's own, and all that nobody has declared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from syncd.config.entities import own_kinds, snake_case, spellings
from syncd.store.entity_type import EntityType
from syncd.store.fields import Field

if TYPE_CHECKING:
    from syncd.config.entities import Declarations, EntityDeclaration

NORMALISED = {("products", "barcodes"): "barcodes"}
"""Columns that are not kept as HQ wrote them, and what reads them instead."""


def _tail(*, dated: bool) -> tuple[Field, ...]:
    """What every kind has. Of ours each update is dated; of others it has a date or a version."""
    return (
        Field("isDeleted", "is_deleted", "boolean", default=0),
        Field("version", "version", "version"),
        Field("updatedAt", "updated_at", "time", required=dated),
        Field("correlationId", "correlation_id", "text"),
    )


UNDECLARED = EntityType(
    "Entity", "", "entities", ("entity_type", "entity_id"),
    (
        Field("entityType", "entity_type", "text", required=True), Field("entityId", "entity_id", "identifier", required=True),
        Field("payload", "payload", "json"), *_tail(dated=False),
    ),
    is_own=True, is_undeclared=True,
)  # fmt: skip
"""Rows of kinds that nobody has declared, as they came in a `SyncItem`."""


def entity_type(name: str, declared: EntityDeclaration, *, is_own: bool = False) -> EntityType:
    """The kind of a declaration."""
    table = declared.table_of(name)
    fields = []
    for wire, field in declared.fields.items():
        column = snake_case(wire)
        default: object = "" if wire == declared.open_key else field.default
        fields.append(
            Field(
                wire, column, NORMALISED.get((table, column), field.type), default=int(default) if isinstance(default, bool) else default,
                required=field.required or (wire in declared.key and default is None),
            )
        )  # fmt: skip
    return EntityType(
        name, declared.method_of(name), table, tuple(snake_case(wire) for wire in declared.key),
        (*fields, *_tail(dated=is_own)), open_key=declared.open_key and snake_case(declared.open_key),
        indexes=tuple(tuple(snake_case(wire) for wire in index) for index in declared.indexes), is_own=is_own,
    )  # fmt: skip


@dataclass(frozen=True)
class Catalog:
    """The kinds of one store.

    Attributes:
        kinds: that are declared; ours first.
    """

    kinds: tuple[EntityType, ...]

    @cached_property
    def _by_name(self) -> dict[str, EntityType]:
        return {name: kind for kind in self.kinds for name in spellings(kind.name, kind.table)}

    @property
    def declared(self) -> tuple[EntityType, ...]:
        """The chain's own."""
        return tuple(kind for kind in self.kinds if not kind.is_own)

    @property
    def tables(self) -> tuple[EntityType, ...]:
        """All that has a table, and with it a `change_seq`."""
        return (*self.kinds, UNDECLARED)

    def of(self, name: str) -> EntityType | None:
        """The kind of a `SyncItem`; None for one that nobody has declared."""
        return self._by_name.get(name.lower())


ENTITY_TYPES = tuple(entity_type(name, declared, is_own=True) for name, declared in own_kinds().items())
PRODUCT, PRICE, INVENTORY, TRANSACTION = ENTITY_TYPES
OWN_KINDS = Catalog(ENTITY_TYPES)
"""Where a configuration declares nothing."""


def catalog_of(declared: Declarations) -> Catalog:
    """The catalog of a store with these kinds of its chain's own."""
    return Catalog((*ENTITY_TYPES, *(entity_type(name, kind) for name, kind in declared.items()))) if declared else OWN_KINDS
