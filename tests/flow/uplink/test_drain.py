"""`syncd drain --certify`: may this PC be switched off for good?"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import syncd
from tests.support.flow import make_store
from tests.support.hubs import BOTH, counted, faults, flow_hub

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.store import Store

NOBODY = "http://127.0.0.1:9/hubs/sync"


def receipt(entity_id: object) -> tuple[str, object, str, str, int]:
    return ("Receipt", entity_id, "Create", json.dumps({"total": "12.50", "ä": str(entity_id)}), 3)


async def certify(store: Store, *more: str) -> tuple[int, dict[str, Any]]:
    done = await syncd(store, "drain", "--certify", "--json", *more)
    assert done.out, done.err
    document: dict[str, Any] = json.loads(done.out)
    assert document["certified"] == (done.code == 0)
    return done.code, document


@pytest.mark.parametrize("kind", BOTH)
async def test_it_waits_until_hq_has_everything_and_the_digest_is_the_one_that_hq_has(kind: str, tmp_path: Path) -> None:
    async with flow_hub(kind) as hub:
        store = await make_store(tmp_path, hub.url(), store__name="Main street")
        store.sell([receipt(n) for n in range(400)] + [receipt(5.0), receipt("ß")])
        await faults(hub, delayMs=50)
        async with store.running():
            store.sell([receipt("sold meanwhile")])
            done = await syncd(store, "drain", "--certify")
            assert done.code == 0, done
            assert "rows       403 in the file, sequence 1 to 403, all at HQ" in done.out
            assert "This PC may be switched off for good" in done.out
            assert f"digest     {(await counted(hub))['digest']}" in done.out
            assert "store      7 (Main street)" in done.out


async def test_what_hq_has_not_is_named_and_is_no_certificate(tmp_path: Path) -> None:
    async with flow_hub("development") as hub:
        store = await make_store(tmp_path, hub.url(), sync__max_attempts=1)
        store.sell([receipt(n) for n in range(5)])
        await faults(hub, refuseEntityIds=["3"])
        async with store.running():
            done = await syncd(store, "drain", "--certify")
            assert done.code == 1
            assert "NO CERTIFICATE for store 7: do not switch this PC off for good" in done.out
            assert "1 row failed" in done.out
            assert "4  Receipt 3 (Create, written" in done.out
            assert (await syncd(store, "outbox", "cancel", "4")).code == 0
            code, document = await certify(store)
            assert (code, document["atHQ"]["rows"], document["atHQ"]["cancelled"]) == (0, 4, 1)
            store.query(
                "INSERT INTO sync_quarantine (method, reason, raw, received_at) VALUES ('ReceivePriceUpdate', 'no price', '{}', '')"
            )
            certified, drained = await asyncio.gather(syncd(store, "drain", "--certify"), syncd(store, "drain"))
            assert (certified.code, "1 update of HQ could not be applied here" in certified.out) == (1, True)
            assert (drained.code, drained.out) == (0, "HQ has every row up to sequence 5\n"), "which is another question"


async def test_where_nobody_sends_it_says_so_and_ends(tmp_path: Path) -> None:
    store = await make_store(tmp_path, NOBODY)
    store.sell([receipt(1)])
    done = await syncd(store, "drain", "--certify", "--timeout", "1s")
    assert done.code == 1
    assert "1 row waits for HQ:" in done.out
    assert "syncd is not running" in done.err
    code, document = await certify(store, "--timeout", "1s")
    assert (code, document["atHQ"], document["pending"]["total"]) == (1, None, 1)


async def test_an_empty_store_may_go(tmp_path: Path) -> None:
    store = await make_store(tmp_path, NOBODY)
    code, document = await certify(store)
    assert (code, document["atHQ"]["rows"], document["atHQ"]["digest"]) == (0, 0, "0" * 64)
