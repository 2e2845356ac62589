"""Forward-only, numbered migrations; each commits with its own record or not at all.

    syncd/store/sql/COMPONENT/NNNN_name.sql

A step finds what the step before it ended in: what is missing of that is made first, and what is of another make is
refused with words. Steps are never changed once released. New columns go last, since a POS may read by position;
whatever a step makes, it makes IF NOT EXISTS, and drops IF EXISTS.

What takes long is done beside the step, so that a till does not wait for it: the rows of a table that is built anew are
copied before it, a few at a time (`store/rebuild_ahead.py`), and each index of a table that has rows is made after it,
in a transaction of its own: SQLite cannot divide that, and takes about 50 ms for 100,000 rows.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from syncd.clock import iso_ms
from syncd.errors import ConfigurationError
from syncd.store.names import UNPREFIXED, has_table, names_of
from syncd.store.one_prefix import require_these_names
from syncd.store.rebuild_ahead import rebuild_ahead
from syncd.store.schema import Difference, Schema, difference, empty_copy, mend, run_script, schema_of
from syncd.store.sqlite_errors import primary_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.clock import Clock
    from syncd.store.database import Database
    from syncd.store.names import Names
    from syncd.store.write_budget import PacedWriter


GIVE_WAY_SECONDS = 0.2  # to a till that has found the lock taken: SQLite looks again after 0.1 s, Microsoft.Data.Sqlite after 0.15 s
ANOTHER_PREFIX = 'give syncd\'s tables names of their own: database.table_prefix = "syncd_"'
ANOTHER_FILE = "give HQ's tables a file of their own: database.path another file, database.outbox_path this one"


class Migration(NamedTuple):
    """One step."""

    version: int
    name: str
    script: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file needs, told without changing it.

    Attributes:
        version: of the file; where it has no record of ours yet, of the tables that it has, or of our newest.
        recorded: the file says so itself.
        found: how it differs from the schema of that version.
        next_step: the migration to come after that.
    """

    version: int
    recorded: bool
    found: Difference
    next_step: Migration | None

    @property
    def done(self) -> bool:
        """Nothing needs doing."""
        return self.recorded and not self.found.mendable and self.next_step is None


def migrations(component: str, names: Names = UNPREFIXED) -> list[Migration]:
    """The component's migrations in order."""
    found = []
    for entry in (resources.files("syncd.store") / "sql" / component).iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if match:
            found.append(Migration(int(match[1]), match[2], names.script(entry.read_text(encoding="utf-8"))))
    return sorted(found)


def schema_at(component: str, version: int, names: Names = UNPREFIXED) -> Schema:
    """What the component's migrations up to this one end in."""
    return schema_of(tuple(script for number, _, script in migrations(component, names) if number <= version), names)


def newest_schema(component: str, names: Names) -> Schema:
    """What all of the component's migrations end in."""
    return schema_at(component, migrations(component)[-1].version, names)


