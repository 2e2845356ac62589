"""The table of errors, and what a failed invocation means."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import TYPE_CHECKING

import pytest

import syncd
from syncd import errors
from syncd.errors import (
    ClosedByHub,
    ConnectionLost,
    DataError,
    HubError,
    InvocationError,
    InvocationFailure,
    InvocationTimeout,
    MessageTooLarge,
    MethodMissing,
    SyncdError,
    invocation_failure,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW = re.compile(r"^    ([│├└─ ]*)(\w+Error|\w+) +(\d+|-) +(yes|no) ", re.MULTILINE)
OUTSIDE = ("syncd.devhub", "syncd.commands.")
"""A hub of its own for tests and demos, and the commands, which end with what they print."""


def tree(root: type[Exception], depth: int = 0) -> Iterator[tuple[int, type[Exception]]]:
    yield depth, root
    for child in root.__subclasses__():
        yield from tree(child, depth + 1)


def all_modules() -> list[str]:
    return [module.name for module in pkgutil.walk_packages(syncd.__path__, "syncd.") if not module.name.startswith(OUTSIDE)]


def test_the_table_and_the_classes_agree() -> None:
    for name in all_modules():
        importlib.import_module(name)
    told = {name: (len(indent) // 4, code, word) for indent, name, code, word in ROW.findall(errors.__doc__ or "")}
    found = {
        kind.__name__: (depth, str(int(kind.exit_code)) if issubclass(kind, SyncdError) else "-", "yes" if kind.retryable else "no")
        for root in (SyncdError, DataError)
        for depth, kind in tree(root)
        if issubclass(kind, SyncdError | DataError)
    }
    assert told == found


def test_the_table_leaves_out_no_error_of_ours() -> None:
    for name in all_modules():
        for thing in vars(importlib.import_module(name)).values():
            if isinstance(thing, type) and issubclass(thing, BaseException) and thing.__module__.startswith("syncd."):
                assert issubclass(thing, SyncdError | DataError), f"{name}: {thing.__name__}"


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (ConnectionLost("cut"), InvocationFailure.RETRY),
        (ClosedByHub(None, allow_reconnect=False), InvocationFailure.RETRY),
        (InvocationTimeout("no answer"), InvocationFailure.RETRY),
        (InvocationError("no such store"), InvocationFailure.REFUSED),
        (MessageTooLarge(2, 1), InvocationFailure.REFUSED),
        (MethodMissing("Method does not exist."), InvocationFailure.METHOD_MISSING),
    ],
)
def test_a_failed_invocation_is_retried_refused_or_has_no_method(error: HubError, meaning: InvocationFailure) -> None:
    assert invocation_failure(error) is meaning
