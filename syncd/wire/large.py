"""A large JSON text, parsed a small chunk at a time, so that other tasks get a turn; a broken one costs itself only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncd.wire.json import parse_json
from syncd.wire.scanner import OPEN, JSONScanner, LargeJSONError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNK_BYTES = 64 * 1024
"""Bytes of neighbouring elements that are parsed together."""
CHUNK_ELEMENTS = 250
MAX_VALUE_BYTES = 8 * 1024 * 1024
"""A single element, or member of an object, that is no list; a picture in a product fits."""
MAX_ELEMENTS = 250_000
"""Of one list; more than a message of the smallest updates can hold."""
MAX_MEMBERS = 1000
MAX_DEPTH = 4
"""Lists within objects within lists that are taken apart; what is deeper has to fit into one chunk."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An element that cannot be read.

    Attributes:
        raw: its beginning, as it came.
    """

    reason: str
    raw: bytes


class LargeList:
    """A list of JSON values that is read while it is gone through; several times, if need be."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._start = start

    def __repr__(self) -> str:
        return "a long list"

    async def chunks(self) -> AsyncIterator[list[Any]]:
        """Its elements, some at a time; one that cannot be read is a `Broken`, and so is all that follows a bound."""
        text = LargeText(self._data)
        spans: list[tuple[int, int]] = []
        count = 0
        try:
            async for _, start, end in text.children(self._start):
                if spans and (len(spans) >= CHUNK_ELEMENTS or end - spans[0][0] > CHUNK_BYTES):
                    yield text.parsed(spans)
                    await text.turn()
                    spans = []
                count += 1
                if count > MAX_ELEMENTS:
                    raise LargeJSONError(f"a list of more than {MAX_ELEMENTS:,} elements: the rest was not read")  # noqa: TRY301
                spans.append((start, end))
        except LargeJSONError as error:
            if spans:
                yield text.parsed(spans)
            yield [Broken(str(error), self._data[self._start : self._start + CHUNK_BYTES])]
            return
        if spans:
            yield text.parsed(spans)


class LargeText(JSONScanner):
    """One JSON text in UTF-8, parsed value by value."""

    async def value(self, start: int, end: int, *, keep_broken: bool = False, depth: int = 0) -> Any:
        """The value there, as `parse_json` gives it; with `keep_broken`, unreadable elements of a list are `Broken`.

        Raises:
            ValueError: it is no JSON, or beyond a bound.
        """
        can_be_cut = self.data[start] in OPEN and depth < MAX_DEPTH
        if end - start <= CHUNK_BYTES or not can_be_cut:
            self._work += end - start
            try:
                return self.whole(start, end)
            except ValueError:
                if not can_be_cut or not keep_broken:
                    raise
        if self.data[start : start + 1] == b"{":
            members: dict[str, Any] = {}
            async for key, at, stop in self.children(start):
                if len(members) >= MAX_MEMBERS:
                    raise LargeJSONError(f"an object of more than {MAX_MEMBERS:,} members")
                members[parse_json(key or b"")] = await self.value(at, stop, keep_broken=keep_broken, depth=depth + 1)
            return members
        elements: list[Any] = []
        async for chunk in LargeList(self.data, start).chunks():
            elements += chunk
            if not keep_broken and (broken := next((element for element in chunk if isinstance(element, Broken)), None)):
                raise LargeJSONError(broken.reason)
        return elements

    def parsed(self, spans: list[tuple[int, int]]) -> list[Any]:
        """Neighbouring elements, parsed together where that is possible."""
        start, end = spans[0][0], spans[-1][1]
        if end - start <= 2 * CHUNK_BYTES:
            try:
                return list(parse_json(b"[" + self.data[start:end] + b"]"))
            except ValueError:
                pass
        elements: list[Any] = []
        for at, stop in spans:
            try:
                elements.append(self.whole(at, stop))
            except ValueError as error:
                elements.append(Broken(str(error), self.data[at : min(stop, at + CHUNK_BYTES)]))
        return elements

    def whole(self, start: int, end: int) -> Any:
        """The value there, parsed in one turn, so it is bounded: an update, say, that is read and stored in one piece.

        Raises:
            ValueError: it is no JSON, or beyond a bound.
        """
        if end - start > MAX_VALUE_BYTES:
            raise LargeJSONError(f"a value of {end - start:,} bytes; at most {MAX_VALUE_BYTES:,} are read")
        return parse_json(self.data[start:end])
