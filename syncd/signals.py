"""SIGTERM and SIGINT ask to stop, a second one at once; SIGHUP asks to reload.

asyncio runs these handlers between two steps of the loop, never inside our code.
"""

from __future__ import annotations

import asyncio
import signal


class StopSignals:
    """What has been asked for so far."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.now = asyncio.Event()
        self.reload = asyncio.Event()

    def install(self) -> None:
        """From now on the signals come here."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)

    def _ask_to_stop(self) -> None:
        (self.now if self.stop.is_set() else self.stop).set()

    async def any(self) -> None:
        """Return when a stop or a reload has been asked for."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.stop, self.reload)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
