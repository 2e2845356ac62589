"""The hub of the contract: what a store may call, with the faults in force, and what the stores are sent."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from syncd.devhub import binding, exact
from syncd.devhub.protocol import InvocationError, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from syncd.devhub.connection import Connection
    from syncd.devhub.faults import Faults
    from syncd.devhub.headquarters import Headquarters, Item

    Method = Callable[[Connection, Any], Coroutine[Any, Any, object]]


logger = logging.getLogger(__name__)


class Watcher:
    """Sees what happens at the hub; does nothing. Override what you want to see.

    What it raises is logged and changes nothing: the stores hear of HQ's troubles only, not of those of who looks on.
    """

    def on_connect(self, connection: Connection) -> None:
        """A client has connected."""

    def on_disconnect(self, connection: Connection) -> None:
        """A client has left."""

    def on_item(self, item: Item, ack: dict[str, object]) -> None:
        """A SyncItem has come, and this is HQ's verdict."""

    def on_heartbeat(self, heartbeat: Any) -> None:
        """A heartbeat has come."""

    def on_ack(self, ack: Any) -> None:
        """A store has acknowledged something."""

    def on_page(self, connection: Connection, request: dict[str, Any], page: dict[str, Any]) -> None:
        """A store has asked for a page of the feed."""

    def on_push(self, method: str, reached: int, messages: int, store: str | None) -> None:
        """So many stores were sent so many messages, or the one that was meant."""

    def on_faults(self, faults: Faults) -> None:
        """These are in force now."""


class SyncHub:
    """Every connection, what it may call, and what is sent to it.

    Attributes:
        connections: oldest first.
    """

    def __init__(self, headquarters: Headquarters, watcher: Watcher) -> None:
        self.connections: list[Connection] = []
        self._headquarters = headquarters
        self._watcher = watcher
        methods: dict[str, tuple[Callable[[Any], Any], Method]] = {
            "SendSyncBatch": (binding.sync_items, self._send_sync_batch),
            "SendSyncItem": (binding.sync_item, self._send_sync_item),
            "RequestBatchSync": (binding.batch_sync_request, self._request_batch_sync),
            "Acknowledge": (binding.anything, self._acknowledge),
            "AcknowledgeBatch": (binding.values, self._acknowledge_batch),
            "Heartbeat": (binding.anything, self._heartbeat),
        }
        self._methods = methods
        self._names = {name.lower(): name for name in methods}

    def connected(self, connection: Connection) -> None:
        """See `connection.Hub`."""
        self.connections.append(connection)
        self._headquarters.connected()
        self._show(self._watcher.on_connect, connection)

    def disconnected(self, connection: Connection) -> None:
        """See `connection.Hub`."""
        self.connections.remove(connection)
        self._headquarters.disconnected()
        self._show(self._watcher.on_disconnect, connection)

    def method_name(self, target: str) -> str | None:
        """See `connection.Hub`."""
        return self._names.get(target.lower())

    async def call(self, connection: Connection, method: str, arguments: list[Any]) -> object:
        """See `connection.Hub`."""
        if len(arguments) != 1:
            raise binding.MismatchError
        bind, run = self._methods[method]
        return await run(connection, bind(arguments[0]))

    async def push(self, method: str, messages: list[list[object]], store: str | None = None) -> int:
        """Invokes a client method on all connections, or one store's, once with each list of arguments; how many were reached.

        Nobody is asked for an answer.
        """
        reached = self._connections_of(store)
        for arguments in messages:
            for connection in reached:
                await connection.send({"type": Type.INVOCATION.value, "target": method, "arguments": arguments})
        self._show(self._watcher.on_push, method, len(reached), len(messages), store)
        return len(reached)

    def set_faults(self, faults: Faults) -> None:
        """Puts these in force."""
        self._headquarters.faults = faults
        self._show(self._watcher.on_faults, faults)

    async def invoke(self, method: str, arguments: list[object], timeout_seconds: float, store: str | None = None) -> object:
        """Invokes a client method on the newest connection, or one store's newest, and waits for its result.

        Raises:
            LookupError: nobody is connected.
            ClientResultError: the client answered with an error, not in time, or left.
        """
        connections = self._connections_of(store)
        if not connections:
            raise LookupError(f"store {store} is not connected" if store else "no store is connected")
        return await connections[-1].invoke(method, arguments, timeout_seconds)

    def _connections_of(self, store: str | None) -> list[Connection]:
        return [connection for connection in self.connections if not store or store in connection.stores]

    def cut(self) -> int:
        """Ends every connection as `Context.Abort()` does; how many."""
        connections = list(self.connections)
        for connection in connections:
            connection.abort()
        return len(connections)

    async def _send_sync_batch(self, connection: Connection, items: list[Item]) -> object:
        return await self._process(connection, items)

    async def _send_sync_item(self, connection: Connection, item: Item) -> object:
        return next(iter(await self._process(connection, [item])), None)

    async def _request_batch_sync(self, connection: Connection, request: dict[str, Any]) -> object:
        page = self._headquarters.page(request)
        self._show(self._watcher.on_page, connection, request, page)
        return page

    async def _acknowledge(self, _: Connection, ack: Any) -> None:
        self._headquarters.acknowledged(ack)
        self._show(self._watcher.on_ack, ack)

    async def _acknowledge_batch(self, connection: Connection, acks: list[Any]) -> None:
        for ack in acks:
            await self._acknowledge(connection, ack)

    async def _heartbeat(self, connection: Connection, heartbeat: Any) -> None:
        names = {name.lower(): name for name in heartbeat} if isinstance(heartbeat, dict) else {}
        store = exact.text(heartbeat[names["storeid"]]) if "storeid" in names else None
        self._headquarters.beat(heartbeat, store)
        if store:
            connection.add_store(store)
        self._show(self._watcher.on_heartbeat, heartbeat)
        await connection.send({"type": Type.INVOCATION.value, "target": "HeartbeatResponse", "arguments": []})

    async def _process(self, connection: Connection, items: list[Item]) -> list[dict[str, object] | None]:
        """Runs a batch under the faults in force."""
        faults = self._headquarters.faults
        number = self._headquarters.next_batch(len(items))
        if faults.delay_ms > 0:
            await asyncio.sleep(faults.delay_ms / 1000)
        if _due(number, faults.cut_before_every):
            raise self._abort(connection)
        entities = {exact.text(item["entityId"]) for item in items}
        if not entities.isdisjoint(faults.throw_for_entity_ids):
            raise InvocationError("this batch holds an item that HQ cannot process")
        if not entities.isdisjoint(faults.hang_for_entity_ids):
            await connection.gone.wait()
            raise InvocationError
        processed = items[: (len(items) + 1) // 2] if faults.half_verdicts else items
        refused: set[str] = set()
        acks: list[dict[str, object] | None] = []
        for item in processed:
            if exact.text(item["entityId"]) in faults.null_for_entity_ids:
                acks.append(None)
                continue
            ack = self._headquarters.receive(item, refused)
            acks.append(ack)
            self._show(self._watcher.on_item, item, ack)
        if _due(number, faults.cut_after_every):
            raise self._abort(connection)
        if _due(number, faults.silent_every):
            await connection.gone.wait()
        return acks

    def _show(self, look: Callable[..., None], *seen: object) -> None:
        try:
            look(*seen)
        except Exception:
            logger.exception("%s", look.__qualname__)

    def _abort(self, connection: Connection) -> InvocationError:
        connection.abort()
        return InvocationError("cut")


def _due(number: int, every: int) -> bool:
    return every > 0 and number % every == 0
