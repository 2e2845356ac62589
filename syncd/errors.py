"""What can go wrong, as one tree: how the process ends with it (contract, section 5), and whether it is worth trying again.

Retryable means that nobody has refused anything: the same may be tried again, as often as it takes, and no attempt is
counted.

                                    exit  retryable
    SyncdError                      70    no    a bug, unless a branch says otherwise
    ├── ConfigurationError          78    no    a key, a value, a missing file; a database newer than the program
    ├── ToldToStop                  0     yes   a signal, while the tables were still being brought up to date
    ├── AnotherInstanceError        75    yes   another syncd holds the store (names its pid)
    ├── PermissionDeniedError       77    no    a file or folder that may not be read or written
    ├── StorageError                74    yes   the disk or a database cannot be used: full, unreachable, an I/O error
    │   ├── StorageBusy             74    yes   another process held the lock for too long
    │   ├── StorageDamaged          74    no    the file is no database, or a broken one
    │   └── StatementError          74    no    SQLite refused one statement (a constraint, a trigger); the database is well
    └── HubError                    69    yes   whatever the line or HQ does; never ends the daemon
        ├── ConnectionFailed        69    yes   no connection came to be (refused, DNS, TLS, HTTP status, time-out)
        │   └── AuthenticationRejected  69  yes   401 or 403 on negotiate or upgrade; a new token may be there next time
        ├── ConnectionLost          69    yes   it was there and is gone; what was in flight has an unknown outcome
        │   ├── ClosedByHub         69    yes   a close message: its error, and whether we may reconnect
        │   └── InvocationTimeout   69    yes   no answer in time, so the connection was dropped
        ├── InvocationError         69    no    the hub answered an invocation with an error
        │   ├── MethodMissing       69    no    "Method does not exist": use the fallback
        │   └── UnreadableAnswer    69    no    the answer is above our bound for a message, or cannot be read
        └── MessageTooLarge         69    no    refused on our side, before it was sent

What is wrong with a single row or message stays where that is read and costs nothing else. It has no exit code: one
that gets as far as ending the process is a bug.

    DataError                       -     no    a ValueError
    ├── UnencodableError            -     no    a row of the outbox that can never be written as JSON
    ├── LargeJSONError              -     no    no JSON, or beyond a bound
    ├── MalformedMessageError       -     no    JSON, but no message of SignalR's
    ├── MalformedError              -     no    an update that cannot be applied
    ├── UnreadableAnswerError       -     no    an answer to a batch that is neither nothing nor a list of acks
    └── UnreadableResponseError     -     no    an answer to a catch-up request that is none, or says that it failed
"""

from __future__ import annotations

from enum import Enum, IntEnum
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
    """Base of all errors that may end the process; the table above has their exit codes and which are retryable."""

    exit_code: ClassVar[ExitCode] = ExitCode.BUG
    retryable: ClassVar[bool] = False


class ConfigurationError(SyncdError):
    """The configuration cannot be used; the message names the key, the value and what is allowed."""

    exit_code = ExitCode.CONFIGURATION


class ToldToStop(SyncdError):
    """A signal has come while the tables were still being brought up to date; the next start goes on with it."""

    exit_code = ExitCode.OK
    retryable = True


class AnotherInstanceError(SyncdError):
    """Another syncd holds this store."""

    exit_code = ExitCode.TEMPORARY
    retryable = True


class PermissionDeniedError(SyncdError):
    """A file or folder may not be read or written by this user."""

    exit_code = ExitCode.PERMISSION


class StorageError(SyncdError):
    """A database or the disk below it cannot be used.

    Attributes:
        path: the database file, where it is one's.
    """

    exit_code = ExitCode.IO
    retryable = True

    def __init__(self, message: str, *, path: Path | str | None = None) -> None:
        super().__init__(message)
        self.path = path


class StorageBusy(StorageError):
    """Another process held the lock for longer than SQLite's busy timeout; it is worth trying again."""


class StorageDamaged(StorageError):
    """The file is no database, or a broken one; trying again cannot mend it."""

    retryable = False


class StatementError(StorageError):
    """SQLite refused one statement: a constraint, a trigger's RAISE, a missing table, a type.

    The database itself is well.
    """

    retryable = False


class HubError(SyncdError):
    """Anything between us and HQ."""

    exit_code = ExitCode.UNAVAILABLE
    retryable = True


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


class InvocationTimeout(ConnectionLost):
    """No answer within `hub.invocation_timeout_seconds`, so the connection was dropped; the outcome is unknown."""


class InvocationError(HubError):
    """The hub answered an invocation with an error; its text is the message."""

    retryable = False


class MethodMissing(InvocationError):
    """The hub has no such method."""


class UnreadableAnswer(InvocationError):
    """The hub answered, and its answer is above our bound for a message or cannot be read."""


class MessageTooLarge(HubError):
    """The encoded message is above the limit; nothing was sent.

    Attributes:
        size: bytes of the encoded message, its separator included.
        limit: bytes allowed.
    """

    retryable = False

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"message of {size} bytes is above the limit of {limit} bytes")
        self.size = size
        self.limit = limit


class DataError(ValueError):
    """One row or one message cannot be used as it is."""

    retryable: ClassVar[bool] = False


class InvocationFailure(Enum):
    """What a failed invocation means for its caller."""

    RETRY = "retry"
    """Nobody has refused anything: do the same on the next connection. Of what was on its way the outcome is
    unknown."""
    REFUSED = "refused"
    """The hub answered with an error, or the message is too large for it: the same again would be refused again."""
    METHOD_MISSING = "method missing"
    """The hub has no such method: use the fallback; no row has failed."""


def invocation_failure(error: HubError) -> InvocationFailure:
    """The one decision on a `HubSession.invoke` that raised.

    An error without an answer has dropped the session already.
    """
    if isinstance(error, MethodMissing):
        return InvocationFailure.METHOD_MISSING
    return InvocationFailure.RETRY if error.retryable else InvocationFailure.REFUSED
