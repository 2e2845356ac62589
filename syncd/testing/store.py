"""A store for a test: a database, a configuration, and the daemon as a process."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

from syncd.testing.process import PATIENCE_SECONDS, Process, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

QUICK = {"hub.reconnect_delay_seconds": 0.2, "hub.reconnect_max_delay_seconds": 1, "sync.retry_base_seconds": 1}
"""So that a test does not wait for a line that comes back, or for a row that HQ refused."""


class Store:
    """`with Store(folder, hub.url) as store:` runs `syncd run` beside a till's database, and returns when it is connected.

    Args:
        folder: for its files: `store.db` (unless `database` names another), `syncd.toml`, `syncd.log`, `status.json`.
        hub_url: of a development hub, or of your own.
        database: the till's, where it has one already; syncd makes its tables in it.
        settings: of the configuration: `{"store.id": 42, "sync.batch_size": 10}`; the store's id is 1 otherwise.

    Attributes:
        database: the SQLite file that the till writes to.
    """

    def __init__(self, folder: Path, hub_url: str, *, database: Path | None = None, settings: Mapping[str, object] | None = None) -> None:
        self.database = database or folder / "store.db"
        self._config = folder / "syncd.toml"
        self._status = folder / "status.json"
        self._process = Process(folder / "syncd.log")
        self._quarantine = f"{(settings or {}).get('database.table_prefix') or 'sync_'}quarantine"
        places = {"database.path": str(self.database), "hub.url": hub_url, "status.path": str(self._status)}
        self._config.write_text(_toml({"store.id": 1, **places, **QUICK, **(settings or {})}), encoding="utf-8")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self, *, connected: bool = True, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Start the daemon; return when it is connected, or as soon as its tables are there.

        Raises:
            AssertionError: it ended, or is not connected in time; with the end of its log.
        """
        self._process.start("run", "--config", str(self._config))
        wanted, what = (self.is_connected, "syncd is connected") if connected else (self._is_up, "syncd is up")
        try:
            wait_until(wanted, what, timeout_seconds)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self._process.tail()}") from None

    def stop(self) -> None:
        """End the daemon, as a service manager does."""
        self._process.stop()

    def kill(self) -> None:
        """End the daemon as a power cut does."""
        self._process.kill()

    def status(self) -> dict[str, Any]:
        """The status file; empty before the first start."""
        try:
            status: dict[str, Any] = json.loads(self._status.read_bytes())
        except FileNotFoundError:
            return {}
        return status

    def is_connected(self) -> bool:
        """Whether the daemon has a connection to the hub."""
        return self._is_up() and bool(self.status()["connection"]["state"] == "connected")

    def execute(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """One statement in the till's database, committed; its rows."""
        with closing(sqlite3.connect(self.database, timeout=30, isolation_level=None)) as till:
            return till.execute(sql, parameters).fetchall()

    def wait_for_row(self, sql: str, *parameters: object, timeout_seconds: float = PATIENCE_SECONDS) -> tuple[Any, ...]:
        """The first row of a query, as soon as there is one.

        Raises:
            AssertionError: there was none in time; with what the store could not apply, which may be why.
        """
        __tracebackhide__ = True
        try:
            return wait_until(lambda: self.execute(sql, *parameters), f"{sql} {parameters or ''}".rstrip(), timeout_seconds)[0]
        except AssertionError as error:
            newest = self.execute(f'SELECT method, reason FROM "{self._quarantine}" ORDER BY id DESC LIMIT 5')  # noqa: S608 - a test's own
            refused = "; ".join(f"{method}: {reason}" for method, reason in newest)
            raise AssertionError(f"{error}. In the quarantine: {refused or 'nothing'}") from None

    def _is_up(self) -> bool:
        return bool(self.status().get("pid") == self._process.pid)


def _toml(settings: dict[str, object]) -> str:
    sections: dict[str, list[str]] = {}
    for key, value in settings.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append(f"{name} = {_toml_value(value)}")
    return "\n".join(f"[{section}]\n" + "\n".join(lines) + "\n" for section, lines in sections.items())


def _toml_value(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(name)} = {_toml_value(inner)}' for name, inner in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(value)
