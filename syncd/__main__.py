"""The program's entry point: runs the command line and turns every way to end into its exit code."""

from __future__ import annotations

import errno
import os
import sys

from syncd.errors import ExitCode, SyncdError
from syncd.status.healthcheck import quick_verdict

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""
MAX_STATUS_CHARACTERS = 1000
"""Of an error, as the service manager is told it."""
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})


def main() -> None:
    """Run syncd; never returns."""
    quick = quick_verdict(sys.argv[1:])
    sys.exit(exit_code_of_run() if quick is None else _say(*quick))


def exit_code_of_run() -> int:
    """Run the command line and say how it ended (contract, section 5)."""
    import click  # noqa: PLC0415  (costs start time)

    from syncd.cli import cli  # noqa: PLC0415

    try:
        result = cli.main(prog_name="syncd", standalone_mode=False)
        if sys.stdout is not None:  # who closes it before the start wants nothing printed
            sys.stdout.flush()
    except BrokenPipeError:  # `syncd status | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's own last flush does not fail
        return ExitCode.OK
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except BaseException as error:  # noqa: BLE001  (nobody above us would say what it was)
        return _explain(error)
    return result if isinstance(result, int) else ExitCode.OK


def _say(code: int, text: str) -> int:
    """Print it, where anybody reads it."""
    try:
        print(text)  # noqa: T201 - it is what was asked for
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def _explain(error: BaseException) -> int:
    """Say on stderr what went wrong: a paragraph for what was foreseen, a traceback for a bug."""
    cause = _cause(error)
    if isinstance(cause, SyncdError):
        code, text = cause.exit_code, str(cause)
    elif isinstance(cause, PermissionError):
        code, text = ExitCode.PERMISSION, f"no permission: {cause}"
    elif isinstance(cause, OSError) and cause.errno in DISK_ERRORS:
        code, text = ExitCode.IO, f"the disk cannot be used: {cause}"
    elif isinstance(cause, SystemExit):
        raise cause
    elif _logged(error):
        return ExitCode.BUG
    else:
        import traceback  # noqa: PLC0415  (costs start time)

        code, text = ExitCode.BUG, "".join(traceback.format_exception(error)) + "this is a bug in syncd"
    text = _without_secrets(text)
    print(f"syncd: {text}", file=sys.stderr)  # noqa: T201 - it is what was asked for
    _notify_service_manager(text)
    return code


def _cause(error: BaseException) -> BaseException:
    """What a task group's error is about: the first error that was foreseen, if it is all of that kind; else the group."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    causes = [_cause(inner) for inner in error.exceptions]
    return causes[0] if all(isinstance(cause, SyncdError) for cause in causes) else error


def _logged(error: BaseException) -> bool:
    """Hand a bug to the log, if there is one by now."""
    import structlog  # noqa: PLC0415  (costs start time)

    if structlog.is_configured():
        structlog.get_logger().critical("bug", exc_info=error)
    return structlog.is_configured()


def _notify_service_manager(text: str) -> None:
    """Tell the service manager why: `systemctl status` and `syncd status` show it after the end."""
    from syncd.systemd import Notifier  # noqa: PLC0415  (costs start time)

    Notifier().status(text[:MAX_STATUS_CHARACTERS])


def _without_secrets(text: str) -> str:
    from syncd.redaction import redact  # noqa: PLC0415  (costs start time)

    return redact(text)


if __name__ == "__main__":
    main()
