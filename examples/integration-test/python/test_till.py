"""A till against a small HQ: pip install syncd pytest, then pytest."""

import sqlite3
from decimal import Decimal


def sell(database, receipt, total):  # the till's own code
    till = sqlite3.connect(database, timeout=5)
    with till:
        till.execute(
            "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority) VALUES ('Receipt', ?, 'Create', ?, 2)",
            (receipt, f'{{"receiptId":{receipt},"total":"{total}"}}'),
        )
    till.close()


def test_a_sale_reaches_hq(syncd_hub, syncd_store):
    sell(syncd_store.database, 1042, "12.50")
    assert syncd_hub.wait_for_item("Receipt", 1042)["payload"] == '{"receiptId":1042,"total":"12.50"}'


def test_a_sale_reaches_hq_once_it_is_back(syncd_hub, syncd_store):
    syncd_hub.stop()
    sell(syncd_store.database, 1043, "3.10")
    syncd_hub.start()
    assert syncd_hub.wait_for_item("Receipt", 1043)


def test_a_price_of_hq_is_in_the_tills_table(syncd_hub, syncd_store):
    price = {"productId": 7, "price": Decimal("12.50"), "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z"}
    syncd_hub.push("ReceivePriceUpdate", price)
    assert syncd_store.wait_for_row("SELECT price FROM current_prices WHERE product_id = 7") == ("12.50",)
