"""The sockets that are handed to the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import struct
from contextlib import closing

import pytest
import uvloop

from syncd.hub.http_post import post

TIMES = 200
RESET = struct.pack("ii", 1, 0)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_connection_that_is_reset_at_once_closes_no_descriptor_of_others() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url, tls = f"http://127.0.0.1:{server.getsockname()[1]}/", ssl.create_default_context()
        server.setblocking(False)

        async def all_are_reset() -> list[int]:
            opened = []
            for _ in range(TIMES):
                asking = asyncio.create_task(post(url, {}, user_agent="test", tls=tls, find_proxy=lambda _: None))
                client, _ = await asyncio.get_running_loop().sock_accept(server)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.close()
                with pytest.raises((OSError, EOFError)):
                    await asking
                opened.append(os.open(os.devnull, os.O_RDONLY))  # gets the number that has become free
                del asking
                gc.collect()
            return opened

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            opened = runner.run(all_are_reset())
    gc.collect()
    for descriptor in opened:
        os.fstat(descriptor)  # it is still open
        os.close(descriptor)
    assert len(set(opened)) == TIMES