def applied_version(connection: sqlite3.Connection, component: str) -> int:
    """The newest migration that this file has had; 0 for none."""
    if not has_table(connection, "sync_schema"):
        return 0
    (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM [sync_schema] WHERE component = ?", (component,)).fetchone()
    return int(version)


def plan(connection: sqlite3.Connection, path: object, component: str) -> Plan:
    """What `migrate` would do with this file; only reads, and all that `migrate` refuses is refused here.

    The steps to come are run in a copy of the schema, without its rows: where something that the POS has added is in
    the way of the last of them, the first is not made either.

    Raises:
        ConfigurationError: the file is newer than the program, something of another make has the name of something of
            ours, or a step cannot be made in this file.
    """
    now, names = _plan(connection, path, component), names_of(connection)
    if now.next_step is not None:
        with closing(empty_copy(connection)) as copy:
            mend(copy, difference(copy, schema_at(component, now.version, names)))
            for step in migrations(component, names):
                if step.version > now.version:
                    _run(copy, path, component, step)
    return now


def _plan(connection: sqlite3.Connection, path: object, component: str) -> Plan:
    names = names_of(connection)
    if component != "journal":
        require_these_names(connection, path, component, names)
    steps = migrations(component, names)
    newest = steps[-1].version
    _require_ours(path, difference(connection, schema_of((), names)), _advice(component, names, is_new=True))
    version = applied_version(connection, component)
    if version > newest:
        raise ConfigurationError(
            f"{path}: its {component} tables have version {version}, and this program knows them up to {newest}: "
            "install a syncd at least as new as the one that made this database"
        )
    recorded = version > 0
    if not recorded:
        version = next((step.version for step in reversed(steps) if _fits(connection, component, step.version)), newest)
    wanted, latest = schema_at(component, version, names), schema_at(component, newest, names)
    found, advice = difference(connection, wanted), _advice(component, names, is_new=not recorded)
    _require_ours(path, found, advice)
    # What later steps will make must not be there in another make; this is checked while the file is still unchanged.
    _require_ours(path, difference(connection, {name: item for name, item in latest.items() if name not in wanted}), advice)
    return Plan(version, recorded, found, next((step for step in steps if step.version > version), None))


def require_current(connection: sqlite3.Connection, path: object, component: str) -> None:
    """Refuse a file on which no daemon of this release has run yet: commands know today's tables only.

    Raises:
        ConfigurationError: it is older or newer than this program, or of another make.
    """
    now = plan(connection, path, component)
    if not now.recorded or now.next_step is not None:
        raise ConfigurationError(f"{path}: its {component} tables are older than this program: `syncd run` brings them up to date")


async def migrate(
    database: Database,
    component: str,
    clock: Clock,
    till: PacedWriter | None = None,
    on_progress: Callable[[], None] = lambda: None,
) -> int:
    """Bring one component's tables up to this program's version, and make what is missing of them.

    A program that rebuilds a table, as SQLite's documentation of ALTER TABLE recommends and many ORMs do, drops its
    indexes and triggers with it; they are made again.

    Args:
        till: writes into this file beside its till; None where steps need no such care.
        on_progress: called now and then while rows are copied, which may take minutes.

    Returns:
        The version that the file now has.

    Raises:
        ConfigurationError: see `plan`; or the rows are in the way of a step.
        StorageError: the file cannot be written.
    """

    def look(connection: sqlite3.Connection) -> Plan:
        return plan(connection, database.path, component)

    def advance(connection: sqlite3.Connection) -> bool:
        return _advance(connection, database.path, component, iso_ms(clock.now()))

    while not (now := await database.run(look)).done:
        if till is not None and now.recorded and now.next_step is not None:
            await rebuild_ahead(till, now.next_step.script, on_progress)
        if (await database.write(advance)).result:
            await clock.sleep(GIVE_WAY_SECONDS)
    return now.version


def _advance(connection: sqlite3.Connection, path: object, component: str, stamp: str) -> bool:
    """Make one step, within a transaction, by a new plan: another process may have made it meanwhile.

    Returns:
        Whether an index of a table that has rows was made, which takes its time. It has a transaction of its own.
    """
    now = _plan(connection, path, component)
    if mend(connection, now.found):
        return True
    if not now.recorded:
        # A POS may have made our tables before us, as any release has them: the release that fits is recorded.
        done = [step for step in migrations(component, names_of(connection)) if step.version <= now.version]
    elif now.next_step is not None:
        _run(connection, path, component, now.next_step)
        done = [now.next_step]
    else:
        done = []
    connection.executemany("INSERT INTO [sync_schema] VALUES (?, ?, ?, ?)", [(component, step.version, step.name, stamp) for step in done])
    return False


def _run(connection: sqlite3.Connection, path: object, component: str, step: Migration) -> None:
    try:
        run_script(connection, step.script)
    except sqlite3.Error as error:
        if primary_code(error) not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT):  # a lock, or a full disk
            raise
        raise ConfigurationError(
            f"{path}: step {step.version:04}_{step.name} of its {component} tables cannot be made, and nothing of it was: {error}; "
            "see what the POS has added to these tables"
        ) from error


def _fits(connection: sqlite3.Connection, component: str, version: int) -> bool:
    return not difference(connection, schema_at(component, version, names_of(connection))).foreign


def _advice(component: str, names: Names, *, is_new: bool) -> str:
    """What helps where something of another make has a name of ours; a store that is there already keeps its names."""
    if is_new and names.prefix:
        return f'another prefix than database.table_prefix = "{names.prefix}" helps; see docs/beside-a-pos.md'
    if component == "store":
        return f"{f'{ANOTHER_PREFIX}, or ' if is_new else ''}{ANOTHER_FILE}; see docs/beside-a-pos.md"
    return f"{ANOTHER_PREFIX if is_new else 'rename yours'}, or see docs/till.md on the outbox"


def _require_ours(path: object, found: Difference, advice: str) -> None:
    if found.foreign:
        raise ConfigurationError(f"{path}: {'; '.join(found.foreign)}: it is not the one that syncd works with; {advice}")
