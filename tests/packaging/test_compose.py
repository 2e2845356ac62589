"""The compose file run as it is by podman-compose: a store in a container sells to a hub on this machine."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncd.devhub.server import DevHub
from tests.support.pages import commands_of
from tests.support.requirements import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.image import Image

pytestmark = [pytest.mark.timeout(3000), pytest.mark.xdist_group("image")]

PROJECT = Path(__file__).parents[2]
INSTALL = commands_of("docs/install-container.md")[0]
[UPGRADE], [ROLL_BACK], [UNINSTALL] = (
    commands_of(page, "In a container") for page in ("docs/upgrade.md", "docs/roll-back.md", "docs/uninstall.md")
)
PODMAN_COMPOSE = Path(sys.executable).with_name("podman-compose")
NO_CGROUPS = """
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
"""
"""What a container that runs the tests may not hand on to those within it."""
STORAGE = """
[storage]
driver = "vfs"
graphroot = "{storage}"
runroot = "{run}"
"""
SALE = """
import sqlite3
db = sqlite3.connect('/var/lib/syncd/store.db', timeout=10)
db.execute('INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES (?, 1, ?, ?)', ('Receipt', 'Create', '{}'))
db.commit()
"""
DOCKER = r"""
git() { :; }
docker() {
    case "$1 $2 $3" in
    "compose up -d") compose up -d --no-build ;;
    "compose exec syncd") shift 3; compose exec -T syncd "$@" ;;
    "compose down ") compose down ;;
    "image rm syncd") podman tag localhost/syncd localhost/spare && podman image rm localhost/syncd ;;
    *) echo "not played: $*"; exit 1 ;;
    esac
}
"""
"""The pages' `docker` is Podman here, with the image that is built already; other tests need that one, too."""
SCRIPT = f"""
[ -e /sys/fs/cgroup/cgroup.controllers ] || {{ umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; }}
podman run --rm --network=none localhost/syncd --version > able 2>&1 || exit 3
compose() {{ {PODMAN_COMPOSE} "$@"; }}
await() {{ timeout 180 sh -c "until $1; do sleep 0.2; done" || {{ compose logs syncd; exit 1; }}; }}
well() {{ await "podman exec store_syncd_1 syncd healthcheck | grep -x healthy"; }}
{DOCKER}
set -x
docker compose up -d --build
well
{INSTALL.split("docker compose up -d --build")[1]}
podman run --rm --network=none --user=1000:10001 --volume=$PWD/pos:/var/lib/syncd --entrypoint=python3 localhost/syncd -c "{SALE}"
await "podman exec store_syncd_1 syncd status --json | grep '\\"sentTotal\\": 1'"
compose exec -T syncd sh -c 'touch /written; grep -E "CapEff|NoNewPrivs" /proc/self/status; id'
podman healthcheck run store_syncd_1 && echo "the image's health check: well"
{UPGRADE}
well
{ROLL_BACK}
well
compose stop
podman inspect --format 'ended with {{{{.State.ExitCode}}}}' store_syncd_1
{UNINSTALL}
podman image exists localhost/syncd || echo "the image is gone"
podman tag localhost/spare localhost/syncd
"""


@pytest.fixture
def store() -> Iterator[Path]:
    """A folder that has the compose file's name of the project, and is nobody's but root's."""
    with tempfile.TemporaryDirectory(prefix="syncd-compose-") as name:
        Path(name).chmod(0o755)
        (Path(name) / "store").mkdir()
        yield Path(name) / "store"


def compose_file(folder: Path, url: str) -> str:
    """It with this store's places; the container has the host's network, so that a hub on this machine is one."""
    text = (PROJECT / "compose.yaml").read_text(encoding="utf-8")
    for there, here in (
        ("/srv/pos:", f"{folder}/pos:"),
        ("/etc/syncd/hub_access_token:", f"{folder}/hub_access_token:"),
        ("https://hq.example.com/hubs/sync", url),
        ("    image: syncd\n", "    image: localhost/syncd\n    network_mode: host\n"),
    ):
        assert text.count(there) == 1
        text = text.replace(there, here)
    return text


def prepare(folder: Path, image: Image, url: str) -> dict[str, str]:
    """The folders as the page makes them, and Podman's settings; the environment for it."""
    (folder / "TOKEN").write_text("s3cr3t")
    made = (
        INSTALL.split("docker compose up")[0]
        .replace("sudo ", "")
        .replace("/srv/pos", "pos")
        .replace("/etc/syncd/hub_access_token", "hub_access_token")
    )
    subprocess.run(["sh", "-ec", made], cwd=folder, check=True)
    (folder / "compose.yaml").write_text(compose_file(folder, url))
    (folder / "containers.conf").write_text(NO_CGROUPS)
    (folder / "storage.conf").write_text(STORAGE.format(storage=image.buildah.storage, run=image.buildah.run))
    return {**os.environ, "CONTAINERS_CONF": f"{folder}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf"}


async def test_the_compose_file_runs_a_store_with_a_read_only_root_whose_till_is_in_another_container(image: Image, store: Path) -> None:
    need("podman", all(shutil.which(program) for program in ("podman", "crun", "unshare")), "there is no Podman")
    hub = DevHub()
    await hub.start()
    try:
        run = await asyncio.create_subprocess_exec(
            "unshare", "--mount", "sh", "-c", SCRIPT, cwd=store, env=prepare(store, image, hub.url), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await run.communicate()
        sent = hub.state()["unique"]
    finally:
        await hub.stop()
    shown = output.decode()
    need("podman", run.returncode != 3, f"Podman starts no container here: {(store / 'able').read_text()}")
    assert run.returncode == 0, shown
    assert "NOT OK" not in shown
    assert "token from /run/secrets/hub_access_token" in shown
    assert "answered; connected in" in shown
    assert sent == 1
    assert re.search(r"cannot touch '/written': Read-only file system", shown)
    assert re.search(r"^CapEff:\s+0+$", shown, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", shown, re.MULTILINE)
    assert "the image's health check: well" in shown
    assert "ended with 0\n" in shown
    assert "the image is gone\n" in shown
    made = (store / "pos/store.db").stat()
    assert (made.st_uid, made.st_gid, oct(made.st_mode & 0o777)) == (10_001, 10_001, "0o660")
