"""HQ to store: what the hub pushes and what a catch-up fetches goes through one queue, is committed, and only then acknowledged.

Live updates and the catch-up may cross in any order: newer wins. All that has come meanwhile shares one commit and one disk sync.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncd.clock import iso_ms
from syncd.downlink.receive import REQUEST, UnreadableResponseError, correlation_id_of, messages_of, raw_text, read_page, update_of_item
from syncd.errors import HubError, InvocationError, InvocationTimeout, MessageTooLarge, MethodMissing, StorageError
from syncd.store.catalog import ENTITY_TYPES, MalformedError, Update, read_update
from syncd.store.inbox import Quarantined
from syncd.store.times import for_the_wire, parse_time
from syncd.wire.messages import batch_sync_request, sync_ack

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.store.catalog import EntityType
    from syncd.store.inbox import Inbox

ACKNOWLEDGE = "Acknowledge"
ACKNOWLEDGE_BATCH = "AcknowledgeBatch"
RETRY_SECONDS = 1.0  # a database that cannot be written is tried again this often
ACKS_A_MESSAGE = 100  # about 20 kB, below ASP.NET Core's default limit
KEPT_ACKS = 100_000  # while the line is down; HQ learns of older ones from its own catch-up
CATCH_UP_RETRY_SECONDS = 10.0
PAGES_AHEAD = 2  # fetched while an earlier one is applied


@dataclass(slots=True, eq=False)
class _Delivery:
    """Some updates that came together, and who waits for them."""

    items: list[Update | Quarantined]
    correlation_ids: list[str | None]
    source: str
    done: asyncio.Future[list[dict[str, object]]]
    cursor: str | None = None
    acknowledge: bool = True
    position: int = 0
    errors: dict[int, str] = field(default_factory=dict)


class Downlink:
    """The applying loop, the catch-up and the acknowledgements.

    Args:
        on_trouble: told of a store database that cannot be written, and None once it can.
        on_change: told whenever a figure of the status changes.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        inbox: Inbox,
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        on_trouble: Callable[[StorageError | None], None],
        on_change: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._inbox = inbox
        self._sync = settings.sync
        self._store_id = settings.store.id
        self._clock = clock
        self._log = log
        self._on_trouble = on_trouble
        self._on_change = on_change
        self._queue: deque[_Delivery] = deque()
        self._work = asyncio.Event()
        self._acks: deque[dict[str, object]] = deque(maxlen=KEPT_ACKS)
        self._ack_work = asyncio.Event()
        self._pull = asyncio.Event()
        # What the status file shows:
        self.applied_total: Counter[str] = Counter({entity_type.name: 0 for entity_type in ENTITY_TYPES})
        self.stale = 0
        self.quarantined = 0
        self.cursor: str | None = None
        self.last_applied_at: datetime | None = None
        self.caught_up = False
        self.catching_up = False
        self.applied_pieces = 0  # a sign of life
        self.catch_up_error: str | None = None
        self.lacks_catch_up = False  # the hub has no RequestBatchSync
        for entity_type in ENTITY_TYPES:
            hub.on(entity_type.method, self._receiver(entity_type))
        hub.on("ReceiveSyncItem", self._receive_item)

    async def run(self) -> None:
        """Apply, catch up and acknowledge; for ever."""
        self.cursor = await self._inbox.cursor()
        self.quarantined = await self._inbox.quarantined()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._apply_all(), name="downlink.apply")
            group.create_task(self._acknowledge_all(), name="downlink.acknowledge")
            group.create_task(self._keep_caught_up(), name="downlink.catch_up")

    async def recount(self) -> None:
        """A person, or the retention, may have emptied the quarantine."""
        self.quarantined = await self._inbox.quarantined()

    @property
    def idle(self) -> bool:
        """Nothing waits to be applied."""
        return not self._queue

    # ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _receiver(self, entity_type: EntityType) -> Callable[[list[Any], bool], Any]:
        async def receive(arguments: list[Any], wants_result: bool) -> object:
            messages, many = messages_of(arguments)
            items = [self._read(entity_type.method, message, lambda m: read_update(entity_type, m)) for message in messages]
            return await self._accept(items, messages, many=many, wants_result=wants_result)

        return receive

    async def _receive_item(self, arguments: list[Any], wants_result: bool) -> object:
        messages, many = messages_of(arguments)
        items = [self._read("ReceiveSyncItem", message, update_of_item) for message in messages]
        return await self._accept(items, messages, many=many, wants_result=wants_result)

    def _read(self, method: str, message: object, read: Callable[[object], Update]) -> Update | Quarantined:
        try:
            return read(message)
        except MalformedError as error:
            self._log.warning("update_malformed", method=method, correlation_id=correlation_id_of(message), reason=str(error))
            return Quarantined(method, correlation_id_of(message), str(error), raw_text(message))

    def _accept(
        self, items: list[Update | Quarantined], messages: list[Any], *, many: bool, wants_result: bool
    ) -> asyncio.Future[list[dict[str, object]]] | Any:
        ids = [correlation_id_of(message) for message in messages]
        done = self._enqueue(items, ids, "live", acknowledge=not wants_result)
        return _result(done, many=many, wants_result=wants_result)

    def _enqueue(
        self,
        items: list[Update | Quarantined],
        ids: list[str | None],
        source: str,
        *,
        cursor: str | None = None,
        acknowledge: bool = True,
    ) -> asyncio.Future[list[dict[str, object]]]:
        done: asyncio.Future[list[dict[str, object]]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Delivery(items, ids, source, done, cursor, acknowledge))
        self._work.set()
        return done

    # ── applying ──────────────────────────────────────────────────────────────────────────────────────────────────
    async def _apply_all(self) -> None:
        while True:
            if not self._queue:
                self._work.clear()
                await self._work.wait()
            finished = await self._apply_some()
            if finished:
                await self._until_it_works(self._inbox.sync)
                self._finish(finished)

    async def _apply_some(self) -> list[_Delivery]:
        """Apply one piece, cut from the head of the queue; returns the deliveries that are complete by it."""
        room = self._inbox.room()
        piece: list[Update | Quarantined] = []
        parts: list[tuple[_Delivery, int, int]] = []
        cursor = None
        source = self._queue[0].source
        for delivery in self._queue:
            if delivery.source != source or len(piece) >= room:
                break
            taken = delivery.items[delivery.position : delivery.position + room - len(piece)]
            parts.append((delivery, len(piece), len(taken)))
            piece += taken
            if delivery.position + len(taken) == len(delivery.items) and delivery.cursor is not None:
                cursor = delivery.cursor
        applied = await self._until_it_works(lambda: self._inbox.apply(piece, source, cursor))
        if cursor is not None:
            self.cursor = cursor
        finished = []
        for delivery, start, length in parts:
            for offset in range(length):
                self._count(delivery, delivery.position + offset, applied.stale[start + offset], applied.failures.get(start + offset))
            delivery.position += length
            if delivery.position == len(delivery.items):
                finished.append(delivery)
                self._queue.popleft()
        self.applied_pieces += 1
        if not all(applied.stale):
            self.last_applied_at = self._clock.now()
        self._on_change()
        return finished

    def _count(self, delivery: _Delivery, index: int, stale: bool, failure: str | None) -> None:
        item = delivery.items[index]
        if isinstance(item, Quarantined):
            failure = item.reason
        if failure is not None:
            delivery.errors[index] = failure
            self.quarantined += 1
        elif stale:
            self.stale += 1
        elif isinstance(item, Update):
            self.applied_total[item.entity_type.name] += 1

    async def _until_it_works(self, work: Callable[[], Any]) -> Any:
        """A database that is locked, full or read-only is tried until it can be written: nothing is lost, and nothing acknowledged."""
        while True:
            try:
                result = await work()
            except StorageError as error:
                self._on_trouble(error)
                await self._clock.sleep(RETRY_SECONDS)
            else:
                self._on_trouble(None)
                return result

    def _finish(self, deliveries: list[_Delivery]) -> None:
        now = self._clock.now()
        for delivery in deliveries:
            acks = [sync_ack(identifier, delivery.errors.get(index), now) for index, identifier in enumerate(delivery.correlation_ids)]
            if not delivery.done.done():
                delivery.done.set_result(acks)
            if delivery.acknowledge:
                self._acks.extend(ack for ack in acks if ack["correlationId"])
        self._ack_work.set()

    # ── acknowledging ─────────────────────────────────────────────────────────────────────────────────────────────
    async def _acknowledge_all(self) -> None:
        while True:
            await self._ack_work.wait()
            session = await self._hub.session()
            if not self._acks:
                self._ack_work.clear()
                continue
            some = [self._acks.popleft() for _ in range(min(ACKS_A_MESSAGE, len(self._acks)))]
            try:
                await self._acknowledge(session, some)
            except InvocationTimeout as error:
                self._acks.extendleft(reversed(some))
                await session.drop(str(error))
            except MessageTooLarge as error:
                self._log.warning("acknowledge_failed", acks=len(some), error=str(error))
            except InvocationError as error:  # the hub will not have them; the updates are applied all the same
                self._log.warning("acknowledge_refused", acks=len(some), error=str(error))
            except HubError:
                self._acks.extendleft(reversed(some))

    async def _acknowledge(self, session: HubSession, acks: list[dict[str, object]]) -> None:
        if len(acks) > 1 and not session.lacks(ACKNOWLEDGE_BATCH):
            try:
                await session.invoke(ACKNOWLEDGE_BATCH, acks)
            except MethodMissing:
                pass
            else:
                return
        if not session.lacks(ACKNOWLEDGE):
            await asyncio.gather(*(session.invoke(ACKNOWLEDGE, ack) for ack in acks))

    # ── catching up ───────────────────────────────────────────────────────────────────────────────────────────────
    def connected(self) -> None:
        """A new connection: what was missed meanwhile is fetched now."""
        self.caught_up = False
        self._pull.set()

    async def _keep_caught_up(self) -> None:
        wait = self._sync.pull_interval_seconds
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._pull.wait()
            except TimeoutError:
                pass
            self._pull.clear()
            session = await self._hub.session()
            wait = self._sync.pull_interval_seconds
            self.catching_up = True
            try:
                await self._catch_up(session)
            except MethodMissing:
                self.lacks_catch_up = True
                self.catch_up_error = f"the hub has no {REQUEST}: what is missed while the line is down is not fetched"
                self._log.warning("catch_up_unavailable", reason=self.catch_up_error)
            except InvocationTimeout as error:
                await session.drop(str(error))
            except (InvocationError, MessageTooLarge, UnreadableResponseError) as error:
                self.catch_up_error = f"the catch-up failed: {error}"
                self.caught_up = False
                wait = CATCH_UP_RETRY_SECONDS
                self._log.warning("catch_up_failed", error=str(error), retry_in_seconds=wait)
            except HubError:  # the connection is gone; the next one begins with a catch-up
                pass
            else:
                self.catch_up_error = None
                self.lacks_catch_up = session.lacks(REQUEST)
            self.catching_up = False
            self._on_change()

    async def _catch_up(self, session: HubSession) -> None:
        """Page by page until HQ has no more; a page is fetched while the one before is applied."""
        if session.lacks(REQUEST):
            return
        cursor, first = self.cursor, True
        stored = cursor
        items = pages = 0
        waiting: deque[asyncio.Future[list[dict[str, object]]]] = deque()
        while True:
            request = batch_sync_request(
                self._store_id, cursor, self._since(cursor, first), list(self._sync.entity_types), self._sync.pull_batch_size
            )
            page = read_page(await session.invoke(REQUEST, request))
            updates = [self._read(REQUEST, item, update_of_item) for item in page.items]
            moved = page.next_cursor if page.next_cursor is not None and page.next_cursor != stored else None
            if updates or moved is not None:
                waiting.append(self._enqueue(updates, [correlation_id_of(item) for item in page.items], "catchup", cursor=moved))
                stored = moved or stored
            items, pages = items + len(updates), pages + 1
            if len(waiting) > PAGES_AHEAD:
                await waiting.popleft()
            if not page.has_more:
                break
            if page.next_cursor is None or (page.next_cursor == cursor and not first):
                raise UnreadableResponseError("the hub says that there is more, and gives no new cursor")
            cursor, first = page.next_cursor, False
        for done in waiting:
            await done
        self.caught_up = True
        if items:
            self._log.info("caught_up", items=items, pages=pages)

    def _since(self, cursor: str | None, first: bool) -> str | None:
        """The cursor once more as a time, where it reads as one; earlier on the first page, since rows may share an instant."""
        parsed = parse_time(cursor) if cursor is not None else None
        if cursor is None or parsed is None:
            return None
        if not first:
            return for_the_wire(cursor)
        try:
            return iso_ms(parsed[0] - timedelta(seconds=self._sync.cursor_overlap_seconds))
        except OverflowError:  # .NET's DateTime.MinValue: there is nothing earlier
            return for_the_wire(cursor)


async def _result(done: asyncio.Future[list[dict[str, object]]], *, many: bool, wants_result: bool) -> object:
    acks = await done
    if not wants_result:
        return None
    return acks if many else acks[0]
