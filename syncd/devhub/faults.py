"""What a developer may let go wrong at HQ, while it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self


@dataclass(slots=True)
class Faults:
    """All off by default. `every` counts items or batches: once in so many, 0 = never.

    Attributes:
        delay_ms: wait so many milliseconds before a batch is processed.
        refuse_every: refuse every n-th item.
        refuse_entity_ids: refuse the items of these entities.
        refuse_retryable: whether a refusal says that trying again may help.
        throw_for_entity_ids: throw a HubException for a batch that holds one of these; nothing of it is processed.
        hang_for_entity_ids: never answer a batch that holds one of these; nothing of it is processed.
        null_for_entity_ids: answer `null` in place of the verdict on these, which are not processed.
        cut_after_every: process the batch, then cut the connection before the answer.
        cut_before_every: cut the connection before the batch is processed.
        silent_every: process the batch and never answer.
        half_verdicts: process and judge only the first half of each batch.
        negotiate_status: answer negotiate with this HTTP status; 0 = normally.
        upgrade_status: answer the WebSocket upgrade with this HTTP status; 0 = normally.
        retry_after_seconds: sent as `Retry-After` with either status; 0 = not sent.
        captive_portal: answer negotiate with a web page and status 200.
    """

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

    @classmethod
    def from_json(cls, body: Any) -> Self:
        """Reads camelCase names, whatever their case; what is left out is off.

        Raises:
            ValueError: not an object, a name that is no fault's, or a value of the wrong type.
        """
        if not isinstance(body, dict):
            raise ValueError("faults are an object")  # noqa: TRY004  # whoever calls sent JSON, not Python
        faults = cls()
        known = {name.replace("_", ""): name for name in names()}
        for given, value in body.items():
            name = known.get(given.lower())
            if name is None:
                raise ValueError(f"there is no fault {given}; there are {', '.join(map(_camel, names()))}")
            kind = type(getattr(faults, name))
            if type(value) is not kind or (kind is list and not all(type(one) is str for one in value)):
                raise ValueError(f"{given} takes {'a list of texts' if kind is list else kind.__name__}")
            setattr(faults, name, value)
        return faults

    def to_json(self) -> dict[str, object]:
        """With camelCase names."""
        return {_camel(name): value for name, value in asdict(self).items()}

    def set(self, assignment: str) -> None:
        """Sets one from a command line: `refuse-every=10`, `half-verdicts=yes`, `refuse-entity-ids=7,8`.

        Raises:
            ValueError: no such fault, or a value that it cannot have; the message names what is allowed.
        """
        given, equals, value = assignment.partition("=")
        name = given.strip().replace("-", "_")
        if name not in names() or not equals:
            allowed = ", ".join(known.replace("_", "-") for known in names())
            raise ValueError(f"unknown fault {assignment!r}: give name=value, with one of the names {allowed}")
        setattr(self, name, _value(given, type(getattr(self, name)), value.strip()))


def names() -> list[str]:
    """The faults there are."""
    return [one.name for one in fields(Faults)]


def _value(given: str, kind: type, text: str) -> object:
    if kind is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is bool:
        words = {"1": True, "yes": True, "true": True, "on": True, "0": False, "no": False, "false": False, "off": False}
        if text.lower() not in words:
            raise ValueError(f"fault {given}: {text!r} is neither yes nor no")
        return words[text.lower()]
    if not text.isdecimal():
        raise ValueError(f"fault {given}: {text!r} is not a whole number")
    return int(text)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
