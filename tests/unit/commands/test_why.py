"""`syncd why`: the story of one row, one price, one product."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from syncd.clock import SystemClock, iso_ms
from syncd.commands.why import command
from syncd.status.file import write_status
from syncd.status.report import DeferredRow, DeferredRows, OutboxError, Report
from syncd.status.snapshot import snapshot
from syncd.store import row_history
from syncd.store.catalog import PRICE, PRODUCT
from syncd.store.inbox_log import InboxLog
from syncd.store.quarantine import Quarantined, keep
from syncd.store.row_history import RowHistories
from syncd.store.update import read_update
from tests.support.clock import BEGINNING
from tests.support.settings import clean_environment, make_settings  # noqa: F401  (a fixture)
from tests.support.store import until
from tests.support.storefiles import AT, a_journal, execute, opened, outcome, paths, write_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syncd.config.settings import Settings

pytestmark = pytest.mark.usefixtures("clean_environment")

REFUSED: dict[str, Any] = {"attempts": 2, "last_error": "no such product\x1b[2J"}


class Shop:
    """A store whose daemon says of itself what the test wants; no daemon runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "store.db"
        self.settings: Settings = make_settings(folder)
        self.config = folder / "syncd.toml"
        self.config.write_text(
            f'[store]\nid = 17\n[database]\npath = "{self.path}"\n[hub]\nurl = "https://hq.example.com/hubs/sync"\n'
            f'[status]\npath = "{folder}/status.json"\n'
        )
        self.says(lambda _: None)

    def says(self, change: Callable[[Report], None]) -> None:
        report = Report(store_id=17, hub_url="https://hq.example.com/hubs/sync", started_at=BEGINNING)
        report.state, report.connection.state = "online", "connected"
        change(report)
        write_status(self.settings.status.path, snapshot(report, self.settings, SystemClock().now()))

    async def decided(self, row_id: int, status: str, **changes: Any) -> None:
        """HQ has said something on the row; it is in our own file only."""
        async with opened(self.folder) as files, asyncio.TaskGroup() as group:
            journal = a_journal(files, SystemClock())
            task = group.create_task(journal.run())
            await journal.record([outcome(self.path, row_id, status, **changes)])
            task.cancel()

    def why(self, what: str, *options: str, code: int = 0) -> str:
        done = CliRunner().invoke(command, ["--config", str(self.config), *options, "--", what], standalone_mode=False)
        assert (done.exception, done.return_value) == (None, code), done.output
        return done.output


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    async with opened(tmp_path):
        return Shop(tmp_path)


def later(seconds: float) -> str:
    return iso_ms(SystemClock().now() + timedelta(seconds=seconds))


async def test_a_sale_that_hq_has_is_found_by_its_id_its_correlation_id_and_its_entity(shop: Shop) -> None:
    (row_id,) = write_rows(shop.path, ("Receipt", "R-17", 2))
    await shop.decided(row_id, "sent")
    ((correlation_id,),) = execute(shop.path, "SELECT correlation_id FROM sync_outbox")
    for name in (str(row_id), correlation_id, correlation_id.upper(), "Receipt/R-17"):
        told = shop.why(name)
        assert "Receipt R-17: Create, high priority" in told
        assert f"{AT}  sent: HQ has it" in told
    execute(shop.path, "UPDATE sync_outbox SET status = 'sent', sent_at = ?", AT)
    assert "sent: HQ has it" in shop.why("Receipt/R-17")


async def test_a_refused_sale_tells_hqs_words_and_when_it_is_tried_again_and_those_behind_it_say_behind_what(shop: Shop) -> None:
    first, second = write_rows(shop.path, ("Receipt", 17, 2), ("Receipt", "17", 2))
    due = later(100)
    await shop.decided(first, "pending", next_attempt_at=due, **REFUSED)
    execute(shop.folder / "store.db.syncd", "INSERT INTO retry VALUES ('Receipt', '17', ?, 2, ?, ?)", first, AT, due)
    told = shop.why(str(first))
    assert 'refused by HQ, 2 times by now: "no such product [2J"' in told
    assert f"waits: for its next attempt, at {due} (in 1 min)" in told
    assert f"waits: behind row {first} of the same entity, which is tried again at {due}" in shop.why(str(second))
    assert "waits" not in told.replace(f"waits: for its next attempt, at {due}", "")


