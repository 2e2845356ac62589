"""Writes the parts of the pages that are made from `config/contract`: `python -m tests.support.contract_pages`.

A part stands between `<!-- made by tests/support/contract_pages.py: NAME -->` and `<!-- end -->`; the rest of a page is left alone.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
PAGES = ("docs/hq.md", "docs/pos.md")
SUFFIX = ".schema.json"
PART = re.compile(r"(<!-- made by tests/support/contract_pages\.py: (?P<name>[a-z ]+) -->\n).*?(<!-- end -->\n)", re.DOTALL)
WIDTH = 120
MESSAGES = (
    "SyncItem", "SyncAck", "Heartbeat", "BatchSyncRequest", "BatchSyncResponse", "FeedItem", "ProductSync", "PriceSync", "InventorySync",
    "TransactionSync", "EntitySync", "SyncCompletion", "SyncProgress",
)  # fmt: skip
"""In the order of the page."""
TABLES = ("ProductSync", "PriceSync", "InventorySync", "TransactionSync")

Schema = dict[str, Any]


def main() -> None:
    """Write the pages anew."""
    schemas = read_schemas()
    for page in PAGES:
        file = PROJECT / page
        file.write_text(page_text(file.read_text(encoding="utf-8"), schemas), encoding="utf-8")


def read_schemas() -> dict[str, Schema]:
    """All of them, by their names."""
    files = sorted((PROJECT / "config/contract").glob(f"*{SUFFIX}"))
    return {file.name.removesuffix(SUFFIX): json.loads(file.read_bytes()) for file in files}


def page_text(text: str, schemas: dict[str, Schema]) -> str:
    """The page with its parts made anew."""
    makers = {
        "what a store calls": lambda: _methods(schemas, "store to HQ"),
        "what hq calls": lambda: _methods(schemas, "HQ to store"),
        "messages": lambda: "\n".join(_message(name, schemas) for name in MESSAGES),
        "a row on the wire": lambda: _row_of_the_outbox(schemas["SyncItem"], schemas),
        "tables": lambda: "\n".join(_table(name, schemas) for name in TABLES),
    }
    return PART.sub(lambda part: f"{part[1]}\n{makers[part['name']]().rstrip()}\n\n{part[3]}", text)


def _methods(schemas: dict[str, Schema], direction: str) -> str:
    lines = ["| method | argument | result | |", "|---|---|---|---|"]
    for name, method in schemas["methods"]["$defs"].items():
        if method["$comment"] == direction:
            properties = method["properties"]
            argument = next(iter(properties["arguments"].get("prefixItems", [])), None)
            result = properties.get("result")
            shown = name if "const" in properties["target"] else "Receive<Name>Update"
            taken = "whatever HQ likes" if argument is None else _type(argument, schemas)
            given = "not awaited" if result is None else _type(result, schemas)
            lines.append(_row(f"`{shown}`", taken, given, method["description"]))
    return "\n".join(lines)


def _message(name: str, schemas: dict[str, Schema]) -> str:
    schema = schemas[name]
    examples = [f"```json\n{_example(example)}\n```" for example in schema["examples"]]
    return "\n\n".join([f"### {name}", schema["description"], _fields(schema, schemas), *examples]) + "\n"


def _fields(schema: Schema, schemas: dict[str, Schema]) -> str:
    always = {*schema["required"], *schema.get("else", {}).get("required", [])}
    lines = ["| field | what it is | |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        kind = _type(field, schemas)
        lines.append(_row(f"`{name}`", kind if name in always else f"{kind}; may be left out", field["description"]))
    return "\n".join(lines)


def _row_of_the_outbox(schema: Schema, schemas: dict[str, Schema]) -> str:
    lines = ["| column | field at HQ | what it is there | |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        column = {"timestamp": "created_at", "sequence": "id", "attempt": "attempts"}.get(name, _snake_case(name))
        place = "`store.id` of the configuration" if name == "storeId" else f"`{column}`"
        lines.append(_row(place, f"`{name}`", _type(field, schemas), field["description"]))
    return "\n".join(lines)


def _table(name: str, schemas: dict[str, Schema]) -> str:
    schema = schemas[name]
    [table] = re.findall("table `([a-z]+)`", schema["description"])
    lines = [f"### {table}", "", schema["description"], "", "| column | HQ's field | what it is | |", "|---|---|---|---|"]
    for wire, field in schema["properties"].items():
        lines.append(_row(f"`{_snake_case(wire)}`", f"`{wire}`", _column_type(field), field["description"]))
    return "\n".join(lines) + "\n"


def _snake_case(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def _type(schema: Schema, schemas: dict[str, Schema]) -> str:
    """In words; null is what may be left out as well."""
    if "$ref" in schema:
        file, _, pointer = schema["$ref"].partition(SUFFIX)
        name = pointer.rpartition("/")[2]
        return str(schemas[file]["$defs"][name]["description"]) if name else f"[{file}](#{file.lower()})"
    if "enum" in schema:
        return " · ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        kinds = [one for one in schema["anyOf"] if one != {"type": "null"}]
        words = [_type(one, schemas) for one in kinds]
        if len(words) == 2 and words[1] == f"list of {words[0]}":
            words[1] = "a list of them"
        return " or ".join(["nothing", *words] if schema.get("$comment") == "a result" and len(kinds) < len(schema["anyOf"]) else words)
    if "type" not in schema:
        return "any JSON"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(_json_type(kind, schema, schemas) for kind in kinds if kind != "null" or len(kinds) == 1)


def _json_type(kind: str, schema: Schema, schemas: dict[str, Schema]) -> str:
    if kind == "array":
        return f"list of {_type(schema['items'], schemas)}"
    return {"object": "an object", "string": "text", "null": "nothing", "integer": "a whole number", "number": "a number"}[kind]


def _column_type(field: Schema) -> str:
    """As SQLite has it, once it has come."""
    kind = field.get("$ref", "#/$defs/json").rpartition("/")[2].removesuffix("OrNull")
    return {
        "identifier": "INTEGER or TEXT, as HQ sent it",
        "version": "INTEGER or TEXT, as HQ sent it",
        "decimal": "TEXT, to the digit",
        "boolean": "0 or 1",
        "time": "TEXT: ISO 8601 UTC that sorts",
    }.get(kind, "TEXT")


def _example(value: Schema) -> str:
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= WIDTH else json.dumps(value, ensure_ascii=False, indent=2)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    main()
