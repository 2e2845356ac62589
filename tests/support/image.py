"""A Debian of our own, and the container image built upon it: no image registry is asked, and nothing outside a folder is touched."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.requirements import need

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "dbus", "procps", "python3", "python3-venv", "sqlite3", "systemd")
"""What a base of the image has, and what a store PC has besides, so that the same tree can be booted."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PIP_SETTINGS = ("index-url", "extra-index-url", "proxy", "timeout", "trusted-host")
"""What this machine's pip needs to reach its registry, the build's pip needs too."""

NOT_BEGUN = "sealing memfd copy"
"""buildah copies itself before it runs a command, and the kernel may find the copy busy for a moment: nothing has happened yet."""
TRIES = 5


class Buildah:
    """buildah with storage of its own; `chroot` isolation needs no container runtime.

    Attributes:
        storage: where images and containers are, of the driver `vfs`.
        run: what goes with a reboot.
    """

    def __init__(self, folder: Path) -> None:
        self.storage, self.run = folder / "storage", folder / "run"
        self._global = ["--root", str(self.storage), "--runroot", str(self.run), "--storage-driver", "vfs"]

    def __call__(self, *arguments: str | Path, timeout: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of buildah's; fails, with what it said, where that fails."""
        command = ["buildah", *self._global, *map(str, arguments)]
        for _ in range(TRIES):
            result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)
            if result.returncode == 0 or NOT_BEGUN not in result.stderr:
                break
        assert not check or result.returncode == 0, f"{' '.join(command)}: {result.stdout[-3000:]}{result.stderr[-3000:]}"
        return result


class Image:
    """The built image and one container made of it.

    Attributes:
        root: the container's file system, as this machine sees it.
    """

    def __init__(self, buildah: Buildah, name: str) -> None:
        self.buildah = buildah
        self.name = name
        self.container = buildah("from", name).stdout.strip()
        self.root = Path(buildah("mount", self.container).stdout.strip())

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as the image's user."""
        variables = [f"--env={name}={value}" for name, value in environ.items()]
        return self.buildah("run", "--isolation=chroot", *variables, self.container, "--", *command, check=False, timeout=60)


def build_image(folder: Path, cache: Path) -> Iterator[Image]:
    """The project's image on a plain Debian; gone afterwards."""
    able = os.geteuid() == 0 and all(shutil.which(program) for program in ("buildah", "debootstrap"))
    need("buildah", able, "building an image takes root, buildah and debootstrap")
    base = _base(cache)
    buildah = Buildah(folder)
    try:
        (folder / "Dockerfile").write_text(f"FROM scratch\nADD {base.name} /\n")
        buildah("bud", "--isolation=chroot", "--tag=localhost/base", f"--file={folder / 'Dockerfile'}", base.parent)
        buildah(
            "bud", "--isolation=chroot", "--format=docker", "--build-arg=BASE=localhost/base", "--tag=localhost/syncd",
            *_registry(folder), PROJECT, timeout=600,
        )  # fmt: skip
        yield Image(buildah, "localhost/syncd")
    finally:
        buildah("rm", "--all", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _base(cache: Path) -> Path:
    """Debian's file system as a tar file, made once for a machine, by one of the tests that run at the same time."""
    tar = cache / f"{SUITE}-{'-'.join(PACKAGES)}.tar"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.exists():
            shutil.rmtree(cache / "tree", ignore_errors=True)  # of one that was killed
            tree, unfinished = cache / "tree", cache / "tar"
            command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(tree)]
            try:
                result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, stdin=subprocess.DEVNULL)
                need("buildah", result.returncode == 0, f"debootstrap failed: {result.stdout[-500:]}{result.stderr[-500:]}")
                left_out = [
                    "--exclude=./var/cache/apt/*",
                    "--exclude=./var/lib/apt/lists/*",
                    "--exclude=./usr/share/doc/*",
                    "--exclude=./dev/*",
                ]
                subprocess.run(["tar", "--create", "--numeric-owner", "-C", tree, *left_out, "-f", unfinished, "."], check=True)
                unfinished.rename(tar)
            finally:
                shutil.rmtree(tree, ignore_errors=True)
    return tar


def cache_folder() -> Path:
    """Where what takes long to make is kept for the next run on this machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "syncd-tests"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def debian(root: Path) -> None:
    """A plain Debian in this folder, as a store PC has it."""
    subprocess.run(["tar", "--extract", "--numeric-owner", "-C", root, "-f", _base(cache_folder())], check=True)


def registry_settings(root: Path) -> None:
    """Lets the pip in this tree reach what this machine's pip reaches, over this machine's network."""
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    settings, certificates = _pip_settings()
    (root / "etc/pip.conf").write_text(settings)
    shutil.copy(certificates, root / CERTIFICATES.lstrip("/"))


def _registry(folder: Path) -> Iterator[str]:
    """Mounts by which the build's pip reaches what this machine's pip reaches."""
    settings, certificates = _pip_settings()
    if certificates.exists():
        yield f"--volume={certificates.resolve()}:{CERTIFICATES}:ro"
    (folder / "pip.conf").write_text(settings)
    yield f"--volume={folder / 'pip.conf'}:/etc/pip.conf:ro"


def _pip_settings() -> tuple[str, Path]:
    """A pip.conf, and the certificates to trust."""
    listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    found = {name.rpartition(".")[2]: value.strip("'") for name, _, value in (line.partition("=") for line in listing.splitlines())}
    lines = [f"{name} = {value}" for name, value in found.items() if name in PIP_SETTINGS and "file:" not in value]
    certificates = Path(found.get("cert") or os.environ.get("SSL_CERT_FILE") or CERTIFICATES)
    if certificates.exists():
        lines.append(f"cert = {CERTIFICATES}")
    return "\n".join(["[global]", *lines, ""]), certificates
