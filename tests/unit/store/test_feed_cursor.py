"""A cursor belongs to a hub and to kinds: what is new starts at its beginning, fewer kinds keep the cursor."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from syncd.store.feed_cursor import ALL, FeedCursor, read_feed_cursor, read_requests, write_feed_cursor
from tests.support.feeds import feed_at
from tests.support.storefiles import AT, execute, opened

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def some(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("covered", "wanted", "pulled"),
    [
        (some("Price"), some("Price", "Product"), some("Product")),
        (some("Price"), ALL, ALL),
        (some("Price"), some("Product"), some("Product")),
        (some("Price", "Product"), some("Price"), None),
        (ALL, some("Price"), None),
        (ALL, ALL, None),
    ],
)
def test_new_kinds_are_pulled_from_the_beginning_and_the_cursor_stays(
    covered: frozenset[str], wanted: frozenset[str], pulled: frozenset[str] | None
) -> None:
    feed = replace(feed_at("6"), entity_types=covered, fully_pulled_at=NOW).for_types(wanted)
    assert (feed.cursor, feed.entity_types, feed.full_pull_types) == ("6", wanted, pulled)
    assert feed.complete == (pulled is None)


def test_a_kind_that_was_left_out_for_a_while_is_new_again() -> None:
    feed = replace(feed_at("6"), fully_pulled_at=NOW).for_types(some("Price"))
    assert replace(feed, cursor="9").for_types(ALL).full_pull_types == ALL


def test_before_the_first_page_any_kinds_are_simply_what_is_asked_for() -> None:
    feed = replace(feed_at(None), entity_types=some("Price")).for_types(ALL)
    assert (feed.entity_types, feed.full_pull_types) == (ALL, None)


def test_a_full_pull_takes_in_what_is_under_way_and_leaves_what_is_no_longer_wanted() -> None:
    feed = replace(feed_at("6"), full_pull_types=some("Price"), full_pull_cursor="3", fully_pulled_at=NOW)
    both = feed.with_full_pull(some("Product"))
    assert (both.full_pull_types, both.full_pull_cursor) == (some("Price", "Product"), None)
    assert feed.with_full_pull(ALL).full_pull_types == ALL
    assert both.for_types(some("Product")).full_pull_types == some("Product")
    assert both.for_types(some("Inventory")).full_pull_types is None
    assert replace(feed_at("6"), entity_types=some("Price")).with_full_pull(some("Weather")).full_pull_types is None


def test_a_full_pull_of_some_kinds_is_none_of_everything() -> None:
    feed = replace(feed_at("6"), full_pull_types=some("Price"), fully_pulled_at=NOW)
    later = NOW.replace(hour=12)
    assert feed.fully_pulled(later) == replace(feed_at("6"), fully_pulled_at=NOW)
    assert replace(feed, full_pull_types=ALL).fully_pulled(later).fully_pulled_at == later


async def test_what_is_written_is_read_and_each_hub_and_store_has_its_own(tmp_path: Path) -> None:
    full = FeedCursor(
        "hub", "7", some("Price", "Müsli"), "6", "epoch", 12, some("totalItems"), some("Price"), "3", NOW, requests_taken=0
    )  # fmt: skip
    async with opened(tmp_path) as files:
        await files.store.database.write(lambda connection: write_feed_cursor(connection, full, AT))
        for feed in (full, replace(full, hub="other"), replace(full, store_id="8")):
            found = await files.store.database.run(lambda c, f=feed: read_feed_cursor(c, f.hub, f.store_id))  # type: ignore[misc]
            assert found == (full if feed is full else None)


async def test_requests_are_taken_together_and_leave_once_the_cursor_knows_of_them(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        database = files.store.database
        assert await database.run(read_requests) is None
        execute(path, f"INSERT INTO sync_resync (entity_type, requested_at) VALUES ('Price', '{AT}'), ('Product', '{AT}')")
        assert await database.run(read_requests) == (2, some("Price", "Product"))
        execute(path, f"INSERT INTO sync_resync (requested_at) VALUES ('{AT}')")
        assert await database.run(read_requests) == (3, ALL)
        await database.write(lambda connection: write_feed_cursor(connection, replace(feed_at("6"), requests_taken=2), AT))
        assert await database.run(read_requests) == (3, ALL)
        await database.write(lambda connection: write_feed_cursor(connection, replace(feed_at("6"), requests_taken=3), AT))
        assert await database.run(read_requests) is None
