from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.wire import large, scanner
from syncd.wire.json import parse_json
from syncd.wire.large import Broken, LargeList, LargeText
from syncd.wire.scanner import LargeJSONError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(['"', "\\", '\\"]', "[{", "ü麵", "a" * 300]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "_WINDOW", 5)
    monkeypatch.setattr(large, "CHUNK_BYTES", 40)
    monkeypatch.setattr(large, "CHUNK_ELEMENTS", 3)


async def elements_of(text: str | bytes) -> list[Any]:
    data = text.encode() if isinstance(text, str) else text
    return [element async for chunk in LargeList(data, 0).chunks() for element in chunk]


@given(values=st.lists(JSON, max_size=12), indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
async def test_a_list_in_chunks_is_the_list(values: list[Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    assert await elements_of(text) == values
    data = text.encode()
    assert await LargeText(data).end_of(0) == len(data)
    assert await LargeText(data).value(0, len(data)) == values


@given(value=JSON)
async def test_a_value_taken_apart_is_the_value(value: Any) -> None:
    data = json.dumps({"a": value, "items": [value] * 5, "12.50": 3}).encode()
    assert await LargeText(data).value(0, len(data)) == parse_json(data)


@given(st.binary(max_size=60) | st.text('[]{}",:\\1a ', max_size=40).map(str.encode))
async def test_whatever_stands_there_it_ends_with_elements_or_with_a_reason(rubbish: bytes) -> None:
    for element in await elements_of(b"[" + rubbish):
        assert not isinstance(element, Broken) or element.reason
    with suppress(LargeJSONError):
        assert await LargeText(rubbish).end_of(0) <= len(rubbish)


async def test_an_element_that_cannot_be_read_costs_itself_only() -> None:
    found = await elements_of(b'[1, NaN, "\xff", {"a": [Infinity]}, ' + b"9" * 10_000 + b', 2, {"b": 01}, "x"]')
    assert [Broken if isinstance(element, Broken) else element for element in found] == [1, Broken, Broken, Broken, Broken, 2, Broken, "x"]
    assert [element.raw[:20] for element in found if isinstance(element, Broken)][:3] == [b"NaN", b'"\xff"', b'{"a": [Infinity]}']


@pytest.mark.parametrize("text", ["[1,2", "[1,2}", '[1,2,"', "[1,2,[", "[1,2 3]", "[1,2,,3]"])
async def test_where_it_is_broken_off_what_stands_before_is_read(text: str) -> None:
    *read, last = await elements_of(text)
    assert (read, type(last)) == ([1, 2], Broken)


async def test_what_stands_behind_a_bound_is_one_broken_element(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "MAX_ELEMENTS", 4)
    monkeypatch.setattr(large, "MAX_VALUE_BYTES", 50)
    monkeypatch.setattr(scanner, "MAX_BRACKETS", 6)
    *read, last = await elements_of("[1,2,3,4,5,6,7]")
    assert (read, last.reason) == ([1, 2, 3, 4], "a list of more than 4 elements: the rest was not read")
    first, second = await elements_of('["' + "x" * 100 + '", 2]')
    assert (first.reason, second) == ("a value of 102 bytes; at most 50 are read", 2)
    (only,) = await elements_of("[" * 10 + "]" * 10)
    assert only.reason == "more than 6 lists and objects"
