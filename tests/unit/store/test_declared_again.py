"""Declared kinds at their edges: nothing that HQ said is lost, and nothing older stays, whatever is declared when."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from pydantic import ValidationError

from syncd.downlink.sync_item import update_of_item
from syncd.store.catalog import OWN_KINDS
from syncd.store.field_values import MalformedError
from syncd.store.fill import Fill
from syncd.store.inbox import Inbox
from syncd.store.opening import open_store
from syncd.store.undeclared import as_item, page
from syncd.store.update import read_update
from syncd.wire.json import parse_json
from tests.support.clock import FakeClock
from tests.support.storefiles import execute, paths
from tests.unit.store.test_declared import FIRST, apply, opened, promotions

if TYPE_CHECKING:
    from pathlib import Path

AT = "2026-11-24T10:00:00Z"
WITH_PERCENT = promotions(FIRST | {"percent": "decimal"})


def test_a_delete_that_names_only_the_entity_id_finds_a_key_that_is_not_the_first_field() -> None:
    catalog = promotions({"name": "text", "promotionId": "identifier"})
    update = update_of_item(catalog, {"entityType": "Promotion", "entityId": "P1", "operation": "Delete", "timestamp": AT})
    assert (update.key, update.key_only) == (("P1",), True)


@pytest.mark.parametrize("payload", [" ", "\n", {"lines": list(range(30_000))}])
async def test_a_payload_that_is_kept_and_cannot_be_read_is_no_bug_when_it_is_to_move(tmp_path: Path, payload: object) -> None:
    async with opened(tmp_path, OWN_KINDS) as files:
        item = {"entityType": "Promotion", "entityId": "P1", "operation": "Update", "payload": payload, "timestamp": AT}
        await Inbox(files.store, FakeClock(), OWN_KINDS).apply([update_of_item(OWN_KINDS, item)])
        (row,) = await files.store.database.run(partial(page, name="Promotion", after=None, limit=10))
        with pytest.raises(MalformedError):
            update_of_item(WITH_PERCENT, as_item(row))


async def test_a_field_that_was_undeclared_while_the_table_was_empty_is_filled_when_it_is_declared_again(tmp_path: Path) -> None:
    async with opened(tmp_path, WITH_PERCENT):
        pass
    async with opened(tmp_path, promotions()) as files:
        await apply(files, promotions(), '{"promotionId":1,"name":"P","percent":12.50,"version":1}')
    async with opened(tmp_path, WITH_PERCENT):
        assert execute(tmp_path / "store.db", "SELECT percent, extra FROM promotions") == [("12.50", None)]


async def test_a_null_that_came_while_the_field_was_undeclared_replaces_what_its_column_had(tmp_path: Path) -> None:
    async with opened(tmp_path, WITH_PERCENT) as files:
        await apply(files, WITH_PERCENT, '{"promotionId":1,"name":"P","percent":50,"version":1}')
    async with opened(tmp_path, promotions()) as files:
        await apply(files, promotions(), '{"promotionId":1,"name":"P","percent":null,"version":2}')
    async with opened(tmp_path, WITH_PERCENT):
        assert execute(tmp_path / "store.db", "SELECT percent, extra FROM promotions") == [(None, None)]


@pytest.mark.parametrize("staged", [1, 40])
async def test_what_a_newer_version_does_not_have_is_gone_where_its_field_is_declared_again(tmp_path: Path, staged: int) -> None:
    """Not what never changed meanwhile, nor what only became a tombstone; whether rows are written one by one or staged."""
    path = tmp_path / "store.db"
    async with opened(tmp_path, WITH_PERCENT) as files:
        await apply(files, WITH_PERCENT, *(f'{{"promotionId":{n},"name":"P","percent":50,"version":1}}' for n in range(-1, staged)))
        await apply(files, WITH_PERCENT, '{"promotionId":"same","name":"P","percent":50,"version":1}')
    async with opened(tmp_path, promotions()) as files:
        await apply(files, files.catalog, *(f'{{"promotionId":{n},"name":"Q","version":2}}' for n in range(staged)))
        await apply(files, files.catalog, '{"promotionId":-1,"isDeleted":true,"version":2}')
        assert execute(path, "SELECT DISTINCT percent FROM promotions WHERE promotion_id >= 0 AND promotion_id < 99") == [(None,)]
    async with opened(tmp_path, WITH_PERCENT) as files:
        assert files.catalog == WITH_PERCENT
        rows = execute(path, "SELECT percent, name, is_deleted, count(*) FROM promotions GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
        assert rows == [(None, "Q", 0, staged), ("50", "P", 0, 1), ("50", "P", 1, 1)]


async def test_what_is_filled_in_between_an_updates_look_and_its_write_does_not_stay(tmp_path: Path) -> None:
    async with opened(tmp_path, promotions()) as files:
        await apply(files, promotions(), '{"promotionId":1,"name":"P","badge":"old","version":1}')
    catalog = promotions(FIRST | {"badge": "text"}, indexes=[["badge"]])
    files = await open_store(paths(tmp_path), FakeClock(), structlog.get_logger(), catalog)
    try:
        write = files.store.write

        async def after_the_fill(*arguments: Any, **options: Any) -> Any:
            files.store.write = write  # type: ignore[method-assign]
            await Fill(files, catalog, FakeClock(), structlog.get_logger(), lambda _: None).run()
            return await write(*arguments, **options)

        files.store.write = after_the_fill  # type: ignore[method-assign]
        newer = read_update(catalog.declared[0], parse_json('{"promotionId":1,"name":"P","badge":null,"version":2}'))
        await Inbox(files.store, FakeClock(), catalog).apply([newer])
        assert execute(tmp_path / "store.db", "SELECT badge, version FROM promotions") == [(None, 2)]
    finally:
        await files.close()


@pytest.mark.parametrize("more", [{"updatedat": "time"}, {"barCode": "text", "barcode": "text"}])
def test_two_fields_of_one_name_are_refused(more: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="is the same name"):
        promotions(FIRST | more)


@pytest.mark.parametrize(
    ("fields", "indexes"), [({"change": "text"}, [["change"]]), ({"nameBy": "text", "by": "text"}, [["name", "by"], ["nameBy"]])]
)
def test_an_index_that_would_take_anothers_name_is_refused(fields: dict[str, str], indexes: list[list[str]]) -> None:
    with pytest.raises(ValidationError, match="is there already"):
        promotions(FIRST | fields, indexes=indexes)
