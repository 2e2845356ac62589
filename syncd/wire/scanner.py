"""Finds where the values of a large JSON text begin and end, by brackets and strings alone; other tasks get turns.

Python's JSON scanner takes a document in one go and holds the interpreter's lock for all of it, in a thread too: 29
million numbers are half a minute. So a large text is first cut at its outermost commas; what lies between them is
parsed a small chunk at a time (`large`).
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from syncd.errors import DataError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_BRACKETS = 2_000_000
OPEN = b"[{"

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
_QUOTE = ord('"')


class LargeJSONError(DataError):
    """It is no JSON, or beyond a bound."""


class JSONScanner:
    """Goes through one JSON text in UTF-8.

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
        """The members of the object or list at `start`: key (as written, with its quotes; None in a list), start, end.

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
        if not first or first not in OPEN:
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
                if char in OPEN:
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

    def _blank(self, at: int) -> int:
        return _BLANK.match(self.data, at).end()  # type: ignore[union-attr] # it matches nothing, too

    def _odd(self, at: int) -> LargeJSONError:
        return LargeJSONError(f"no JSON at byte {at:,}: {self.data[at : at + 10]!r}")
