"""A large JSON text, read in pieces, so that the event loop gets its turn whatever the text holds.

Python's JSON scanner takes a document in one go and holds the interpreter's lock for all of it, in a thread too: 29 million numbers are
half a minute. Here the text is first cut at its outermost commas, by looking at brackets and strings only, and `parse_json` gets one small
piece at a time. What a piece holds costs that piece only.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncd.wire.json import parse_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIECE_BYTES = 64 * 1024
"""Bytes of neighbouring elements that are parsed together."""
PIECE_ELEMENTS = 250
MAX_VALUE_BYTES = 8 * 1024 * 1024
"""A single element, or member of an object, that is no list; a picture in a product fits."""
MAX_ELEMENTS = 250_000
"""Of one list; more than a message of the smallest updates can hold."""
MAX_MEMBERS = 1000
MAX_BRACKETS = 2_000_000
MAX_DEPTH = 4
"""Lists within objects within lists that are taken apart; what is deeper has to fit into one piece."""

_TURN = 100_000
"""Work after which the loop gets a turn, in bytes looked at: about a millisecond."""
_STEP = 100
"""What one step in Python costs, in the same unit."""
_WINDOW = 64 * 1024
_RUN = re.compile(rb'[^"\[\]{}]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"\[\]{}]*)*', re.DOTALL)
"""Everything up to the next bracket, strings included."""
_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,:"\[\]{}]+')
_BLANK = re.compile(rb"[ \t\r\n]{0,1000}")
_OPEN, _QUOTE = b"[{", ord('"')


class LargeJSONError(ValueError):
    """It is no JSON, or beyond a bound."""


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

    async def pieces(self) -> AsyncIterator[list[Any]]:
        """Its elements, some at a time; one that cannot be read is a `Broken`, and so is all that stands behind a bound."""
        text = LargeText(self._data)
        spans: list[tuple[int, int]] = []
        count = 0
        try:
            async for _, start, end in text.children(self._start):
                if spans and (len(spans) >= PIECE_ELEMENTS or end - spans[0][0] > PIECE_BYTES):
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
            yield [Broken(str(error), self._data[self._start : self._start + PIECE_BYTES])]
            return
        if spans:
            yield text.parsed(spans)


class LargeText:
    """One JSON text in UTF-8, gone through without holding the loop.

    Attributes:
        end: where the list or object ended whose children were last gone through.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end = 0
        self._work = 0
        self._brackets = 0

    async def turn(self) -> None:
        """Let everybody else have a turn."""
        self._work = 0
        await asyncio.sleep(0)

    async def children(self, start: int) -> AsyncIterator[tuple[bytes | None, int, int]]:
        """The members of the object, or elements of the list, that begins at `start`: key (as written, with its quotes), start and end.

        Raises:
            LargeJSONError: it cannot be made out where the next one ends.
        """
        data = self.data
        is_object = data[start : start + 1] == b"{"
        closing = b"}" if is_object else b"]"
        at = self._blank(start + 1)
        if data[at : at + 1] == closing:
            self.end = at + 1
            return
        while True:
            key = None
            if is_object:
                end = await self.end_of(at)
                key = data[at : min(end, at + 1000)]
                at = self._blank(end)
                if data[at : at + 1] != b":":
                    raise self._odd(at)
                at = self._blank(at + 1)
            end = await self.end_of(at)
            yield key, at, end
            at = self._blank(end)
            mark = data[at : at + 1]
            if mark == closing:
                self.end = at + 1
                return
            if mark != b",":
                raise self._odd(at)
            at = self._blank(at + 1)

    async def end_of(self, start: int) -> int:
        """Where the value that begins at `start` ends, judged by its brackets and quotes.

        Raises:
            LargeJSONError: it does not.
        """
        data = self.data
        self._work += _STEP
        if self._work > _TURN:
            await self.turn()
        first = data[start : start + 1]
        if first == b'"':
            return await self._end_of_string(start)
        if not first or first not in _OPEN:
            return await self._end_of_scalar(start)
        return await self._end_of_container(start)

    async def _end_of_container(self, start: int) -> int:
        data = self.data
        at, depth = start, 0
        while True:
            window = at + _WINDOW
            end = _RUN.match(data, at, window).end()  # type: ignore[union-attr] # it matches nothing, too
            self._work += end - at + _STEP
            if self._work > _TURN:
                await self.turn()
            at = end
            if at >= len(data):
                raise LargeJSONError("the message ends in the middle of a value")
            char = data[at]
            if char == _QUOTE:  # a string that does not end in this window
                at = await self._end_of_string(at)
            elif at < window:
                at += 1
                if char in _OPEN:
                    depth += 1
                    self._brackets += 1
                    if self._brackets > MAX_BRACKETS:
                        raise LargeJSONError(f"more than {MAX_BRACKETS:,} lists and objects")
                else:
                    depth -= 1
                    if depth == 0:
                        return at

    async def _end_of_scalar(self, start: int) -> int:
        at = start
        while (match := _SCALAR.match(self.data, at, at + _WINDOW)) is not None:
            self._work += match.end() - at
            if self._work > _TURN:
                await self.turn()
            at = match.end()
        if at == start:
            raise self._odd(start)
        return at

    async def _end_of_string(self, start: int) -> int:
        data, at = self.data, start + 1
        while True:
            end = _STRING.match(data, at, at + _WINDOW).end()  # type: ignore[union-attr] # it matches nothing, too
            self._work += end - at
            if self._work > _TURN:
                await self.turn()
            if end < len(data) and data[end] == _QUOTE:
                return end + 1
            if end >= len(data) - 1:
                raise LargeJSONError("the message ends in the middle of a string")
            at = end

    async def value(self, start: int, end: int, *, keep_broken: bool = False, depth: int = 0) -> Any:
        """The value there, as `parse_json` gives it; with `keep_broken`, elements of a list that cannot be read are `Broken`.

        Raises:
            ValueError: it is no JSON, or beyond a bound.
        """
        can_be_cut = self.data[start] in _OPEN and depth < MAX_DEPTH
        if end - start <= PIECE_BYTES or not can_be_cut:
            self._work += end - start
            try:
                return self._parse(start, end)
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
        async for piece in LargeList(self.data, start).pieces():
            elements += piece
            if not keep_broken and (broken := next((element for element in piece if isinstance(element, Broken)), None)):
                raise LargeJSONError(broken.reason)
        return elements

    def parsed(self, spans: list[tuple[int, int]]) -> list[Any]:
        """Neighbouring elements, parsed together where that is possible."""
        start, end = spans[0][0], spans[-1][1]
        if end - start <= 2 * PIECE_BYTES:
            try:
                return list(parse_json(b"[" + self.data[start:end] + b"]"))
            except ValueError:
                pass
        elements: list[Any] = []
        for at, stop in spans:
            try:
                elements.append(self._parse(at, stop))
            except ValueError as error:
                elements.append(Broken(str(error), self.data[at : min(stop, at + PIECE_BYTES)]))
        return elements

    def _parse(self, start: int, end: int) -> Any:
        if end - start > MAX_VALUE_BYTES:
            raise LargeJSONError(f"a value of {end - start:,} bytes; at most {MAX_VALUE_BYTES:,} are read")
        return parse_json(self.data[start:end])

    def _blank(self, at: int) -> int:
        return _BLANK.match(self.data, at).end()  # type: ignore[union-attr] # it matches nothing, too

    def _odd(self, at: int) -> LargeJSONError:
        return LargeJSONError(f"no JSON at byte {at:,}: {self.data[at : at + 10]!r}")
