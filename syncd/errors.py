"""What can go wrong, as one tree; each branch knows its exit code (contract, section 5).

SyncdError                      70  a bug, unless a branch says otherwise
├── ConfigurationError          78  a key, a value, a missing file; a database newer than the program
├── AnotherInstanceError        75  another syncd holds the store (names its pid)
├── PermissionDeniedError       77  a file or folder that may not be read or written
├── StorageError                74  the disk or a database cannot be used
│   ├── StorageBusy                 another process held the lock for too long: try again
│   ├── StorageDamaged              the file is no database, or a broken one
│   └── StatementError              SQLite refused one statement (a constraint, a trigger, a missing table); the database is well
└── HubError                    69  whatever the line or HQ does; never ends the daemon
    ├── ConnectionFailed            no connection came to be (refused, DNS, TLS, HTTP status, time-out)
    │   └── AuthenticationRejected  401 or 403 on negotiate or upgrade
    ├── ConnectionLost              it was there and is gone; what was in flight has an unknown outcome
    │   └── ClosedByHub             a close message: its error, and whether we may reconnect
    └── InvocationError             the hub answered an invocation with an error
        ├── MethodMissing           "Method does not exist": use the fallback
        └── InvocationTimeout       no answer in time; the outcome is unknown
    MessageTooLarge                 refused on our side, before it was sent
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path


class ExitCode(IntEnum):
    """Process exit codes (sysexits.h), fixed by the contract."""

    OK = 0
    USAGE = 64
    UNAVAILABLE = 69
    BUG = 70
    IO = 74
    TEMPORARY = 75
    PERMISSION = 77
    CONFIGURATION = 78


class SyncdError(Exception):
    """Base of all errors that syncd raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.BUG


class ConfigurationError(SyncdError):
    """The configuration cannot be used; the message names the key, the value and what is allowed."""

    exit_code = ExitCode.CONFIGURATION


class AnotherInstanceError(SyncdError):
    """Another syncd holds this store."""

    exit_code = ExitCode.TEMPORARY


class PermissionDeniedError(SyncdError):
    """A file or folder may not be read or written by this user."""

    exit_code = ExitCode.PERMISSION


class StorageError(SyncdError):
    """A database or the disk below it cannot be used.

    Attributes:
        path: the database file, where it is one's.
    """

    exit_code = ExitCode.IO

    def __init__(self, message: str, *, path: Path | str | None = None) -> None:
        super().__init__(message)
        self.path = path


class StorageBusy(StorageError):
    """Another process held the lock for longer than SQLite's busy timeout; it is worth trying again."""


class StorageDamaged(StorageError):
    """The file is no database, or a broken one; trying again cannot mend it."""


class StatementError(StorageError):
    """SQLite refused one statement: a constraint, a trigger's RAISE, a missing table, a type. The database itself is well."""


class HubError(SyncdError):
    """Anything between us and HQ."""

    exit_code = ExitCode.UNAVAILABLE


class ConnectionFailed(HubError):
    """No connection came to be.

    Attributes:
        status: HTTP status, where there was one.
        retry_after_seconds: what the hub asked for by `Retry-After`, where it did.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class AuthenticationRejected(ConnectionFailed):
    """HQ answered 401 or 403."""


class ConnectionLost(HubError):
    """The connection is gone; the outcome of what was in flight is unknown.

    Attributes:
        close_code: WebSocket close code, where there was a close frame.
    """

    def __init__(self, message: str, *, close_code: int | None = None) -> None:
        super().__init__(message)
        self.close_code = close_code


class ClosedByHub(ConnectionLost):
    """The hub sent a close message.

    Attributes:
        error: the hub's text; None for a close without one (expired token, Context.Abort).
        allow_reconnect: whether the hub invites us back.
    """

    def __init__(self, error: str | None, *, allow_reconnect: bool) -> None:
        super().__init__(f"the hub closed the connection: {error or 'no reason given'}")
        self.error = error
        self.allow_reconnect = allow_reconnect


class InvocationError(HubError):
    """The hub answered an invocation with an error; its text is the message."""


class MethodMissing(InvocationError):
    """The hub has no such method."""


class InvocationTimeout(InvocationError):
    """No answer within `hub.invocation_timeout_seconds`; the outcome is unknown."""


class MessageTooLarge(HubError):
    """The encoded message is above the limit; nothing was sent.

    Attributes:
        size: bytes of the encoded message, its separator included.
        limit: bytes allowed.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"message of {size} bytes is above the limit of {limit} bytes")
        self.size = size
        self.limit = limit
