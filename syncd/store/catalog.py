"""The four kinds that the contract declares, field by field."""

from __future__ import annotations

from syncd.store.entity_type import EntityType, Field
from syncd.store.field_values import MalformedError

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