async def test_a_failed_sale_says_with_what_words_and_what_a_person_does(shop: Shop) -> None:
    first, second = write_rows(shop.path, ("Receipt", 17, 2), ("Receipt", 17, 2))
    await shop.decided(first, "failed", **REFUSED)
    told = shop.why(str(first))
    assert 'failed for good, refused 2 times: "no such product [2J"' in told
    assert f"syncd outbox retry {first}" in told

    def remembers(report: Report) -> None:
        report.outbox.recent_errors.append(OutboxError(BEGINNING, "Receipt", 17, correlation_id, "no such product", final=True))

    ((correlation_id,),) = execute(shop.path, "SELECT correlation_id FROM sync_outbox WHERE id = ?", first)
    shop.says(remembers)
    execute(shop.path, "UPDATE sync_outbox SET status = 'failed', last_error = 'no such product', attempts = 2 WHERE id = ?", first)
    assert '2026-11-23T10:00:00.000Z  failed for good, refused 2 times: "no such product"' in shop.why(str(first))
    assert "waits: for nothing: it is under way" in shop.why(str(second))
    shop.config.write_text(shop.config.read_text() + "[sync]\nhold_entity_on_failure = true\n")
    assert f"waits: behind row {first} of the same entity, which failed" in shop.why(str(second))
    execute(shop.path, "UPDATE sync_outbox SET status = 'cancelled' WHERE id = ?", second)
    assert "cancelled by hand" in shop.why(str(second))


async def test_what_the_daemon_waits_for_is_what_its_rows_wait_for(shop: Shop) -> None:
    (row_id,) = write_rows(shop.path, ("Receipt", 17, 2))
    ((correlation_id,),) = execute(shop.path, "SELECT correlation_id FROM sync_outbox")

    def offline(report: Report) -> None:
        report.state, report.connection.state, report.connection.disconnected_at = "offline", "offline", BEGINNING
        report.connection.last_error, report.connection.next_attempt_at = "no route to hq", BEGINNING

    shop.says(offline)
    assert "waits: for the line to HQ, which is offline since 2026-11-23T10:00:00.000Z" in shop.why(str(row_id))
    assert "no route to hq; the next attempt is at 2026-11-23T10:00:00.000Z" in shop.why(str(row_id))

    def deferred(report: Report) -> None:
        report.outbox.deferred = DeferredRows(1, [DeferredRow("Receipt", 17, correlation_id, BEGINNING, BEGINNING, "HQ did not answer")])

    shop.says(deferred)
    assert "waits: for HQ's answer, which has not come since 2026-11-23T10:00:00.000Z (HQ did not answer)" in shop.why(str(row_id))

    def rejected(report: Report) -> None:
        report.connection.auth_rejected = True

    shop.says(rejected)
    assert "waits: for this: HQ does not accept our token" in shop.why(str(row_id))
    shop.settings.status.path.unlink()
    assert "waits: for syncd itself: " in shop.why(str(row_id))


async def test_a_backlog_before_it_is_told(shop: Shop) -> None:
    *_, last = write_rows(shop.path, *(("Receipt", number, 3) for number in range(30)), ("Receipt", "last", 3))
    assert "waits: about 30 rows go out before it" in shop.why(str(last))
    urgent = write_rows(shop.path, ("Receipt", "urgent", 1))[0]
    assert "for nothing: it is under way, or goes out with the next batch" in shop.why(str(urgent))


async def test_a_price_tells_what_came_what_was_older_what_the_till_has_and_what_is_in_quarantine(shop: Shop) -> None:
    new = {"productId": 4711, "price": 12, "currency": "EUR", "version": 7, "updatedAt": AT, "correlationId": "c-7"}
    columns = "product_id, price_list, price, currency, version, updated_at, effective_from, applied_at"
    for start in ("", "2999-01-01T00:00:00.0000000Z"):
        execute(shop.path, f"INSERT INTO prices ({columns}) VALUES (4711, 'default', '12.50', 'EUR', 7, ?, ?, ?)", AT, start, AT)
    async with opened(shop.folder) as files, asyncio.TaskGroup() as group:
        log = InboxLog(files.journal, SystemClock())
        task = group.create_task(log.run())
        log.add(read_update(PRICE, new), "live")
        log.add(read_update(PRICE, new | {"version": 6}), "catchup", stale=True)
        log.add(read_update(PRODUCT, {"productId": 4711, "sku": "4711", "name": "Soap", "isActive": True, "updatedAt": AT}), "live")
        await until(lambda: len(execute(shop.folder / "store.db.syncd", "SELECT 1 FROM inbox")) == 3, "it is written")
        task.cancel()
    with closing(sqlite3.connect(shop.path)) as connection, connection:
        raw = json.dumps({"productId": 4711, "price": "much"})
        item = json.dumps({"entityType": "prices", "entityId": 4711, "payload": "{"})
        keep(connection, [Quarantined("ReceivePriceUpdate", "c-8", "Price: price is no number", raw)], AT)
        keep(connection, [Quarantined("ReceiveSyncItem", None, "payload is no JSON", item)], AT)
        keep(connection, [Quarantined("ReceivePriceUpdate", None, "another", json.dumps({"productId": 47, "price": "4711"}))], AT)
    told = shop.why("Price/4711")
    assert "Price: 2 rows in prices" in told
    assert told.count("in force now") == 1
    assert "Price 4711/default Update, version 7, live: applied" in told
    assert "version 6, catchup: older than what the store had, or the same: left out" in told
    assert "in quarantine as 1 (ReceivePriceUpdate): Price: price is no number" in told
    assert "in quarantine as 2 (ReceiveSyncItem): payload is no JSON" in told
    assert "another" not in told
    assert "Soap" not in told
    assert "Product 4711 Update" in shop.why("products/4711")
    assert "version 7, live: applied" in shop.why("c-7")
    assert "Price: price is no number" in shop.why("c-8")
    document = json.loads(shop.why("price/4711/default", "--json"))
    assert document["updates"]["table_rows"][0]["price"] == "12.50"
    assert [entry["id"] for entry in document["updates"]["quarantined"]] == [2, 1]


