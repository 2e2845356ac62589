from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]
DOCUMENT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
RUN_TIME: list[str] = DOCUMENT["project"]["dependencies"]
BUILD: list[str] = DOCUMENT["build-system"]["requires"]
DEVELOPMENT: list[str] = DOCUMENT["dependency-groups"]["dev"]
EXTRAS: list[str] = [name for extra in DOCUMENT["project"]["optional-dependencies"].values() for name in extra]
LOCKS = {
    "requirements.lock": [*RUN_TIME, *EXTRAS],
    "requirements-build.lock": BUILD,
    "requirements-dev.lock": [*RUN_TIME, *BUILD, *DEVELOPMENT, *EXTRAS],
}


def pins_of(lock: str) -> dict[str, set[str]]:
    """Versions by name; more than one where they differ by Python version or platform."""
    pins: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", (PROJECT / lock).read_text(), re.MULTILINE):
        pins.setdefault(canonicalize_name(name), set()).add(version)
    return pins


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_dependency_to_a_version_that_pyproject_allows(lock: str) -> None:
    pins = pins_of(lock)
    for requirement in map(Requirement, LOCKS[lock]):
        versions = pins.get(canonicalize_name(requirement.name), set())
        assert versions, f"{lock} lacks {requirement}: ./scripts/lock mends it"
        assert all(version in requirement.specifier for version in versions), (
            f"{lock} has {versions} for {requirement}: ./scripts/lock mends it"
        )


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_its_hashes_and_no_registry_is_named(lock: str) -> None:
    text = (PROJECT / lock).read_text()
    assert "://" not in text
    pins = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert pins
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_what_is_tested_is_what_is_delivered(lock: str) -> None:
    tested = pins_of("requirements-dev.lock")
    assert {name: versions for name, versions in pins_of(lock).items() if versions != tested.get(name)} == {}
