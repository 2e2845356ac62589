"""The development hub as a process, and a test's hands on it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from syncd.devhub import exact
from syncd.testing.process import PATIENCE_SECONDS, Process, wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

CALL_SECONDS = 60.0
PORT_TAKEN = 69
"""The exit code of `syncd devhub` then."""


class Hub:
    """`with Hub(folder) as hub:` runs `syncd devhub` on a free port of 127.0.0.1; a restart keeps the port.

    Args:
        folder: for its log, `devhub.log`.

    Attributes:
        url: for `hub.url` of a store.
    """

    def __init__(self, folder: Path) -> None:
        self.url = ""
        self._port = 0
        self._process = Process(folder / "devhub.log")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and return when it listens. It remembers nothing of before."""
        self._run()
        try:
            line = wait_until(self._first_line, "the hub is ready")
        except AssertionError as error:
            self._process.kill()
            raise AssertionError(f"{error}\n{self._process.tail()}") from None
        self.url = json.loads(line)["url"]
        self._port = int(self.url.split(":")[2].partition("/")[0])

    def stop(self) -> None:
        """End it; the stores lose their connection."""
        self._process.stop()

    def _run(self) -> None:
        self._process.start("devhub", "--port", str(self._port), "--json")

    def _first_line(self) -> str:
        if self._port and self._process.exit_code == PORT_TAKEN:  # by a connection that got this port while the hub was away
            self._process.stop()
            self._run()
        assert self._process.pid
        lines = self._process.log.read_text(encoding="utf-8").splitlines(keepends=True)
        return next((line for line in lines if line.startswith("{") and line.endswith("\n")), "")

    def state(self) -> dict[str, Any]:
        """Everything counted: `unique`, `duplicates`, `refused`, `connections`, `acksOk`, `acksFailed` and more."""
        state: dict[str, Any] = self.control("GET", "state")
        return state

    def items(self) -> list[dict[str, Any]]:
        """The last 1000 rows as they arrived first (`SyncItem`), oldest first."""
        items: list[dict[str, Any]] = self.control("GET", "items")
        return items

    def wait_for_item(self, entity_type: str, entity_id: int | str, timeout_seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The newest row of this entity, as soon as there is one.

        Raises:
            AssertionError: none came in time; with what came instead.
        """
        __tracebackhide__ = True

        def found() -> dict[str, Any] | None:
            ours = (item for item in reversed(self.items()) if (item["entityType"], item["entityId"]) == (entity_type, entity_id))
            return next(ours, None)

        try:
            item = wait_until(found, f"HQ gets {entity_type} {entity_id!r}", timeout_seconds)
        except AssertionError as error:
            came = [(item["entityType"], item["entityId"]) for item in self.items()[-20:]]
            raise AssertionError(f"{error}; the last that came: {came or 'none'}") from None
        assert item is not None
        return item

    def push(self, method: str, *arguments: object, store: int | str | None = None) -> int:
        """Invoke a client method on every store, or on one, without waiting for an answer; how many that were.

        A `Decimal` goes as a number with all its digits.

        Raises:
            AssertionError: no store is connected, so that nobody would ever see it.
        """
        __tracebackhide__ = True
        reached = int(self.control("POST", "push", {"method": method, "args": list(arguments)}, **_named(store=store)))
        assert reached, "no store is connected" if store is None else f"store {store} is not connected"
        return reached

    def invoke(self, method: str, *arguments: object, store: int | str | None = None, timeout_seconds: float = 30) -> Any:
        """Invoke a client method on the newest connection, and give its result: a `SyncAck` once the update is on the store's disk.

        Raises:
            AssertionError: nobody is connected, or the store gave no result.
        """
        __tracebackhide__ = True
        query = _named(store=store, seconds=timeout_seconds)
        return self.control("POST", "invoke", {"method": method, "args": list(arguments)}, **query)

    def publish(self, *items: dict[str, Any]) -> None:
        """Add `SyncItem`s to the feed, which a store reads after each connect."""
        self.control("POST", "feed", list(items))

    def set_faults(self, **faults: object) -> None:
        """Switch these on and all others off, as `set_faults(refuseEvery=10)`; none: all is well again."""
        self.control("PUT", "faults", faults)

    def cut(self) -> int:
        """End every connection; how many. The stores come back by themselves."""
        return int(self.control("POST", "cut"))

    def reset(self) -> None:
        """Forget everything, faults and feed too."""
        self.control("POST", "reset")

    def control(self, method: str, call: str, body: object = None, **query: str) -> Any:
        """Any call of the hub's control API.

        Raises:
            AssertionError: it was refused; with the hub's words.
        """
        __tracebackhide__ = True
        assert self._process.pid
        address = f"{self.url.removesuffix('/hubs/sync')}/control/{call}{f'?{urlencode(query)}' if query else ''}"
        data = None if body is None else exact.dumps(body)
        try:
            request = urllib.request.Request(address, data=data, method=method)  # noqa: S310 - our own loopback address
            with _DIRECT.open(request, timeout=CALL_SECONDS) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                reason = error.read().decode(errors="replace")
            raise AssertionError(f"{method} {call}: {error.code} {reason}") from None
        return json.loads(text) if text else None


def _named(**values: object) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Whatever proxy this environment names: the hub is on this machine."""
