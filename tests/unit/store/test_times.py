from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.store.times import for_the_wire, parse_time, sortable, wire_forms

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is hypothesis's to add
OFFSETS = st.integers(-14 * 60, 14 * 60)


@pytest.mark.parametrize(
    ("written", "wire"),
    [
        ("2026-11-23 10:00:00.1234567", "2026-11-23T10:00:00.1234567Z"),  # Microsoft.Data.Sqlite, DateTime
        ("2026-11-23 10:00:00.1234567+01:00", "2026-11-23T09:00:00.1234567Z"),  # the same, DateTimeOffset
        ("2026-11-23T10:00:00.000Z", "2026-11-23T10:00:00.000Z"),  # JavaScript
        ("2026-11-23T10:00:00.123456+00:00", "2026-11-23T10:00:00.123456Z"),  # Python
        ("2026-11-23 10:00:00", "2026-11-23T10:00:00.000Z"),  # SQLite, datetime('now')
        ("2026-11-23T10:00Z", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23", "2026-11-23T00:00:00.000Z"),
        ("2026-11-23T10:00:00,5-0330", "2026-11-23T13:30:00.500Z"),
        ("2026-11-23T23:30:00-02", "2026-11-24T01:30:00.000Z"),
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00.000Z"),  # .NET, default(DateTime)
        (" 2026-11-23T10:00:00.123456789z ", "2026-11-23T10:00:00.1234567Z"),
    ],
)
def test_what_people_write_goes_out_as_iso_8601_in_utc(written: str, wire: str) -> None:
    assert for_the_wire(written) == wire


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "1763892000", "2026-13-01T00:00:00Z", "2026-11-23T25:00:00Z", "23.11.2026", "2026-11-23T10:00:00+25",
        "2026-11-23T10:00:00+01:75", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "\uff12\uff10\uff12\uff16-11-23",
    ],
)  # fmt: skip
def test_what_nobody_can_read_is_none_and_never_an_error(text: str) -> None:
    assert (parse_time(text), sortable(text), for_the_wire(text)) == (None, None, None)


@given(st.text())
@example("2026-02-30T00:00:00Z")
@example("\u0662\u0660\u0662\u0666-11-23T10:00:00Z")
@example("2026-11-23T10:00:00.\u0665Z")
def test_any_text_is_read_or_not_read_and_what_is_read_is_ascii_of_one_width(text: str) -> None:
    result = sortable(text)
    if result is not None:
        assert len(result) == 28
        assert result.isascii()
        assert sortable(result) == result


@given(MOMENTS, st.integers(0, 9_999_999), OFFSETS, st.sampled_from("T "))
def test_any_zone_and_form_of_a_moment_reads_as_that_moment(moment: datetime, ticks: int, offset: int, separator: str) -> None:
    moment = moment.replace(microsecond=0)
    local = moment.astimezone(timezone(timedelta(minutes=offset)))
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    text = f"{local.replace(tzinfo=None).isoformat(separator)}.{ticks:07d}{zone}"
    assert parse_time(text) == (moment, f"{ticks:07d}")
    assert sortable(text) == f"{moment.replace(tzinfo=None).isoformat()}.{ticks:07d}Z"


@given(MOMENTS, MOMENTS)
def test_sortable_text_sorts_as_the_moments_do(one: datetime, other: datetime) -> None:
    first, second = sortable(one.isoformat()), sortable(other.isoformat())
    assert first is not None
    assert second is not None
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


A_TIME = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    st.datetimes().map(lambda moment: moment.isoformat(" ") + "7"),
    st.sampled_from(
        ["2026-02-30T10:00:00.000Z", "2026-11-23T10:00:00.000", "Z", "", "2026-11-23T10:00:00.000Z\n2026-11-23T10:00:00.000Z",
         "0000-01-01T00:00:00.000Z", "2026-11-23T24:00:00.000Z", "\u0662026-11-23T10:00:00.00Z", None, 5, b"x"],
    ),
)  # fmt: skip


@given(texts=st.lists(A_TIME, max_size=4))
def test_many_times_at_once_are_the_wire_forms_of_each_and_nothing_where_one_cannot_be_read(texts: list[object]) -> None:
    each = [for_the_wire(text) if isinstance(text, str) else None for text in texts]
    found = wire_forms(texts)
    assert (None if found is None else list(found)) == (None if None in each else each)