async def test_nothing_of_that_name_is_said_with_what_to_try_and_exit_code_1(shop: Shop) -> None:
    write_rows(shop.path, ("Receipt", 17, 2))
    for name in ("99", "no-such-id", "Receipt/99", "Price/99", "-5", "9" * 30, "/", "Receipt/"):
        told = shop.why(name, code=1)
        assert f"Nothing is known of {name!r}" in told
        assert "The highest id in the outbox is 1" in told
    assert json.loads(shop.why("99", "--json", code=1))["rows"] == []


async def test_whatever_the_till_wrote_is_told(shop: Shop) -> None:
    insert = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload"
    execute(shop.path, f"{insert}, created_at) VALUES ('[/red]', 5.0, 'Create', 'ü', 'x')")
    execute(shop.path, f"{insert}, correlation_id) VALUES ('A', 1, 'Create', '', ?)", b"\xfe")
    execute(shop.folder / "store.db.syncd", "INSERT INTO first_seen SELECT 1, ?, ?", *_keys(shop))
    told = shop.why("1")
    assert "[/red] 5: Create" in told
    assert "2 bytes" in told
    assert "first seen; what the till wrote as its time cannot be read: 'x'" in told
    assert "A 1: Create" in shop.why("2")
    assert json.loads(shop.why("2", "--json"))["rows"][0]["entity_id"] == 1


def _keys(shop: Shop) -> tuple[object, ...]:
    return execute(shop.path, "SELECT correlation_id FROM sync_outbox WHERE id = 1")[0][0], AT


async def test_it_writes_nothing_and_waits_for_no_lock(shop: Shop) -> None:
    (row_id,) = write_rows(shop.path, ("Receipt", 17, 2))
    before = {path.name: path.read_bytes() for path in shop.folder.glob("store.db*")}
    shop.why(str(row_id))
    assert {path.name: path.read_bytes() for path in shop.folder.glob("store.db*")} == before
    with closing(sqlite3.connect(shop.path, isolation_level=None)) as till:
        till.execute("BEGIN IMMEDIATE")
        till.execute("UPDATE sync_outbox SET payload = '{}'")
        assert "Receipt 17" in shop.why(str(row_id))
        till.execute("COMMIT")


async def test_without_time_to_look_at_all_rows_it_says_how_far_it_looked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
    insert = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, status) "
    execute(shop.path, f"{numbers}{insert}SELECT 'Receipt', i, 'Create', '{{}}', 'sent' FROM n")
    assert "Receipt 5: Create" in shop.why("Receipt/5")
    monkeypatch.setattr(row_history, "SEARCH_SECONDS", -1)
    told = shop.why("Receipt/5", code=1)
    assert "were not looked at, for want of time" in told
    assert RowHistories(paths(shop.folder)).by_entity("Receipt", "5").looked_back_to is not None
    assert "Receipt 5: Create" in shop.why("5")


async def test_what_is_no_store_yet_is_said_in_words(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    done = CliRunner().invoke(command, ["--config", str(shop.config), "5"], standalone_mode=False)
    assert "there is no such database; `syncd run` makes it" in str(done.exception)


async def test_a_kind_that_nobody_has_declared_is_told_of_as_it_is_kept(shop: Shop) -> None:
    columns = "entity_type, entity_id, payload, updated_at, applied_at"
    execute(shop.path, f"INSERT INTO entities ({columns}) VALUES ('Voucher', 'V-5', '{{}}', ?, ?)", AT, AT)
    raw = json.dumps({"entityType": "Voucher", "entityId": "V-5", "payload": 7})
    with closing(sqlite3.connect(shop.path)) as connection, connection:
        keep(connection, [Quarantined("ReceiveSyncItem", None, "payload is no text", raw)], AT)
    told = shop.why("Voucher/V-5")
    assert "Voucher: 1 row in entities" in told
    assert "in quarantine as 1 (ReceiveSyncItem): payload is no text" in told
