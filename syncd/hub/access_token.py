"""The bearer token: read afresh for every attempt, so that a renewed one is used without a restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncd.errors import ConnectionFailed, SyncdError
from syncd.redaction import LONGEST_SECRET, known_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.clock import Clock
    from syncd.config.settings import HubSettings


async def access_token(settings: HubSettings, clock: Clock, read: Callable[[], str | None] | None = None) -> str | None:
    """The token as it is now; None where none is configured. From now on the log hides it.

    Args:
        read: reads it, in a thread; without one `hub.access_token_file` is read.

    Raises:
        ConnectionFailed: it cannot be read within `hub.connect_timeout_seconds`, or is no token.
    """
    seconds = settings.connect_timeout_seconds
    try:
        async with clock.timeout(seconds):
            token = await asyncio.to_thread(read or (lambda: _read_file(settings)))
    except TimeoutError:
        raise ConnectionFailed(f"the access token could not be read within {seconds:g} s") from None
    except SyncdError as error:
        raise ConnectionFailed(f"the access token cannot be read: {error}") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise ConnectionFailed(f"the access token cannot be read from {settings.access_token_file}: {why}") from error
    if token is None:
        return None
    token = checked_token(token)
    known_secrets.add(token)
    return token


def _read_file(settings: HubSettings) -> str | None:
    return None if settings.access_token_file is None else settings.access_token_file.read_text(encoding="utf-8")


def checked_token(token: str) -> str:
    """A token that may stand in a header.

    Raises:
        ConnectionFailed: it is empty or holds what no token has (its text is not repeated).
    """
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConnectionFailed("the access token is empty or holds what no token does: is hub.access_token_file the right file?")
    if len(token) > LONGEST_SECRET:
        raise ConnectionFailed(f"the access token has {len(token):,} characters, and no header takes more than {LONGEST_SECRET:,}")
    return token
