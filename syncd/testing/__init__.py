"""For the tests of a till or of HQ: a small HQ and a store's daemon, as processes of their own, and what to wait for.

With pytest, one line in `conftest.py` gives the fixtures `syncd_hub` and `syncd_store`:

    pytest_plugins = ["syncd.testing.plugin"]

Without pytest:

    with Hub(folder) as hub, Store(folder, hub.url) as store:
        my_till.sell(store.database)
        assert hub.wait_for_item("Receipt", 1042)["operation"] == "Create"
"""

from syncd.testing.hub import Hub
from syncd.testing.process import PATIENCE_SECONDS, wait_until
from syncd.testing.store import Store

__all__ = ["PATIENCE_SECONDS", "Hub", "Store", "wait_until"]
