"""Where does the time go? The processor time of each of syncd's threads, for each row or update.

    SYNCD_REFHUB=… python -m tests.bench.thread_times drain|live|load [--count 60000] [--functions]

`drain` sends a backlog, `live` takes updates pushed one a message, `load` is a new store's first catch-up. `loop` is the event loop; each
connection to a database has a thread: `reader` reads the outbox, `journal` records what HQ has said, `outbox` writes into the till's file
(marks, and HQ's updates). `--functions` adds the functions that were seen most, by py-spy (`.venv/bin/pip install py-spy`), all threads
that ran together.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.backlog import arrived, arrived_at, connected_at, marked_at, running, store_with
from tests.bench.gauges import thread_seconds
from tests.bench.measures.receiving import loaded_at, publish, push
from tests.bench.measures.sizes import until_idle
from tests.bench.named_threads import PYTHON_OPTIONS
from tests.bench.peers import require_hub
from tests.support.refhub import RefHub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.store import Daemon, Store

SAMPLES_PER_SECOND = 200
MOST_SEEN = 15
BEGIN_POLL_SECONDS = 0.005

Used = dict[str, float]
"""Seconds of processor time by the name of a thread; threads that syncd's databases do not have are `other`."""


class Profile:
    """Snapshots of what the threads have used."""

    def __init__(self, daemon: Daemon) -> None:
        self._pid = daemon.pid
        self._began: Used = {}
        self._done = 0
        self.columns: dict[str, Used] = {}
        self.functions: list[str] = []

    def begin(self, already_done: int = 0) -> None:
        """What was used before, and the rows that were sent before, do not count."""
        self._began, self._done = self._used(), already_done

    def note(self, what: str) -> None:
        """Something is done."""
        self.columns[what] = {name: seconds - self._began.get(name, 0.0) for name, seconds in self._used().items()}

    def _used(self) -> Used:
        used: Counter[str] = Counter()
        threads = thread_seconds(self._pid)
        own = threads[self._pid][0]
        for thread, (name, seconds) in threads.items():
            used["loop" if thread == self._pid else "other" if name == own else name] += seconds  # type: ignore[assignment]
        return dict(used)

    def show(self, count: int) -> None:
        """Print µs for each row or update."""
        per = 1e6 / (count - self._done)
        print(f"{'µs each, ' + format(count, ','):24}" + "".join(f"{what:>26}" for what in self.columns))
        names = sorted(
            {name for used in self.columns.values() for name in used}, key=lambda name: -next(iter(self.columns.values())).get(name, 0)
        )
        for name in names:
            print(f"{name:24}" + "".join(f"{used.get(name, 0) * per:26.1f}" for used in self.columns.values()))
        print(f"{'all':24}" + "".join(f"{sum(used.values()) * per:26.1f}" for used in self.columns.values()))
        print("\n".join(self.functions))

    @asynccontextmanager
    async def sampled(self, wanted: bool) -> AsyncIterator[None]:
        """py-spy looks meanwhile."""
        if not wanted:
            yield
            return
        beside = Path(sys.executable).with_name("py-spy")
        program = str(beside) if beside.exists() else shutil.which("py-spy")
        if program is None:
            raise SystemExit("there is no py-spy: .venv/bin/pip install py-spy")
        with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
            file = Path(folder, "stacks")
            options = ("--pid", str(self._pid), "--format", "raw", "--output", str(file), "--function", "--threads", "--nonblocking")
            rate = ("--rate", str(SAMPLES_PER_SECOND), "--duration", "3600")
            spy = await asyncio.create_subprocess_exec(
                program, "record", *options, *rate, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            try:
                yield
            finally:
                spy.send_signal(signal.SIGINT)
                await spy.wait()
            self.functions = await asyncio.to_thread(lambda: _most_seen(file.read_text(encoding="utf-8")))


def _most_seen(stacks: str) -> list[str]:
    """The functions in which threads were most often, and those under which they were: lines of `outer;…;inner COUNT`."""
    inner: Counter[str] = Counter()
    anywhere: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        thread, *functions = stack.split(";")
        name = thread.rpartition(":")[2].strip(' "').replace("MainThread", "loop")
        inner[f"{name:16} {functions[-1]}"] += int(count)
        anywhere.update({f"{name:16} {function}": int(count) for function in functions if "(syncd/" in function})
    total = inner.total() or 1
    lines = []
    for title, seen in (("in the function itself", inner), ("in a function of syncd and what it calls", anywhere)):
        lines += [
            "",
            f"{total:,} samples, {title}:",
            *(f"{100 * n / total:6.1f} % {function}" for function, n in seen.most_common(MOST_SEEN)),
        ]
    return lines


async def drain(count: int, functions: bool) -> None:
    """A backlog."""
    async with RefHub() as hub, store_with(count, hub.url()) as store, _running(store) as (daemon, profile):
        await arrived_at(hub, 1, daemon.is_up, BEGIN_POLL_SECONDS)
        profile.begin(await arrived(hub))
        async with profile.sampled(functions):
            await arrived_at(hub, count, daemon.is_up)
            profile.note("all is at HQ")
            await marked_at(store, daemon.is_up)
            profile.note("and is marked sent")
    profile.show(count)


async def live(count: int, functions: bool) -> None:
    """Updates."""
    async with RefHub() as hub, store_with(0, hub.url()) as store, _running(store) as (daemon, profile):
        await until_idle(store)
        profile.begin()
        async with profile.sampled(functions):
            await push(hub, count, daemon.is_up)
            profile.note("all is acknowledged")
    profile.show(count)


async def load(count: int, functions: bool) -> None:
    """The first catch-up."""
    async with RefHub() as hub, store_with(0, hub.url()) as store:
        await publish(hub, count)
        async with _running(store) as (daemon, profile):
            await connected_at(hub, daemon.is_up)
            profile.begin()
            async with profile.sampled(functions):
                await loaded_at(store, count, daemon)
                profile.note("all is in the till's file")
    profile.show(count)


@asynccontextmanager
async def _running(store: Store) -> AsyncIterator[tuple[Daemon, Profile]]:
    store.python_options = PYTHON_OPTIONS
    async with running(store) as daemon:
        yield daemon, Profile(daemon)


SCENES: dict[str, Callable[[int, bool], Awaitable[None]]] = {"drain": drain, "live": live, "load": load}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("--count", type=int, default=60_000, help="rows, or updates")
    parser.add_argument("--functions", action="store_true", help="the functions that were seen most, too")
    arguments = parser.parse_args()
    require_hub(parser)
    asyncio.run(SCENES[arguments.scene](arguments.count, arguments.functions))  # type: ignore[arg-type]
