"""What is wrong with a configuration, in words for the person who wrote it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from syncd.config.sources import PREFIX, known_keys, sections_of, variable_of
from syncd.config.values import PERMISSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

LONGEST_SHOWN = 200
"""Characters of a refused value that a message repeats."""
WORDS = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list",
}
FOLLOWS_FROM_ANOTHER = "default_factory_not_called"


def only_permissions(error: ValidationError) -> bool:
    """Whether rights are all that is missing."""
    return all(problem["type"] in {PERMISSION, FOLLOWS_FROM_ANOTHER} for problem in error.errors(include_url=False))


def describe(error: ValidationError, settings: type[BaseModel], environ: Mapping[str, str]) -> list[str]:
    """One line for each problem: key, value, what is allowed."""
    problems = [problem for problem in error.errors(include_url=False) if problem["type"] != FOLLOWS_FROM_ANOTHER]
    return [_line(problem, settings, environ) for problem in problems]


def _line(problem: ErrorDetails, settings: type[BaseModel], environ: Mapping[str, str]) -> str:
    key = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    variable = variable_of(".".join(str(part) for part in problem["loc"][:2]))
    by_environment = any(name.upper() == variable and text for name, text in environ.items())
    place = f"{key} (environment {variable})" if by_environment else key
    match problem["type"]:
        case "extra_forbidden":
            return f"{place}: there is no such key{_guess(key, settings)}"
        case "missing":
            return _missing(key, settings)
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{place} = {_shown(key, problem['input'])}: must be a section, [{key}]"
    text = _words(problem)
    if text.startswith(f"{key} = "):  # what of a URL may be shown is shown already
        return text.replace(key, place, 1)
    if key == "entities" and problem["type"] == "value_error":  # check_names has named the kind
        return f"{place}.{text}"
    return f"{place} = {_shown(key, problem['input'])}: {text}"


def _words(problem: ErrorDetails) -> str:
    return WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _guess(key: str, settings: type[BaseModel]) -> str:
    """The known name that was meant: the same key in another section, or a name that is spelled much like it."""
    keys = known_keys(settings)
    if key.startswith(PREFIX):
        near = difflib.get_close_matches(key.upper(), [variable_of(name) for name in keys], n=1, cutoff=0.75)
        return f"; did you mean {near[0]}?" if near else " (variables of syncd are SYNCD_SECTION__KEY)"
    last = key.rpartition(".")[2]
    near = [name for name in keys if name.rpartition(".")[2] == last and name != "store.id"]
    near = near or difflib.get_close_matches(key, [*keys, *sections_of(settings)], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _missing(key: str, settings: type[BaseModel]) -> str:
    """A section that is missing stands for all that is required in it."""
    section = sections_of(settings).get(key)
    names = [f"{key}.{name}" for name, field in section.model_fields.items() if field.is_required()] if section else [key]
    return "\n  - ".join(f"{name}: required, and not set (environment {variable_of(name)})" for name in names)


def _shown(key: str, value: Any) -> str:
    if key == "hub.access_token_file" and not str(value).startswith("/"):
        return "(not shown: it might be a token)"
    text = repr(value) if isinstance(value, str) else str(value)
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
