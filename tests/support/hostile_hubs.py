"""Hubs that are hostile or broken, and what they send to a daemon."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.flow import close_shop
from tests.support.measured_daemon import Figures, MeasuredDaemon
from tests.support.scripted_hub import ScriptedHub, Wire
from tests.support.store import Store, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MB = 1024 * 1024
FRAGMENT_BYTES = 4096  # ASP.NET Core's
QUESTION = '{"type":1,"invocationId":"over","target":"IsItOver","arguments":[]}\x1e'
"""Answered once all that stands before it is read."""
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Attributes:
        megabytes: sent.
        read_seconds: until a question behind it was answered, or the connection was given up.
        stop_seconds: from SIGTERM, in the middle of the same once more, to the end.
    """

    megabytes: float
    read_seconds: float
    stop_seconds: float
    figures: Figures
    status: dict[str, Any]
    quarantine: list[tuple[Any, ...]]


class Raw:
    """The hub's end of a WebSocket, frame by frame."""

    def __init__(self, wire: Wire) -> None:
        writer = wire.socket._writer
        assert writer is not None
        transport = writer.transport
        assert transport is not None
        self._transport = transport
        self._is_first = True
        self._whole = asyncio.Lock()
        self.sent_bytes = 0

    async def _fragment(self, body: bytes, *, last: bool) -> None:
        """One frame of a message."""
        head = (0x80 if last else 0) | (1 if self._is_first else 0)
        self._is_first = last
        size = len(body)
        length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f" + size.to_bytes(8, "big")
        self._transport.write(bytes([head]) + length + body)
        self.sent_bytes += size
        while self._transport.get_write_buffer_size() > 4 * MB and not self._transport.is_closing():
            await asyncio.sleep(0.002)
        if self._transport.is_closing():
            raise ConnectionResetError

    async def message(self, body: bytes, *, fragment_bytes: int = FRAGMENT_BYTES) -> None:
        """One message in fragments."""
        async with self._whole:
            for at in range(0, len(body), fragment_bytes):
                await self._fragment(body[at : at + fragment_bytes], last=at + fragment_bytes >= len(body))

    async def endless(self, body: bytes, count: int) -> None:
        """So many fragments of one message, and then its end."""
        async with self._whole:
            for _ in range(count):
                await self._fragment(body, last=False)
            await self._fragment(b"\x1e", last=True)


@dataclass(frozen=True)
class HostileHub:
    """One kind.

    Attributes:
        says: the whole of it, made when it is needed.
        fragment_bytes: into what it is cut; None for one frame.
        before_handshake: instead of the answer to our handshake, and without end.
        answers: the catch-up gets this as its result.
    """

    name: str
    says: Callable[[], bytes]
    fragment_bytes: int | None = FRAGMENT_BYTES
    before_handshake: bool = False
    endless: bool = False
    answers: bool = False


def call(argument: bytes, method: str = "ReceivePriceUpdate") -> bytes:
    """An invocation with this argument."""
    return b'{"type":1,"target":"' + method.encode() + b'","arguments":[' + argument + b"]}\x1e"


def price(number: int) -> bytes:
    """A good update of some 170 bytes."""
    return (
        b'{"productId":%d,"price":12.50,"currency":"EUR","costPrice":7.25,"priceList":"default",'
        b'"updatedAt":"2026-11-23T10:00:00.000Z","version":1,"correlationId":"price-%08d"}' % (number, number)
    )


def numbers(count: int) -> bytes:
    """A list of ones."""
    return b"[" + b"1," * (count - 1) + b"1]"


