from __future__ import annotations

import json
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.wire.json import MAX_VALUES, Number, parse_json, parse_plain

NUMBERS = [
    "0",
    "-0",
    "12.50",
    "-0.0",
    "1e5",
    "1E-400",
    "1e400",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1" * 80,
]


def refuse(name: str) -> NoReturn:
    raise ValueError(name)


def by_the_standard_library(text: str) -> Any:
    return json.loads(text, parse_float=Number, parse_constant=refuse)


def kinds(value: Any) -> Any:
    """The value with the type of everything in it."""
    if isinstance(value, dict):
        return {name: kinds(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [kinds(inner) for inner in value]
    return type(value), value


json_values = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS).map(lambda text: f"@{text}@") | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.booleans(), st.sampled_from([None, 2]))
def test_every_document_is_read_to_the_digit_whichever_parser_reads_it(value: Any, is_ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
    for number in NUMBERS:
        text = text.replace(f'"@{number}@"', number)
    wanted = kinds(by_the_standard_library(text))
    assert kinds(parse_json(text)) == wanted
    if "\\ud" not in text:
        assert kinds(parse_json(text.encode(errors="surrogatepass"))) == wanted


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", "[1.5,]", '{"a":01}', '"\t"', "\ufeff{}", "1 2", "[" * 100_000, "[" * 900 + "]" * 900 + ","]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    for document in (text, text.encode()):
        with pytest.raises(ValueError):  # noqa: PT011 - the words are the libraries'
            parse_json(document)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        parse_json(b'"\xff"')


def test_half_of_a_surrogate_pair_is_read_for_whoever_can_say_where_it_was() -> None:
    assert parse_json('["\\ud800"]') == ["\ud800"]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_quick_way_takes_no_number_that_it_does_not_keep(number: str) -> None:
    try:
        value = parse_plain(f'[{{"a":[{number}]}}]', MAX_VALUES)
    except ValueError:
        return
    assert kinds(value) == kinds(by_the_standard_library(f'[{{"a":[{number}]}}]'))


def test_commas_in_texts_are_no_values() -> None:
    assert parse_json(json.dumps(["," * MAX_VALUES])) == ["," * MAX_VALUES]
    with pytest.raises(ValueError, match="values"):
        parse_json(json.dumps([0] * (MAX_VALUES + 1)))
