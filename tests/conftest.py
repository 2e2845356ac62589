from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]

from syncd.redaction import known_secrets

# Whoever runs the tests in the background of a script has them ignore SIGINT, and so would every program that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# By default an example that takes more than 200 ms fails its test, and on a busy machine any may; pytest's timeout is enough.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


class Groups(LoadGroupScheduling):  # type: ignore[misc]
    """Keeps tests in one worker that share what is made once: pytest-xdist 3.8 no longer gets the marks `xdist_group` from pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if "tests/packaging/" not in file and not file.startswith("packaging/"):
            return str(super()._split_scope(nodeid))
        return "deb" if file.endswith("/test_deb.py") else "image"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """See pytest-xdist; it is asked in the process that hands the tests out."""
    return Groups(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> None:
    """What one test calls a secret may be a plain word in the next."""
    known_secrets._forms.clear()