ENDLESS = b"x" * (64 * 1024)
HOSTILE = [
    HostileHub("a list of 1 million numbers, 2 MB", lambda: call(numbers(MB))),
    HostileHub("the same in one frame", lambda: call(numbers(MB)), None),
    HostileHub("a list of 29 million numbers, 58 MB", lambda: call(numbers(29_000_000))),
    HostileHub("the same in one frame", lambda: call(numbers(29_000_000)), None),
    HostileHub("a list of 16 million numbers, 32 MB", lambda: call(numbers(16 * MB - 100))),
    HostileHub("the same in one frame of 32 MB", lambda: call(numbers(16 * MB - 100)), None),
    HostileHub("1 million empty objects, 3 MB", lambda: call(b"[" + b"{}," * MB + b"{}]")),
    HostileHub("nesting of 200,000", lambda: call(b"[" * 200_000 + b"]" * 200_000)),
    HostileHub("nesting of 10 million", lambda: call(b"[" * (10 * MB) + b"]" * (10 * MB))),
    HostileHub("text of 30 MB", lambda: call(b'"' + b"x" * (30 * MB) + b'"')),
    HostileHub("one update of 7 MB of numbers", lambda: call(b'{"productId":1,"tags":' + numbers(3_500_000) + b"}")),
    HostileHub(
        "a payload of 7 MB of numbers",
        lambda: call(b'{"entityType":"Price","entityId":1,"payload":"' + numbers(3_500_000) + b'"}', "ReceiveSyncItem"),
    ),
    HostileHub(
        "one good update of 19,000 values", lambda: call(price(1)[:-1] + b"".join(b',"f%d":%d.25' % (n, n) for n in range(19_000)) + b"}")
    ),
    HostileHub("8 MB of control characters", lambda: call(b'"' + b"\x01" * (8 * MB) + b'"')),
    HostileHub("8 MB of escaped control characters", lambda: call(b'"' + b"\\u0001" * (8 * MB // 6) + b'"')),
    HostileHub("an integer of 10,000 digits", lambda: call(b'{"productId":' + b"9" * 10_000 + b"}")),
    HostileHub("an integer of 20 million digits", lambda: call(b'{"productId":' + b"9" * (20 * MB) + b"}")),
    HostileHub("invalid UTF-8", lambda: call(b'{"productId":"\xff\xfe"}')),
    HostileHub("20 MB of blanks", lambda: call(b" " * (20 * MB) + b"1")),
    HostileHub("32 MB of separators", lambda: b"\x1e" * (32 * MB), None),
    HostileHub("60,000 pings in one frame", lambda: b'{"type":6}\x1e' * 60_000, None),
    HostileHub("60,000 NaNs in one frame", lambda: call(b"NaN") * 60_000, None),
    HostileHub("60,000 calls of unknown methods in one frame", lambda: b"".join(call(b"1", f"M{n}") for n in range(60_000)), None),
    HostileHub("60,000 good updates in one frame", lambda: b"".join(call(price(n)) for n in range(60_000)), None),
    HostileHub("one message of 5 MB good updates", lambda: call(b"[" + b",".join(map(price, range(30_000))) + b"]")),
    HostileHub("an answer of 16 million numbers", lambda: b'"result":{"items":' + numbers(16 * MB - 100) + b"}}\x1e", answers=True),
    HostileHub("an answer of 20,000 updates", lambda: b'"result":{"items":[' + items(20_000) + b"]}}\x1e", answers=True),
    HostileHub("fragments without end", lambda: ENDLESS, endless=True),
    HostileHub("fragments without end before the handshake", lambda: ENDLESS, endless=True, before_handshake=True),
    HostileHub("one frame of 30 MB before the handshake", lambda: b"x" * (30 * MB), None, before_handshake=True),
]


def items(count: int) -> bytes:
    """SyncItems with good prices."""
    made = ({"entityType": "Price", "entityId": n, "operation": "Update", "payload": price(n).decode()} for n in range(count))
    return b",".join(json.dumps(item).encode() for item in made)


class _Script:
    """One hostile hub at work, as often as it is asked to be."""

    def __init__(self, hub: HostileHub) -> None:
        self.hub = hub
        self.go = asyncio.Event()
        self.again = asyncio.Event()
        self.is_read = asyncio.Event()
        self.is_connected = asyncio.Event()
        self.sent_bytes = 0

    async def __call__(self, wire: Wire) -> None:
        raw = Raw(wire)
        self.is_connected.set()
        attack = asyncio.create_task(self._attack(raw))
        await self._listen(wire, raw)
        self.is_read.set()
        attack.cancel()
        await asyncio.gather(attack, return_exceptions=True)

    async def _attack(self, raw: Raw) -> None:
        for wanted in (self.go, self.again):
            await wanted.wait()
            if not self.hub.answers:
                await self._say(raw, self.hub.says())

    async def _say(self, raw: Raw, body: bytes) -> None:
        before = raw.sent_bytes
        if self.hub.endless:
            await raw.endless(body, 200 * MB // len(body))
        else:
            await raw.message(body, fragment_bytes=self.hub.fragment_bytes or len(body))
        self.sent_bytes = raw.sent_bytes - before
        await raw.message(QUESTION.encode())

    async def _listen(self, wire: Wire, raw: Raw) -> None:
        while (message := await wire.listen()) is not None:
            if message.get("invocationId") == "over":
                self.is_read.set()
            elif message["type"] == 1 and message["target"] == "RequestBatchSync" and self.hub.answers:
                await self.go.wait()
                await self._say(raw, b'{"type":3,"invocationId":"' + message["invocationId"].encode() + b'",' + self.hub.says())
            elif message["type"] == 1:
                result = {"success": True, "items": [], "hasMore": False} if message["target"] == "RequestBatchSync" else None
                answer = json.dumps({"type": 3, "invocationId": message["invocationId"], "result": result})
                await raw.message(answer.encode() + b"\x1e")


async def run_daemon_against(hub: HostileHub, folder: Path, kept: int = 0, applied: int = 0) -> Outcome:
    """Run a daemon against it: once to the end, and once more with SIGTERM in the middle.

    Args:
        kept: entries of the quarantine that there will be at least.
        applied: prices that there will be at least.
    """
    script = _Script(hub)
    async with ScriptedHub(script, handshake=None if hub.before_handshake else "{}\x1e") as scripted:
        store = Store(folder, scripted.url, hub__connect_timeout_seconds=5)
        await store.create()
        close_shop(store)
        daemon = MeasuredDaemon(store)
        await daemon.start()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await script.is_connected.wait()
                daemon.begin()
                began = asyncio.get_running_loop().time()
                script.go.set()
                await script.is_read.wait()
            seconds = asyncio.get_running_loop().time() - began
            await _status_settles(store, kept, applied)
            status, quarantine = store.status(), store.query("SELECT method, reason, length(raw) FROM sync_quarantine")
            script.again.set()
            await asyncio.sleep(0.1)
            figures, stop_seconds = await daemon.stop()
        finally:
            assert daemon.process is not None
            if daemon.process.returncode is None:
                daemon.process.kill()
                await daemon.process.wait()
    return Outcome(script.sent_bytes / 1e6, seconds, stop_seconds, figures, status, quarantine)


async def _status_settles(store: Store, kept: int, applied: int) -> None:
    """What was read is applied, or kept, and in the status file."""

    def is_there() -> bool:
        inbound = store.status().get("inbound")
        return inbound is not None and inbound["quarantined"] >= kept and sum(inbound["appliedTotal"].values()) >= applied

    await until(is_there, f"{kept} kept, {applied} applied", PATIENCE_SECONDS)
    last: object = None
    same = 0
    for _ in range(200):
        now = store.status().get("inbound"), store.query("SELECT count(*) FROM sync_quarantine"), store.query("SELECT count(*) FROM prices")
        same = same + 1 if now == last else 0
        if same == 4:
            return
        last = now
        await asyncio.sleep(0.25)
