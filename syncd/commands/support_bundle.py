"""`syncd support-bundle`: what somebody far away needs to know about this store, in one archive."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncd.clock import SystemClock
from syncd.commands.bundle_parts import Parts
from syncd.commands.options import FILE, config_option
from syncd.errors import PermissionDeniedError, StorageError

if TYPE_CHECKING:
    from datetime import datetime

FILE_MODE = 0o600
STANDARD_OUTPUT = Path("-")


@click.command("support-bundle")
@config_option
@click.option(
    "--output", "-o", "output", type=FILE, metavar="FILE|-", help="Where to; - is standard output. Else a new file in this folder."
)
def command(config_file: Path | None, output: Path | None) -> int:
    """Put what support needs into one archive (tar.gz): configuration, status, checks, figures of the databases, versions, the log.

    No payload and no secret is in it. It works with the daemon dead, with a configuration that cannot be used, and with the store's disk
    full: then name a file on another disk, or pipe it away. As root it has most to tell.

    \b
    Examples: sudo syncd support-bundle
              sudo syncd support-bundle -o /media/usb/store-17.tar.gz
              ssh till-17 sudo syncd support-bundle -o - > store-17.tar.gz
    """
    if output == STANDARD_OUTPUT and sys.stdout.isatty():
        raise click.UsageError("an archive is nothing for a terminal: pipe it away, or name a file with -o")
    now = SystemClock().now()
    parts = Parts(config_file)
    name = f"syncd-support-{parts.store}-{now:%Y%m%dT%H%M%SZ}"
    content = _archive(name, list(parts), now)
    if output == STANDARD_OUTPUT:
        sys.stdout.buffer.write(content)
        return 0
    path = output or Path(f"{name}.tar.gz")
    _write(path, content)
    click.echo(f"{path}: {len(content):,} bytes. Secrets and payloads are left out; look through it: tar -xzf {path}")
    return 0


def _archive(name: str, parts: list[tuple[str, bytes]], now: datetime) -> bytes:
    """In memory: it is a few hundred kilobytes, and the disk may be full."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for part, content in parts:
            info = tarfile.TarInfo(f"{name}/{part}")
            info.size, info.mode, info.mtime = len(content), FILE_MODE, int(now.timestamp())
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    opened = False
    try:
        # In a folder that others may write, somebody may have put a link under this name, and root would follow it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        opened = True
        with open(descriptor, "wb") as file:  # noqa: PTH123  (a descriptor is no path)
            file.write(content)
    except PermissionError as error:
        raise PermissionDeniedError(f"{path}: {error.strerror}; name a file elsewhere with -o") from error
    except OSError as error:
        if opened and path.is_file():
            path.unlink(missing_ok=True)
        raise StorageError(f"{path}: {error.strerror}; name a file on another disk with -o, or pipe it away with -o -") from error
