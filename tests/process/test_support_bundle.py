"""`syncd support-bundle` with the daemon alive and dead, the configuration bad, the disk full; what is in it, and what never is."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import syncd
from tests.support.disks import fill, small_disk
from tests.support.flow import make_store
from tests.support.hubs import flow_hub
from tests.support.store import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.store import Store

NOBODY = "http://127.0.0.1:9/hubs/sync"
PARTS = {
    "about.txt", "versions.txt", "configuration.txt", "status.json", "check.txt", "database.json", "quarantine.txt", "files.txt",
    "service.txt", "log.txt",
}  # fmt: skip
CANARIES = {
    "token": "canary-token-7f3a91", "proxy": "canary-proxy-pass-22", "query": "canary-query-token-5", "environ": "canary-environ-8c",
    "sale": "canary-sale-payload-1", "failed": "canary-failed-payload-2", "update": "canary-update-3", "price": "canary-price-4",
}  # fmt: skip


def unpacked(content: bytes) -> dict[str, str]:
    """Each part's text; all of them are in one folder."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


async def bundle(store: Store, environ: dict[str, str] | None = None) -> dict[str, str]:
    file = store.folder / "bundle.tar.gz"
    done = await syncd(store, "support-bundle", "-o", file, environ=environ or {})
    assert done.code == 0, done
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    found = unpacked(file.read_bytes())
    assert found.keys() == PARTS
    assert [name for name, text in found.items() if "Traceback" in text or not text.strip()] == []
    return found


async def a_store_with_canaries(folder: Path, url: str) -> Store:
    (folder / "token").write_text(f"{CANARIES['token']}\n")
    (folder / "proxy").write_text(f"http://user:{CANARIES['proxy']}@127.0.0.1:3128\n")
    store = await make_store(folder, f"{url}?code={CANARIES['query']}", hub__access_token_file=str(folder / "token"), sync__max_attempts=1)
    store.sell(
        [
            ("Receipt", 1, "Create", json.dumps({"note": CANARIES["sale"]}), 3),
            ("Cart", 2, "Create", json.dumps({"note": CANARIES["failed"]}), 3),
        ]
    )
    store.query(
        "INSERT INTO sync_quarantine (method, reason, raw, received_at) VALUES ('ReceivePriceUpdate', ?, ?, '2026-11-24T10:00:00Z')",
        f"price '{CANARIES['price']}' is no decimal", json.dumps({"note": CANARIES["update"]}),
    )  # fmt: skip
    return store


async def test_it_tells_all_that_support_needs_and_neither_a_secret_nor_a_payload(tmp_path: Path) -> None:
    async with flow_hub("development") as hub:
        store = await a_store_with_canaries(tmp_path, hub.url())
        await hub.control("PUT", "faults", {"refuseEntityIds": ["2"]})
        async with store.running():
            await until(lambda: (store.count("sent"), store.count("failed")) == (1, 1), "one row is sent, one has failed")
            await until(lambda: store.status()["outbox"]["failed"] == 1, "the status says so")
            found = await bundle(store, {"SYNCD_LOG__LEVEL": "info", "HTTPS_PROXY": f"http://u:{CANARIES['environ']}@proxy:1"})
            (tmp_path / "key.pem").write_text("\n".join(["-----BEGIN PRIVATE KEY-----", *(f"canary-key-line-{n:02}" for n in range(40))]))
            store.write_config(
                hub__proxy_file=str(tmp_path / "proxy"), hub__client_certificate_file=str(tmp_path / "key.pem"),
                hub__client_key_file=str(tmp_path / "key.pem"),
            )  # fmt: skip
            with_proxy = await bundle(store, {"SYNCD_STORE__NAME": f"{CANARIES['token']} and {CANARIES['proxy']}"})
        for name, text in [*found.items(), *with_proxy.items()]:
            assert [canary for canary in CANARIES.values() if canary in text] == [], name
        assert json.loads(found["status.json"])["document"]["outbox"]["failed"] == 1
        database = json.loads(found["database.json"])
        assert {row["status"]: row["count(*)"] for row in database["outbox"]["byStatus"]} == {"sent": 1, "failed": 1}
        assert database["outbox"]["failed"][0]["entity_type"] == "Cart"
        assert "1 entries" in found["quarantine.txt"]
        assert "price *** is no decimal" in found["quarantine.txt"]
        assert "quick_check found nothing wrong" in found["check.txt"]
        assert 'access_token_file = "' in found["configuration.txt"]
        assert "SYNCD_LOG__LEVEL = info" in found["configuration.txt"]
        assert "HTTPS_PROXY is set" in found["configuration.txt"]
        assert "SQLite" in found["versions.txt"]
        assert "store.db.syncd" in found["files.txt"]


async def test_it_works_with_the_daemon_dead_and_no_database_and_by_way_of_a_pipe(tmp_path: Path) -> None:
    store = await make_store(tmp_path, NOBODY)
    for ending in ("", "-wal", "-shm"):
        store.path.with_name(store.path.name + ending).unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "syncd", "support-bundle", "-o", "-", "--config", str(store.config_path),
        stdout=asyncio.subprocess.PIPE, env={key: value for key, value in os.environ.items() if not key.startswith("SYNCD_")},
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    found = unpacked(output)
    assert found.keys() == PARTS
    assert "is not there yet" in json.loads(found["database.json"])["outbox"]["error"]
    assert json.loads(found["status.json"])["verdict"] == "missing"


@pytest.mark.parametrize(
    "text",
    [
        'hub = 7\n[store]\nurl = "http://x"\naccess_token = "canary-3"\n',
        '[hub]\nurl = "https://u:canary-1@hq.example.com/hub?token=canary-2"\naccess_token = "canary-3"\n',
        'hub\nurl = "https://u:canary-1@hq/hub?access_token=canary-2"\naccess_token = "canary-3" # canary-4\n# canary-5\n',
    ],
)
async def test_a_configuration_that_cannot_be_used_is_told_with_its_secrets_masked(tmp_path: Path, text: str) -> None:
    store = await make_store(tmp_path, NOBODY)
    store.config_path.write_text(text)
    found = await bundle(store)
    assert "canary" not in "".join(found.values())
    assert "url = " in found["configuration.txt"]
    assert "access_token" in found["configuration.txt"]


async def test_a_full_disk_is_74_with_the_way_out_and_another_disk_takes_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 3) as disk:
        store = await make_store(tmp_path, NOBODY, database__path=str(disk / "store.db"))
        fill(disk)
        done = await syncd(store, "support-bundle", "-o", disk / "bundle.tar.gz")
        assert done.code == 74
        assert "name a file on another disk with -o, or pipe it away with -o -" in done.err
        assert not (disk / "bundle.tar.gz").exists()
        found = await bundle(store)
        assert "make room, sales are at risk" in found["check.txt"]
        done = await syncd(store, "outbox", "list")
        assert (done.code, "there is no room left on the disk" in done.err) == (74, True)


async def test_it_follows_no_link_that_somebody_has_put_in_its_place(tmp_path: Path) -> None:
    store = await make_store(tmp_path, NOBODY)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "bundle.tar.gz").symlink_to(victim)
    done = await syncd(store, "support-bundle", "-o", str(tmp_path / "bundle.tar.gz"))
    assert done.code == 74
    assert victim.read_text() == "precious"
