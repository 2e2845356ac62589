"""What must never be seen in a log or a status file, taken out: tokens, passwords, what customers bought."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"
SECRET_NAMES = re.compile(r"(token|authorization|password|passwd|secret|cookie|api_?key|private_?key|payload)$", re.IGNORECASE)
"""Names whose values are hidden. The end counts: `access_token` is secret, `access_token_file` is not."""

_PROSE = r"(?!token\b|error=|realm=|authentication\b)"  # words that follow "Bearer" in prose and in WWW-Authenticate
_QUOTED = r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
_PATTERNS = (
    (re.compile(rf"\b(Bearer\s+){_PROSE}[^\s\"',;]+", re.IGNORECASE), HIDDEN),
    (re.compile(r"(authorization[\"']?\s*[:=]\s*[\"']?Basic\s+)[^\s\"',;]+", re.IGNORECASE), HIDDEN),
    (re.compile(r"([?&]id=)[^&\s\"'#]+", re.IGNORECASE), HIDDEN),  # SignalR's connection token: who knows it speaks for us
    (re.compile(r"(access_token=)[^&\s\"'#]+", re.IGNORECASE), HIDDEN),
    (re.compile(r"(://)[^/\s@\"']+(?=@)"), HIDDEN),
    (re.compile(r"((?<![\w-]))eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), HIDDEN),  # a JSON Web Token, wherever it stands
    (re.compile(rf"((?:token|password|secret|payload)[\"']?\s*[:=]\s*){_QUOTED}", re.IGNORECASE), f'"{HIDDEN}"'),
)


def redact(text: str) -> str:
    """The text without bearer tokens, token query values, user info in URLs, JSON Web Tokens, and quoted secrets or payloads."""
    for pattern, hidden in _PATTERNS:
        text = pattern.sub(lambda found, hidden=hidden: found[1] + hidden, text)  # type: ignore[misc]
    return text


def redact_value(name: str, value: Any) -> Any:
    """The value as it may be shown under that name; looks into lists and mappings."""
    if value is None or isinstance(value, bool):
        return value
    if SECRET_NAMES.search(name):
        return HIDDEN
    match value:
        case str():
            shown: object = redact(value)
        case dict():
            shown = {str(key): redact_value(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            shown = [redact_value("", inner) for inner in value]
        case bytes() | bytearray() | memoryview():
            shown = f"({len(value)} bytes)"
        case BaseException():
            shown = redact(f"{type(value).__name__}: {value}")
        case _:
            shown = value
    return shown
