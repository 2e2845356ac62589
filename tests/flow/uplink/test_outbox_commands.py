"""`syncd outbox` as a technician calls it, beside the running daemon and without it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from aiohttp import web

from tests.support.commands import succeeded, syncd
from tests.support.flow import arrived, make_store
from tests.support.hubs import faults, flow_hub
from tests.support.scripted_hub import ScriptedHub
from tests.support.store import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.scripted_hub import Wire
    from tests.support.store import Store


def receipts(*ids: object) -> list[tuple[str, object, str, str, int]]:
    return [("Receipt", entity_id, "Create", '{"total":"12.50"}', 3) for entity_id in ids]


def on_a_terminal(store: Store, answer: str, *arguments: str) -> tuple[int, str]:
    """What it says and how it ends where somebody sits there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "syncd", *arguments, "--config", str(store.config_path)],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={key: value for key, value in os.environ.items() if not key.startswith("SYNCD_")},
    )  # fmt: skip
    os.write(ours, f"{answer}\n".encode())
    output, _ = process.communicate(timeout=90)
    os.close(ours)
    os.close(theirs)
    return process.returncode, output.decode()


async def test_rows_are_listed_shown_retried_and_purged_beside_the_daemon(tmp_path: Path) -> None:
    async with flow_hub("development") as hub:
        store = await make_store(tmp_path, hub.url(), sync__max_attempts=1)
        await faults(hub, refuseEntityIds=["9"])
        store.sell([*receipts(1, 2, 3), ("Cart", 9, "Create", '{"secret":"4711"}', 3)])
        async with store.running():
            await arrived(hub, 3)
            await until(lambda: store.count("failed") == 1, "the cart has failed")
            (line,) = (await succeeded(store, "outbox", "list", "--status", "failed", "--json")).splitlines()
            row = json.loads(line)
            assert (row["entity_type"], "payload" in row) == ("Cart", False)
            assert await succeeded(store, "outbox", "list", "--status", "failed", "--entity", "Receipt") == "No such rows.\n"
            assert '{"secret":"4711"}' in await succeeded(store, "outbox", "show", str(row["id"]))
            assert (await syncd(store, "outbox", "show", "99")).code == 1
            await faults(hub)
            assert await succeeded(store, "outbox", "retry", "--all", "--entity", "Cart/9") == "1 row will be sent again\n"
            await arrived(hub, 4)
            await until(lambda: store.count("sent") == 4, "the marks follow")
            assert await succeeded(store, "outbox", "purge", "--entity", "Receipt", "--since", "1d", "--yes") == "3 rows deleted\n"
            assert store.query("SELECT entity_type FROM sync_outbox") == [("Cart",)]
            assert await succeeded(store, "outbox", "purge", "--before", "1d", "--yes") == "No such rows.\n"


async def test_nothing_is_lost_without_a_word_of_somebody(tmp_path: Path) -> None:
    store = await make_store(tmp_path, "http://127.0.0.1:9/hubs/sync")
    store.sell(receipts(1, 2, 3, 4, 5))
    with closing(store.till()) as till:
        till.execute("UPDATE sync_outbox SET status = 'sent' WHERE id = 1")
    for arguments in (["purge"], ["cancel", "--all", "--status", "pending"]):
        done = await syncd(store, "outbox", *arguments)
        assert done.code == 64
        assert "There is no terminal to ask on: say --yes" in done.err
    assert await succeeded(store, "outbox", "cancel", "2") == "1 row cancelled\n", "a row named by its id, in a script"
    assert on_a_terminal(store, "n", "outbox", "cancel", "3")[0] == 1
    assert store.count("cancelled") == 1
    code, said = on_a_terminal(store, "y", "outbox", "cancel", "3")
    assert (code, store.count("cancelled")) == (0, 2)
    assert "Cancel 1 row for good, so that HQ never gets it?" in said
    assert (
        await succeeded(store, "outbox", "cancel", "--all", "--status", "pending", "--entity", "Receipt/4", "--yes") == "1 row cancelled\n"
    )
    assert await succeeded(store, "outbox", "purge", "--yes") == "1 row deleted\n"
    assert (store.count("sent"), store.count("cancelled"), store.count("pending")) == (0, 3, 1)
    done = await syncd(store, "outbox", "retry", "3", "--entity", "Receipt")
    assert (done.code, "filters go with --all" in done.err) == (64, True)


async def test_a_row_that_was_cancelled_in_flight_does_not_go_again_once_its_line_was_lost(tmp_path: Path) -> None:
    sent: list[list[int]] = []
    arrived, line_breaks, is_down = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def script(wire: Wire) -> None:
        while (message := await wire.listen()) is not None:
            if message.get("target") == "SendSyncBatch":
                sent.append([item["sequence"] for item in message["arguments"][0]])
                if len(sent) == 1:
                    arrived.set()
                    await line_breaks.wait()
                    return
            if "invocationId" in message:
                await wire.say({"type": 3, "invocationId": message["invocationId"], "result": None})

    hub = ScriptedHub(script)
    hub.negotiated = lambda request: web.Response(status=503) if is_down.is_set() else hub.normally(request)
    async with hub:
        store = await make_store(tmp_path, hub.url, hub__invocation_timeout_seconds=60)
        store.sell(receipts(1, 2, 3))
        async with store.running():
            await arrived.wait()
            assert await succeeded(store, "outbox", "cancel", "2") == "1 row cancelled\n"
            await until(lambda: store.status()["outbox"]["pending"]["total"] == 2, "the daemon knows of it")
            is_down.set()
            line_breaks.set()
            await until(lambda: store.status()["state"] != "online" and store.status()["state"] != "syncing", "the line is lost")
            is_down.clear()
            await until(lambda: store.count("sent") == 2, "the others are at HQ")
    assert sent == [[1, 2, 3], [1, 3]]
