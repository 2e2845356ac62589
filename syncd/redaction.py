"""What must never be seen in a log or a status file, taken out: tokens, passwords, what customers bought."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

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


LONGEST_FOREIGN_TEXT = 300
"""Characters that we repeat of a text that HQ, a proxy or whoever answers has written."""
LONGEST_SECRET = 8192
"""Characters of a token or of a connection's id; aiohttp and most servers take no longer header."""
_LONGEST_LOOKED_AT = LONGEST_FOREIGN_TEXT + 3 * LONGEST_SECRET
"""Of such a text: what is cut off here can't be the rest of a secret that is shown, not even of one that is percent-encoded."""


class KnownSecrets:
    """The secrets in use now. An opaque token looks like any other word, so only who knows it can take it out of a text."""

    SHORTEST_CHARACTERS = 4
    """A shorter one would take half of every sentence with it."""
    MOST_SECRETS = 16
    """Tokens are renewed; the oldest is forgotten first."""

    def __init__(self) -> None:
        self._forms: dict[str, list[str]] = {}  # by secret, the most recent last

    def add(self, *secrets: str | None) -> None:
        """Hide these from now on, as they are and as they look in a URL, in JSON, in HTML and in base64."""
        for secret in secrets:
            if secret is None or len(secret) < self.SHORTEST_CHARACTERS:
                continue
            self._forms[secret] = self._forms.pop(secret, []) or _forms(secret)
            if len(self._forms) > self.MOST_SECRETS:
                del self._forms[next(iter(self._forms))]

    def hide(self, text: str) -> str:
        """The text without them."""
        for forms in self._forms.values():
            for form in forms:
                text = text.replace(form, HIDDEN)
        return text


known_secrets = KnownSecrets()
"""Of this process: a traceback on stderr must not show what the log does not."""


def _forms(secret: str) -> list[str]:
    """How a secret may look in somebody's text, the longest first, so that none is hidden in part by another."""
    raw = secret.encode(errors="surrogatepass")
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    forms |= {form.upper() for form in forms} | {form.lower() for form in forms}
    for shift in range(3):  # within a longer text that was encoded as a whole
        coded = base64.b64encode(bytes(shift) + raw).decode()
        inner = coded[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
        forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    return sorted((form for form in forms if len(form) >= KnownSecrets.SHORTEST_CHARACTERS), key=len, reverse=True)


def redact(text: str) -> str:
    """The text without `known_secrets`, bearer tokens, token query values, user info in URLs, JSON Web Tokens and quoted secrets."""
    text = known_secrets.hide(text)
    for pattern, hidden in _PATTERNS:
        text = pattern.sub(lambda found, hidden=hidden: found[1] + hidden, text)  # type: ignore[misc]
    return text


def foreign(text: object) -> str:
    """What somebody else has written, as we may repeat it: redacted, and at most `LONGEST_FOREIGN_TEXT` characters."""
    shown = redact(str(text)[:_LONGEST_LOOKED_AT])
    return shown if len(shown) <= LONGEST_FOREIGN_TEXT else shown[: LONGEST_FOREIGN_TEXT - 1] + "…"


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
