"""Messages cut out of a WebSocket's frames: SignalR ends each with a separator, wherever a frame may end."""

from __future__ import annotations

import asyncio

from syncd.devhub import protocol
from syncd.devhub.protocol import ProtocolError


class Records:
    """What a client has sent and nobody has taken yet.

    Args:
        limit: bytes of one message, its separator included.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._buffer = bytearray()

    def add_frame(self, frame: bytes) -> None:
        """A frame has arrived."""
        self._frames.put_nowait(frame)

    def end(self) -> None:
        """No frame will follow."""
        self._frames.put_nowait(None)

    async def wait_for_frame(self) -> bool:
        """Waits for the next frame; False when there is none to come."""
        frame = await self._frames.get()
        if frame is None:
            return False
        self._buffer += frame
        return True

    def take(self) -> bytes | None:
        """Cuts one message off what has arrived; None if none is complete.

        Raises:
            ProtocolError: it is above the limit.
        """
        end = self._buffer.find(protocol.SEPARATOR, 0, self._limit)
        if end >= 0:
            record = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            return record
        if len(self._buffer) > self._limit:
            raise ProtocolError(f"a message above {self._limit} bytes")
        return None

    def put_back(self, record: bytes) -> None:
        """Leaves a message where it was; nothing behind it will ever be read.

        Raises:
            ProtocolError: what has piled up is above the limit.
        """
        self._buffer[:0] = record + protocol.SEPARATOR
        if len(self._buffer) > self._limit:
            raise ProtocolError("an unknown message type, and too much behind it")
