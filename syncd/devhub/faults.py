"""What a developer may let go wrong at HQ, while it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Self

MAX_NUMBER = 2**31 - 1


@dataclass(slots=True)
class Faults:
    """All off by default; `MEANINGS` says what each does."""

    delay_ms: int = 0
    refuse_every: int = 0
    refuse_entity_ids: list[str] = field(default_factory=list)
    refuse_retryable: bool = True
    throw_for_entity_ids: list[str] = field(default_factory=list)
    hang_for_entity_ids: list[str] = field(default_factory=list)
    null_for_entity_ids: list[str] = field(default_factory=list)
    cut_after_every: int = 0
    cut_before_every: int = 0
    silent_every: int = 0
    half_verdicts: bool = False
    negotiate_status: int = 0
    upgrade_status: int = 0
    retry_after_seconds: int = 0
    captive_portal: bool = False

    def __post_init__(self) -> None:
        """Refuse what no hub could do.

        Raises:
            ValueError: a negative number, or a status that is none of HTTP's.
        """
        for name, value in asdict(self).items():
            _check(name, value)

    @classmethod
    def from_json(cls, body: Any) -> Self:
        """Reads camelCase names, whatever their case; what is left out is off.

        Raises:
            ValueError: not an object, a name that is no fault's, or a value that it cannot have.
        """
        if not isinstance(body, dict):
            raise ValueError("faults are an object")  # noqa: TRY004  # whoever calls sent JSON, not Python
        given: dict[str, Any] = {}
        known = {name.replace("_", ""): name for name in names()}
        for said, value in body.items():
            name = known.get(said.lower())
            if name is None:
                raise ValueError(_unknown(said, [_camel(name) for name in names()]))
            kind = type(getattr(cls(), name))
            if type(value) is not kind or (kind is list and not all(type(one) is str for one in value)):
                raise ValueError(f"{said} takes {_WANTED[kind]}")
            given[name] = value
        return cls(**given)

    def to_json(self) -> dict[str, object]:
        """With camelCase names."""
        return {_camel(name): value for name, value in asdict(self).items()}

    def set(self, assignment: str) -> None:
        """Sets one from a command line: `refuse-every=10`, `half-verdicts=yes`, `refuse-entity-ids=7,8`.

        Raises:
            ValueError: no such fault, or a value that it cannot have; the message names what is allowed.
        """
        said, equals, text = assignment.partition("=")
        name = said.strip().replace("-", "_")
        if not name:
            raise ValueError(f"{assignment!r} is no fault: give NAME=VALUE, as refuse-every=10")
        if name not in names():
            raise ValueError(_unknown(said, [name.replace("_", "-") for name in names()]))
        kind = type(getattr(self, name))
        if not equals:
            raise ValueError(f"fault {said}: give {said}=VALUE; it takes {_WANTED[kind]}")
        value = _value(said, kind, text.strip())
        _check(name, value)
        setattr(self, name, value)


MEANINGS = {
    "delay_ms": "wait so many milliseconds before a batch is processed",
    "refuse_every": "refuse every n-th item",
    "refuse_entity_ids": "refuse the items of these entities",
    "refuse_retryable": "whether a refusal says that trying again may help; yes by default",
    "throw_for_entity_ids": "throw a HubException for a batch that holds one of these",
    "hang_for_entity_ids": "never answer a batch that holds one of these",
    "null_for_entity_ids": "answer null in place of the verdict on these, unprocessed",
    "cut_after_every": "process every n-th batch, then cut the line before the answer",
    "cut_before_every": "cut the line before every n-th batch is processed",
    "silent_every": "process every n-th batch and never answer",
    "half_verdicts": "process and judge only the first half of each batch",
    "negotiate_status": "answer negotiate with this HTTP status",
    "upgrade_status": "answer the WebSocket upgrade with this HTTP status",
    "retry_after_seconds": "sent as Retry-After with either status",
    "captive_portal": "answer negotiate with a web page, as a hotel's network does",
}
"""What each does. 0, an empty list and `no` are off."""
_WANTED: dict[type, str] = {list: "a list of texts", bool: "true or false", int: "a whole number from 0"}


def names() -> list[str]:
    """The faults there are."""
    return [one.name for one in fields(Faults)]


def _unknown(said: str, known: list[str]) -> str:
    close = get_close_matches(said.lower(), known, n=1)
    return f"there is no fault {said}{f'; did you mean {close[0]}?' if close else '.'} There are {', '.join(known)}"


def _check(name: str, value: object) -> None:
    if type(value) is not int:
        return
    if not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{_camel(name)} is {value}: it takes {_WANTED[int]}, at most {MAX_NUMBER}")
    if name.endswith("_status") and value and not 200 <= value <= 599:
        raise ValueError(f"{_camel(name)} is {value}: it takes 0 or a status of HTTP, 200 to 599")


def _value(given: str, kind: type, text: str) -> object:
    if kind is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is bool:
        words = {"1": True, "yes": True, "true": True, "on": True, "0": False, "no": False, "false": False, "off": False}
        if text.lower() not in words:
            raise ValueError(f"fault {given}: {text!r} is neither yes nor no")
        return words[text.lower()]
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"fault {given}: {text!r} is not a whole number")
    return int(text)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
