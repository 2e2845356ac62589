"""What we rely on inside aiosqlite; an upgrade that changes any of it must fail here, not in a shop."""

from __future__ import annotations

import inspect
import sqlite3
import threading
from importlib.metadata import version

import aiosqlite
import pytest


def test_it_is_the_version_that_this_was_read_in() -> None:
    assert version("aiosqlite").startswith("0.22.")


async def test_execute_runs_a_function_on_the_connections_own_thread_and_returns_what_it_gave() -> None:
    connection = aiosqlite.Connection(lambda: sqlite3.connect(":memory:"), 64)
    assert isinstance(connection._thread, threading.Thread)
    assert not connection._thread.is_alive(), "we make it a daemon thread before it starts"
    connection._thread.daemon = True
    async with connection:
        assert inspect.iscoroutinefunction(connection._execute)

        def where() -> tuple[int, object]:
            return threading.get_ident(), connection._conn.execute("SELECT 42").fetchone()

        thread, row = await connection._execute(where)  # type: ignore[no-untyped-call]
        assert (thread, row) == (connection._thread.ident, (42,))
        assert thread != threading.get_ident()
        assert isinstance(connection._conn, sqlite3.Connection)
    connection._thread.join(5)
    assert not connection._thread.is_alive()


async def test_what_the_function_raises_reaches_the_caller() -> None:
    async with aiosqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as connection:

        def broken() -> None:
            raise sqlite3.OperationalError("as raised")

        with pytest.raises(sqlite3.OperationalError, match="as raised"):
            await connection._execute(broken)  # type: ignore[no-untyped-call]
