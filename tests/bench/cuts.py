"""Many random cuts under load in both directions: is anything lost, doubled, leaked?

    SYNCD_REFHUB=… python -m tests.bench.cuts [--cuts 1000] [--seed 1]

A fault proxy resets the daemon's connection at a random number of bytes, again and again, while a till writes and HQ pushes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path

from tests.support.fault_proxy import PASS, Fault, FaultProxy
from tests.support.refhub import RefHub
from tests.support.store import Daemon, Store, until

ROWS_A_CUT = 20
UPDATES_A_CUT = 5
PRICES = 100


def footprint(pid: int) -> tuple[int, int, int]:
    """Resident KiB, open files and threads of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields["VmRSS"].split()[0]), len(list(Path(f"/proc/{pid}/fd").iterdir())), int(fields["Threads"])


async def main(cuts: int, seed: int) -> None:
    """Cut, and print the reckoning."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        async with RefHub() as hub, FaultProxy(hub.port) as proxy:
            # Every second connection is a socket (the first of an attempt is negotiate's): it breaks after so many bytes.
            proxy.plan = lambda n: PASS if n % 2 else Fault(up=chance.randint(300, 30_000), down=chance.randint(300, 60_000), then="cut")
            store = Store(
                Path(folder), f"http://127.0.0.1:{proxy.port}/hubs/sync", hub__reconnect_delay_seconds=0.05,
                hub__reconnect_max_delay_seconds=0.1, hub__connect_timeout_seconds=2, hub__invocation_timeout_seconds=10,
            )  # fmt: skip
            store.python_options = ()
            await store.create()
            daemon = Daemon(store)
            await daemon.start()
            began = time.monotonic()
            written = version = 0
            early = (0, 0, 0)
            while (lost := proxy.accepted // 2) < cuts:
                store.sell(
                    [("Receipt", (written + n) % 997, "Create", json.dumps({"n": written + n}), 1 + n % 4) for n in range(ROWS_A_CUT)]
                )
                written += ROWS_A_CUT
                version += 1
                price = {"currency": "EUR", "updatedAt": "2026-11-24T00:00:00Z", "version": version}
                feed = [
                    {
                        "entityType": "Price", "entityId": n, "operation": "Update", "timestamp": "2026-11-24T00:00:00Z",
                        "correlationId": f"{version}-{n}",
                        "payload": json.dumps({**price, "productId": n, "price": f"{version}.50"}),
                    }
                    for n in chance.sample(range(PRICES), UPDATES_A_CUT)
                ]  # fmt: skip
                await hub.control("POST", "/control/feed", feed)
                await hub.control("POST", "/control/push", {"method": "ReceiveSyncItem", "args": [feed]})
                if lost >= cuts // 10 and early == (0, 0, 0):
                    early = footprint(daemon.pid)
                await asyncio.sleep(0.02)
            late = footprint(daemon.pid)
            proxy.plan = lambda _: PASS

            async def arrived() -> bool:
                return int((await hub.state())["unique"]) == written

            try:
                await until(arrived, "every row is at HQ", 120)
            except AssertionError:
                print(json.dumps(store.status(), indent=1), *store.log_path.read_text(encoding="utf-8").splitlines()[-30:], sep="\n")
                raise
            settled = time.monotonic() - began
            wanted = await newest(hub)
            await until(lambda: dict(store.query("SELECT product_id, price FROM prices")) == wanted, "the prices are HQ's", 120)
            state = await hub.state()
            code = await daemon.stop()
        attempts = len(store.events("hub_connected")) + len(store.events("hub_connect_failed"))
        print(f"{proxy.accepted // 2:,} connections cut within {settled:.0f} s, then left alone; seed {seed}")
        print(f"rows written {written:,}, unique at HQ {state['unique']:,}, order violations {state['orderViolationCount']}")
        print(f"repeats that HQ knew by their correlation id: {state['duplicates']:,}")
        print(f"bytes equal: {state['digest'] == store.digest()}; prices equal to what HQ sent last: {len(wanted)} of {len(wanted)}")
        print(f"negotiates {state['negotiates']:,}, upgrades {state['upgrades']:,}, at once {state['maxConnections']}; logged {attempts:,}")
        for when, (kibibytes, files, threads) in (("a tenth of the cuts", early), ("all of them", late)):
            print(f"after {when}: {kibibytes:,} KiB resident, {files} open files, {threads} threads")
        print(f"exit code {code}; log lines of level error: {sum(line['level'] == 'error' for line in store.log())}")


async def newest(hub: RefHub) -> dict[int, str]:
    """What HQ sent last, by product: it is the feed's tail, read as a store would."""
    prices: dict[int, tuple[int, str]] = {}
    for item in await feed_of(hub):
        payload = json.loads(item["payload"])
        if payload["version"] > prices.get(payload["productId"], (0, ""))[0]:
            prices[payload["productId"]] = (payload["version"], payload["price"])
    return {product: price for product, (_, price) in prices.items()}


async def feed_of(hub: RefHub) -> list[dict[str, str]]:
    """The whole feed, by a plain client of its own."""
    import structlog  # noqa: PLC0415

    from syncd.clock import SystemClock  # noqa: PLC0415
    from syncd.config.settings import HubSettings  # noqa: PLC0415
    from syncd.hub.supervisor import Hub  # noqa: PLC0415

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    connection = Hub(HubSettings(url=hub.url()), store_id=99, clock=SystemClock(), random=random.Random(1), log=structlog.get_logger())
    running = asyncio.create_task(connection.run())
    session = await connection.session()
    answer = await session.invoke("RequestBatchSync", {"storeId": 99, "batchSize": 1_000_000})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    items: list[dict[str, str]] = answer["items"]
    return items


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.cuts, arguments.seed))
