"""A hub that repeats what it was told in its refusals: no secret of ours gets into a file, the log or the status by that way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.flow import make_store
from tests.support.scripted_hub import ScriptedHub, Wire
from tests.support.store import until

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "0paque-CANARY-4711"


async def refuse_all(wire: Wire) -> None:
    """Refuse every row with the token in the reason: even ones may be tried again, odd ones never."""
    while (message := await wire.listen()) is not None:
        if message.get("type") != 1 or "invocationId" not in message:
            continue
        acks = None
        if message["target"] == "SendSyncBatch":
            acks = [
                {
                    "correlationId": item["correlationId"],
                    "success": False,
                    "errorMessage": f"no rights for Bearer {TOKEN}, that is {TOKEN}" + " x" * 5000,
                    "retryable": item["entityId"] % 2 == 0,
                }
                for item in message["arguments"][0]
            ]
        await wire.say({"type": 3, "invocationId": message["invocationId"], "result": acks})


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "token"}


@pytest.mark.parametrize("final", [False, True], ids=["retried", "failed"])
async def test_a_token_that_a_refusal_repeats_is_in_no_file_no_log_and_no_status(tmp_path: Path, *, final: bool) -> None:
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    async with ScriptedHub(refuse_all) as hub:
        store = await make_store(tmp_path, hub.url, hub__access_token_file=str(secret), sync__retry_base_seconds=0.1)
        store.sell([("Receipt", int(final), "Create", "{}", 3)])
        async with store.running():
            await until(lambda: store.query("SELECT 1 FROM sync_outbox WHERE last_error IS NOT NULL"), "the till's file has the reason")
            await until(lambda: store.status()["outbox"]["recentErrors"], "the status has the reason")
            while_running = files_of(tmp_path)
    for files in (while_running, files_of(tmp_path)):
        assert {"store.db", "store.db.syncd", "syncd.log", "status.json"} <= files.keys()
        assert [name for name, content in files.items() if TOKEN.encode() in content] == []
    reason = store.query("SELECT last_error FROM sync_outbox")[0][0]
    assert reason.startswith("no rights for Bearer ***, that is *** x x")
    assert len(reason) <= 300
