"""The published schemas of the wire's messages, ready to judge one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

FOLDER = Path(__file__).parents[2] / "config" / "contract"
SUFFIX = ".schema.json"
SCHEMAS: dict[str, dict[str, Any]] = {
    file.name.removesuffix(SUFFIX): json.loads(file.read_bytes()) for file in sorted(FOLDER.glob(f"*{SUFFIX}"))
}
METHODS: dict[str, dict[str, Any]] = SCHEMAS["methods"]["$defs"]
OTHER = "ReceiveOtherUpdate"
OPEN = "EntitySync"
"""Its fields are the chain's own."""


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, but what it does not name may not be there: for what we send ourselves."""
    return {**schema, "additionalProperties": False} if "properties" in schema and schema["title"] != OPEN else schema


def _registry(*, closed: bool) -> Registry[Any]:
    resources = ((name + SUFFIX, _closed(schema) if closed else schema) for name, schema in SCHEMAS.items())
    return Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in resources)


_REGISTRIES = {closed: _registry(closed=closed) for closed in (False, True)}


def problems(name: str, message: object, *, closed: bool = False) -> list[str]:
    """What is wrong with a message (`PriceSync`) or a part of the schemas (`methods#/$defs/Error`); empty where nothing is.

    Args:
        closed: a field that the schema does not name is wrong, too.
    """
    file, _, pointer = name.partition("#")
    validator = Draft202012Validator({"$ref": f"{file}{SUFFIX}#{pointer}"}, registry=_REGISTRIES[closed])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(message)]


def problems_of_exchange(exchange: dict[str, Any], *, closed: bool = False) -> list[str]:
    """What is wrong with an invocation and its result."""
    name = exchange["target"] if exchange["target"] in METHODS else OTHER
    return problems(f"methods#/$defs/{name}", exchange, closed=closed)
