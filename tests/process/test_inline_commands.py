"""The commands within the pages' sentences and `--help`'s examples, run as they stand beside a daemon at work."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncd.cli import cli
from syncd.testing.hub import Hub
from syncd.testing.store import Store
from tests.support.pages import lines_of
from tests.support.requirements import need
from tests.support.store import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (PROJECT / "docs").glob("*.md"))]
SUDO = re.compile(r"sudo (-u \S+ )?(?=syncd )")
CALL = re.compile(rf"(ssh \S+ )?syncd (-|({'|'.join(cli.commands)})\b)|curl ")
NAMES = {f"syncd {name}" for name in ("outbox", "outbox retry", "outbox cancel", "quarantine", "quarantine replay", "why")}
"""They name a command that wants more words."""
ELSEWHERE = {
    "syncd demo": "tests/process/test_documented_commands.py",  # as ./scripts/demo
    "syncd run": "tests/process/test_start.py",  # it reads /etc/syncd/syncd.toml where it is told of no other
}
UNTIL_STOPPED = re.compile(r"syncd (run|devhub|status --watch)")
PLAYED = {"ssh": 'shift\nexec "$@"', "systemctl": 'echo "systemctl $*"'}
"""What a store PC has besides."""
NAMED = "5b0c8f9e-6a0f-4d0b-9a57-0f6a4f0f3a11"
"""The correlation id of a row, in the pages."""
SEED = """
DELETE FROM sync_outbox;
INSERT INTO sync_outbox (id, entity_type, entity_id, operation, payload, status, sent_at, created_at)
VALUES (4000, 'Telemetry', 1, 'Create', '{}', 'sent', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-9 days'),
        strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-10 days'));
INSERT INTO sync_outbox (id, entity_type, entity_id, operation, payload, status, attempts, last_error, correlation_id)
VALUES (4711, 'Receipt', 17, 'Create', '{}', 'failed', 5, 'no such till', 'CORRELATION_ID');
INSERT INTO sync_outbox (id, entity_type, entity_id, operation, payload, status, attempts, last_error)
VALUES (4712, 'Receipt', 18, 'Create', '{}', 'failed', 5, 'no such till'), (4713, 'Cart', 17, 'Create', '{}', 'failed', 5, 'no such till');
DELETE FROM sync_quarantine;
INSERT INTO sync_quarantine (id, method, reason, received_at, raw)
SELECT value, 'ReceivePriceUpdate', 'a trigger of the till', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-8 days'),
       json_object('productId', value, 'price', 12.5, 'currency', 'EUR', 'updatedAt', '2026-11-23T10:00:00Z')
FROM json_each('[12, 13]');
"""


def whole_commands() -> Iterator[str]:
    for page in PAGES:
        for line in lines_of(page):
            words = line.split()
            text = f"syncd {line}" if words[0] in cli.commands and len(words) > 1 else SUDO.sub("", line)
            if CALL.match(text) and text not in NAMES | ELSEWHERE.keys():
                yield text


COMMANDS = sorted(set(whole_commands()))


class Place:
    """A store, HQ, and a shell in which the documentation's commands do what they say.

    Attributes:
        folder: of the store's files.
    """

    def __init__(self, folder: Path, hub: Hub, store: Store) -> None:
        self.folder = folder
        self._store = store
        self._port = hub.url.split(":")[2].partition("/")[0]
        for name, text in PLAYED.items():
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        text = (folder / "syncd.toml").read_text()
        (folder / "idle.toml").write_text(text.replace("store.db", "idle.db").replace("status.json", "idle.json"))

    def seed(self, command: str) -> None:
        """Failed rows, one that HQ has had for long, two entries in the quarantine.

        A row has the pages' correlation id only where the command says it: the daemon may remember yet that HQ has another test's.
        """
        with closing(sqlite3.connect(self._store.database, timeout=30)) as till:
            till.executescript(SEED.replace("CORRELATION_ID", NAMED if NAMED in command else str(uuid.uuid4())))

    def start(self, command: str, stdin: int) -> subprocess.Popen[str]:
        """With the places of this machine for those of a store PC."""
        for there, here in (
            ("/etc/syncd/syncd.toml", str(self.folder / "idle.toml")), ("/media/usb", str(self.folder)),
            ("--port 5199", "--port 0"), ("5199", self._port), (" FILE", f" {self.folder / 'status.json'}"),
        ):  # fmt: skip
            command = command.replace(there, here)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
        environ["SYNCD_CONFIG"] = str(self.folder / "syncd.toml")
        environ["PATH"] = f"{self.folder}:{Path(sys.executable).parent}:{environ['PATH']}"
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", command], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environ, cwd=self.folder,
        )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with Hub(folder) as hub, Store(folder, hub.url, settings={"store.id": 17}) as store:
        hub.push("ReceivePriceUpdate", {"productId": 4711, "price": "12.50", "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z"})
        store.wait_for_row("SELECT 1 FROM prices WHERE product_id = 4711")
        yield Place(folder, hub, store)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_within_a_sentence_or_an_example_works_as_it_stands(place: Place, yes: int, command: str) -> None:
    program = next((name for name in ("jq", "curl") if f"{name} " in command), "bash")
    need(program, shutil.which(program) is not None, f"there is no {program}")
    place.seed(command)
    if "syncd drain" in command:
        command = f"syncd outbox retry --all && syncd quarantine drop --all && {command}"
    if "syncd pause" in command:
        command = f"{command} && syncd resume"
    process = place.start(command, stdin=yes)
    with process:
        if UNTIL_STOPPED.match(command):
            assert process.stdout is not None
            shown = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            shown += process.communicate(timeout=PATIENCE_SECONDS)[0]
        else:
            shown, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, shown
    assert "Traceback" not in shown


def test_the_lists_here_name_what_the_pages_have() -> None:
    assert len(COMMANDS) > 40
    lines = {line for page in PAGES for line in lines_of(page)}
    assert lines >= NAMES | ELSEWHERE.keys()
