"""What must never be seen in a log or a status file, taken out: tokens, passwords, what customers bought."""

from __future__ import annotations

import re

HIDDEN = "***"
SECRET_NAMES = re.compile(r"(token|authorization|password|passwd|secret|cookie|api_?key|private_?key|payload)$", re.IGNORECASE)
"""Names whose values are hidden. The end counts: `access_token` is secret, `access_token_file` is not."""

_PATTERNS = (
    (re.compile(r"\b(Bearer|Basic)\s+[^\s\"',;]+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (
        re.compile(r"([?&](?:access_token|id)=)[^&\s\"'#]+", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),  # id: the connection token of a negotiate
    (re.compile(r"(access_token=)[^&\s\"'#]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(\w+://)[^/\s@\"']+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), HIDDEN),  # a JSON Web Token, wherever it stands
    (
        re.compile(
            r"((?:access_?token|password|secret|payload|authorization)[\"']?\s*[:=]\s*)(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')",
            re.IGNORECASE,
        ),
        rf'\1"{HIDDEN}"',
    ),
)


def redact(text: str) -> str:
    """The text without bearer tokens, token query values, user info in URLs, JSON Web Tokens, and quoted secrets or payloads."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_value(name: str, value: object) -> object:
    """The value as it may be shown under that name; looks into lists and mappings."""
    if SECRET_NAMES.search(name) and value is not None and not isinstance(value, bool | int | float):
        return HIDDEN
    match value:
        case str():
            return redact(value)
        case dict():
            return {key: redact_value(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact_value("", inner) for inner in value]
        case bytes() | bytearray() | memoryview():
            return f"({len(value)} bytes)"
        case BaseException():
            return redact(f"{type(value).__name__}: {value}")
        case _:
            return value
