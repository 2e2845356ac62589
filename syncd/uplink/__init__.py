"""Store to HQ: the outbox's rows in order, in batches, and what HQ says of them."""
